package fsm

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The model is the state as a plain map, and every operation the way one would say it, with no thought of speed. A
// whole copy is what a rollback goes back to.
type model struct {
	nodes     map[string]thing // the root is ""
	index     uint64
	maxValue  int
	autoMkdir bool
}

type thing struct {
	kind             Kind
	value            string
	created, updated uint64
}

func newModel() *model { return &model{nodes: map[string]thing{"": {kind: Directory}}} }

func (m *model) parents(key string) []string { // nearest first, the root last
	var all []string
	for key != "" {
		key = above(key)
		all = append(all, key)
	}
	return all
}

func (m *model) children(dir string) (n int) {
	for key := range m.nodes {
		if key != "" && above(key) == dir {
			n++
		}
	}
	return n
}

func (m *model) below(dir string) (all []string) {
	for key := range m.nodes {
		if strings.HasPrefix(key, dir+".") {
			all = append(all, key)
		}
	}
	return all
}

func (m *model) stamp(key string) {
	for _, k := range append(m.parents(key), key) {
		if t, ok := m.nodes[k]; ok {
			t.updated = m.index
			m.nodes[k] = t
		}
	}
}

// parentOf refuses a key whose parents are not directories.
func (m *model) parentOf(key string, mkdir bool) (missing []string, no *Refusal) {
	for _, k := range slices.Backward(m.parents(key)) { // from the root down
		t, ok := m.nodes[k]
		switch {
		case !ok && !mkdir:
			return nil, &Refusal{Code: NoParent, Path: k}
		case !ok:
			missing = append(missing, k)
		case t.kind != Directory:
			return nil, &Refusal{Code: NotDir, Path: k}
		}
	}
	return missing, nil
}

func (m *model) put(key string, kind Kind, value string, mkdir bool) *Refusal {
	if len(value) > m.maxValue {
		return ErrTooLong
	}
	missing, no := m.parentOf(key, mkdir)
	if no != nil {
		return no
	}
	t, ok := m.nodes[key]
	if ok && t.kind != kind {
		return ErrWrongType
	}
	for _, dir := range missing {
		m.nodes[dir] = thing{kind: Directory, created: m.index}
	}
	if !ok {
		t.created = m.index
	}
	m.nodes[key] = thing{kind: kind, value: value, created: t.created}
	m.stamp(key)
	return nil
}

func (m *model) remove(key string) {
	m.stamp(key)
	delete(m.nodes, key)
}

// value returns the value at a key, which a directory refuses.
func (m *model) value(key string) (value string, ok bool, no *Refusal) {
	t, ok := m.nodes[key]
	if ok && t.kind != Value {
		return "", false, ErrWrongType
	}
	return t.value, ok, nil
}

func holds(c Condition, value string, ok bool, match string) bool {
	switch c {
	case IfAbsent:
		return !ok
	case IfPresent:
		return ok
	case IfEqual:
		return ok && value == match
	case IfNotEqual:
		return !ok || value != match
	case IfDigestEqual:
		return ok && ValueDigest(value) == strings.ToLower(match)
	case IfDigestNotEqual:
		return !ok || ValueDigest(value) != strings.ToLower(match)
	}
	return true
}

// apply carries out an operation and goes back to the state before it when it is refused.
func (m *model) apply(op Op) Result {
	before := maps.Clone(m.nodes)
	for _, key := range keysOf(op) {
		if _, no := parsePath(key); no != nil {
			return refused(no)
		}
	}
	r := m.fold(op)
	if r.Err != nil {
		m.nodes = before
	}
	return r
}

// keysOf lists an operation's keys, but those of the operations inside it.
func keysOf(op Op) [][]byte {
	switch o := op.(type) {
	case *Set:
		return [][]byte{o.Key}
	case *SetMany:
		var keys [][]byte
		for i := 0; i < len(o.Pairs); i += 2 {
			keys = append(keys, o.Pairs[i])
		}
		return keys
	case *Append:
		return [][]byte{o.Key}
	case *SetRange:
		return [][]byte{o.Key}
	case *GetDel:
		return [][]byte{o.Key}
	case *Increment:
		return [][]byte{o.Key}
	case *IncrementFloat:
		return [][]byte{o.Key}
	case *RemoveIf:
		return [][]byte{o.Key}
	case *Rename:
		return [][]byte{o.From, o.To}
	case *Copy:
		return [][]byte{o.From, o.To}
	case *MakeDir:
		return [][]byte{o.Key}
	case *RemoveDir:
		return [][]byte{o.Key}
	case *CompareAndSet:
		return [][]byte{o.Key}
	}
	return nil
}

func (m *model) fold(op Op) Result {
	switch o := op.(type) {
	case *Set:
		return m.set(o)
	case *SetMany:
		return m.setMany(o)
	case *Append:
		old, _, no := m.value(string(o.Key))
		return m.length(string(o.Key), old+string(o.Value), no)
	case *SetRange:
		return m.setRange(o)
	case *GetDel:
		old, ok, no := m.value(string(o.Key))
		if no != nil {
			return refused(no)
		}
		if ok {
			m.remove(string(o.Key))
		}
		return Result{Value: old, Found: ok}
	case *Increment:
		return m.increment(o)
	case *Remove:
		return m.removeAll(o.Keys)
	case *RemoveIf:
		return m.removeIf(o)
	case *Rename:
		return m.rename(string(o.From), string(o.To), o.NX)
	case *Copy:
		return m.copy(string(o.From), string(o.To), o.Replace)
	case *Flush:
		r := Result{Int: int64(len(m.nodes) - 1)}
		if r.Int > 0 {
			m.nodes = map[string]thing{"": {kind: Directory, updated: m.index}}
		}
		return r
	case *MakeDir:
		if m.nodes[string(o.Key)].kind == Directory {
			return nothing
		}
		if m.nodes[string(o.Key)].kind == Value {
			return refused(ErrWrongType)
		}
		return doneUnless(m.put(string(o.Key), Directory, "", m.autoMkdir || o.Parents))
	case *RemoveDir:
		return m.removeDir(string(o.Key), o.Recursive)
	case *CompareAndSet:
		return m.cas(string(o.Key), string(o.Expected), string(o.New))
	case *Batch:
		return Result{List: m.each(o.Ops)}
	case *Txn:
		for _, w := range o.Watches {
			if m.nodes[string(w.Key)].updated != w.Version {
				return nothing
			}
		}
		return Result{Found: true, List: m.each(o.Ops)}
	}
	panic(fmt.Sprintf("the model does not know %T", op))
}

