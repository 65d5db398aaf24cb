package fsm

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// The model is the state as a plain map, and every operation the way one would say it, with no thought of speed. A
// whole copy is what a rollback goes back to.
type model struct {
	nodes     map[string]thing // the root is ""
	index     uint64
	now       int64 // the cluster clock
	tokens    uint64
	maxValue  int
	autoMkdir bool
}

type thing struct {
	kind             Kind
	value            string
	created, updated uint64
	deadline         int64
	owner            Owner
	lock             *queue // never changed, but replaced
}

func (t thing) temporary() bool { return t.owner != Owner{} }

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
	slices.SortFunc(all, func(a, b string) int { // as the tree has them: parents before children, and then by name
		return cmp.Or(depthOf(a)-depthOf(b), strings.Compare(a, b))
	})
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

// put stores a value with a deadline as store takes it.
func (m *model) put(key, value string, until int64) *Refusal {
	if len(value) > m.maxValue {
		return ErrTooLong
	}
	missing, no := m.parentOf(key, m.autoMkdir)
	if no != nil {
		return no
	}
	t, ok := m.nodes[key]
	if ok && t.kind != Value {
		return ErrWrongType
	}
	if t.temporary() {
		return &Refusal{Code: TempNode, Path: key}
	}
	switch until {
	case passed:
		if ok {
			m.remove(key)
		}
		return nil
	case kept:
		until = t.deadline
	}
	m.place(key, missing, thing{kind: Value, value: value, deadline: until})
	return nil
}

// place puts a thing at a key, in place of the one that may be there, and directories at those that are missing above it.
func (m *model) place(key string, missing []string, t thing) {
	for _, dir := range missing {
		m.nodes[dir] = thing{kind: Directory, created: m.index}
	}
	if t.created = m.index; m.nodes[key].kind != None {
		t.created = m.nodes[key].created
	}
	m.nodes[key] = t
	m.stamp(key)
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

// plain returns the value at a key, which a directory and an owner refuse.
func (m *model) plain(key string) (value string, ok bool, no *Refusal) {
	if value, ok, no = m.value(key); no == nil && m.nodes[key].temporary() {
		no = &Refusal{Code: TempNode, Path: key}
	}
	return value, ok, no
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
	before, tokens := maps.Clone(m.nodes), m.tokens
	for _, key := range keysOf(op) {
		if _, no := parsePath(key); no != nil {
			return refused(no)
		}
	}
	r := m.fold(op)
	if r.Err != nil {
		m.nodes, m.tokens = before, tokens
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
	return timedKeyOf(op)
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
		if no == nil && ok {
			no = m.removable(string(o.Key), o.Owner)
		}
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
		return m.removeAll(o.Keys, o.Owner)
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
		return m.makeDir(o)
	case *RemoveDir:
		return m.removeDir(string(o.Key), o.Recursive, o.Owner)
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
	return m.foldTimed(op)
}

func (m *model) each(ops []Op) []Result {
	var all []Result
	for _, op := range ops {
		all = append(all, m.apply(op))
	}
	return all
}

func (m *model) removeAll(keys [][]byte, owner Owner) Result {
	var r Result
	for _, key := range keys {
		if _, no := parsePath(key); no != nil {
			return refused(no)
		}
		if _, ok := m.nodes[string(key)]; !ok {
			continue
		}
		if m.nodes[string(key)].kind == Lock {
			return refused(ErrWrongType)
		}
		if no := m.removable(string(key), owner); no != nil {
			return refused(no)
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
		return m.removeAll([][]byte{o.Key}, o.Owner)
	}
	old, ok, no := m.value(string(o.Key))
	if no != nil {
		return refused(no)
	}
	if ok {
		if no := m.removable(string(o.Key), o.Owner); no != nil {
			return refused(no)
		}
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
	case source.kind == Lock:
		return refused(ErrWrongType)
	case source.temporary():
		return refused(&Refusal{Code: TempNode, Path: from})
	case nx && taken:
		return nothing
	case from == to:
		return done
	case source.kind == Directory && strings.HasPrefix(to, from+"."):
		return refused(&Refusal{Code: IntoItself, Path: from})
	case source.kind == Directory && taken:
		return refused(&Refusal{Code: Exists, Path: to})
	}
	for _, key := range m.below(from) {
		if t := m.nodes[key]; t.temporary() || t.kind == Lock {
			return refused(&Refusal{Code: TempNode, Path: key})
		}
	}
	switch {
	case taken && target.kind != Value:
		return refused(ErrWrongType)
	case target.temporary():
		return refused(&Refusal{Code: TempNode, Path: to})
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
		m.nodes[to+key[len(from):]] = thing{kind: t.kind, value: t.value, created: m.index, deadline: t.deadline}
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
	return doneUnless(m.put(to, value, m.nodes[from].deadline))
}

func (m *model) removeDir(key string, recursive bool, owner Owner) Result {
	t, ok := m.nodes[key]
	switch {
	case !ok:
		return nothing
	case t.kind != Directory:
		return refused(ErrWrongType)
	}
	if no := m.removable(key, owner); no != nil {
		return refused(no)
	}
	if !recursive && m.children(key) > 0 {
		return refused(&Refusal{Code: NotEmpty, Path: key})
	}
	for _, k := range m.below(key) {
		if no := m.removable(k, owner); no != nil {
			return refused(no)
		}
	}
	return Result{Int: m.removeTree(key)}
}

func (m *model) removeTree(key string) int64 {
	all := append(m.below(key), key)
	for _, k := range all {
		m.remove(k)
	}
	return int64(len(all))
}

func (m *model) cas(key, expected, new string) Result {
	if expected == "" && new == "" {
		return refused(ErrInvalid)
	}
	if _, no := m.parentOf(key, m.autoMkdir); no != nil {
		return refused(no)
	}
	t, ok := m.nodes[key]
	if t.kind == Lock {
		return refused(ErrWrongType)
	}
	if t.deadline > 0 {
		return refused(&Refusal{Code: TempNode, Path: key})
	}
	if expected == "" && ok || expected != "" && (!ok || t.kind != Value || t.value != expected) {
		return nothing
	}
	if new == "" {
		m.remove(key)
		return done
	}
	return doneUnless(m.put(key, new, permanent))
}
