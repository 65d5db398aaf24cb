package fsm

import "strconv"

// This file is the model's view of writes to values.

func (m *model) length(key, value string, no *Refusal) Result {
	if no == nil {
		no = m.put(key, value, kept)
	}
	if no != nil {
		return refused(no)
	}
	return Result{Int: int64(len(value))}
}

func (m *model) set(o *Set) Result {
	if o.If >= IfDigestEqual && CheckDigest(o.Match) != nil {
		return refused(ErrBadDigest)
	}
	var r Result
	old, ok, no := m.plain(string(o.Key))
	if o.If != Always || o.Get {
		if no != nil {
			return refused(no)
		}
		if o.Get && ok {
			r.Value, r.Found = old, true
		}
		if !holds(o.If, old, ok, string(o.Match)) {
			return r
		}
	}
	if no := m.put(string(o.Key), string(o.Value), m.until(o.TTL)); no != nil {
		return refused(no)
	}
	r.Int = 1
	return r
}

func (m *model) setMany(o *SetMany) Result {
	all := true
	for i := 0; o.If != Always && i < len(o.Pairs); i += 2 {
		old, ok, no := m.plain(string(o.Pairs[i]))
		if no != nil {
			return refused(no)
		}
		all = all && holds(o.If, old, ok, "")
	}
	if !all {
		return nothing
	}
	for i := 0; i < len(o.Pairs); i += 2 {
		if no := m.put(string(o.Pairs[i]), string(o.Pairs[i+1]), m.until(o.TTL)); no != nil {
			return refused(no)
		}
	}
	return done
}

func (m *model) setRange(o *SetRange) Result {
	if o.Offset < 0 {
		return refused(ErrBadOffset)
	}
	old, _, no := m.value(string(o.Key))
	if no != nil {
		return refused(no)
	}
	if len(o.Value) == 0 {
		return Result{Int: int64(len(old))}
	}
	if o.Offset > int64(m.maxValue) {
		return refused(ErrTooLong)
	}
	value := []byte(old)
	for len(value) < int(o.Offset)+len(o.Value) {
		value = append(value, 0)
	}
	copy(value[o.Offset:], o.Value)
	return m.length(string(o.Key), string(value), nil)
}

func (m *model) increment(o *Increment) Result {
	old, ok, no := m.value(string(o.Key))
	if no != nil {
		return refused(no)
	}
	var n int64
	if ok {
		var err error
		if n, err = strconv.ParseInt(old, 10, 64); err != nil || strconv.FormatInt(n, 10) != old {
			return refused(ErrNotInteger)
		}
	}
	sum := n + o.By
	if o.By > 0 && sum < n || o.By < 0 && sum > n {
		return refused(ErrOverflow)
	}
	if no := m.put(string(o.Key), strconv.FormatInt(sum, 10), kept); no != nil {
		return refused(no)
	}
	return Result{Int: sum}
}