func (m *model) each(ops []Op) []Result {
	var all []Result
	for _, op := range ops {
		all = append(all, m.apply(op))
	}
	return all
}

func (m *model) length(key, value string, no *Refusal) Result {
	if no == nil {
		no = m.put(key, Value, value, m.autoMkdir)
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
	old, ok, no := m.value(string(o.Key))
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
	if no := m.put(string(o.Key), Value, string(o.Value), m.autoMkdir); no != nil {
		return refused(no)
	}
	r.Int = 1
	return r
}

func (m *model) setMany(o *SetMany) Result {
	all := true
	for i := 0; o.If != Always && i < len(o.Pairs); i += 2 {
		old, ok, no := m.value(string(o.Pairs[i]))
		if no != nil {
			return refused(no)
		}
		all = all && holds(o.If, old, ok, "")
	}
	if !all {
		return nothing
	}
	for i := 0; i < len(o.Pairs); i += 2 {
		if no := m.put(string(o.Pairs[i]), Value, string(o.Pairs[i+1]), m.autoMkdir); no != nil {
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
	if no := m.put(string(o.Key), Value, strconv.FormatInt(sum, 10), m.autoMkdir); no != nil {
		return refused(no)
	}
	return Result{Int: sum}
}

func (m *model) removeAll(keys [][]byte) Result {
	var r Result
	for _, key := range keys {
		if _, no := parsePath(key); no != nil {
			return refused(no)
		}
		if _, ok := m.nodes[string(key)]; !ok {
			continue
		}
		if m.children(string(key)) > 0 {
			return refused(&Refusal{Code: NotEmpty, Path: string(key)})
		}
		m.remove(string(key))
		r.Int++
	}
	return r
}

func (m *model) removeIf(o *RemoveIf) Result {
	if o.If >= IfDigestEqual && CheckDigest(o.Match) != nil {
		return refused(ErrBadDigest)
	}
	if o.If == Always {
		return m.removeAll([][]byte{o.Key})
	}
	old, ok, no := m.value(string(o.Key))
	if no != nil {
		return refused(no)
	}
	if !ok || !holds(o.If, old, ok, string(o.Match)) {
		return nothing
	}
	m.remove(string(o.Key))
	return done
}

func (m *model) rename(from, to string, nx bool) Result {
	source, ok := m.nodes[from]
	target, taken := m.nodes[to]
	switch {
	case !ok:
		return refused(ErrNoSuchKey)
	case nx && taken:
		return nothing
	case from == to:
		return done
	case source.kind == Directory && strings.HasPrefix(to, from+"."):
		return refused(&Refusal{Code: IntoItself, Path: from})
	case source.kind == Directory && taken:
		return refused(&Refusal{Code: Exists, Path: to})
	case taken && target.kind != Value:
		return refused(ErrWrongType)
	}
	missing, no := m.parentOf(to, m.autoMkdir)
	if no != nil {
		return refused(no)
	}
	for _, dir := range missing {
		m.nodes[dir] = thing{kind: Directory, created: m.index}
	}
	for _, key := range append(m.below(from), from) {
		t := m.nodes[key]
		m.remove(key)
		m.nodes[to+key[len(from):]] = thing{kind: t.kind, value: t.value, created: m.index}
	}
	for _, key := range append(m.below(to), to) {
		m.stamp(key)
	}
	return done
}

func (m *model) copy(from, to string, replace bool) Result {
	value, ok, no := m.value(from)
	if no != nil {
		return refused(no)
	}
	if _, taken := m.nodes[to]; !ok || from == to || taken && !replace {
		return nothing
	}
	return doneUnless(m.put(to, Value, value, m.autoMkdir))
}

func (m *model) removeDir(key string, recursive bool) Result {
	t, ok := m.nodes[key]
	switch {
	case !ok:
		return nothing
	case t.kind != Directory:
		return refused(ErrWrongType)
	case !recursive && m.children(key) > 0:
		return refused(&Refusal{Code: NotEmpty, Path: key})
	}
	all := append(m.below(key), key)
	for _, k := range all {
		m.remove(k)
	}
	return Result{Int: int64(len(all))}
}

func (m *model) cas(key, expected, new string) Result {
	if expected == "" && new == "" {
		return refused(ErrInvalid)
	}
	if _, no := m.parentOf(key, m.autoMkdir); no != nil {
		return refused(no)
	}
	t, ok := m.nodes[key]
	if expected == "" && ok || expected != "" && (!ok || t.kind != Value || t.value != expected) {
		return nothing
	}
	if new == "" {
		m.remove(key)
		return done
	}
	return doneUnless(m.put(key, Value, new, m.autoMkdir))
}
