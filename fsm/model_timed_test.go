package fsm

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dtkv/dtkv/lock"
)

// This file is the model's view of deadlines, owners and locks.

// queue is a lock as a plain list, the holder in front.
type queue struct {
	all   []lock.Participant
	token uint64
}

func (q *queue) find(o Owner) int {
	return slices.IndexFunc(q.all, func(p lock.Participant) bool { return p.Owner == o })
}

func (q *queue) due() int64 {
	due := q.all[0].Deadline
	for _, p := range q.all {
		due = min(due, p.Deadline)
	}
	return due
}

func (q *queue) clone() *queue { return &queue{slices.Clone(q.all), q.token} }

func (q *queue) String() string {
	if q == nil {
		return ""
	}
	s := fmt.Sprintf("token %d", q.token)
	for _, p := range q.all {
		s += fmt.Sprintf(", %x %v lease %d until %d", p.Owner[:1], p.Ticket, p.Lease, p.Deadline)
	}
	return s
}

// queueOf is what a node's lock is in the model, nil for other kinds.
func queueOf(n *Node) *queue {
	if n.Lock() == nil {
		return nil
	}
	holder, _ := n.Lock().Holder()
	q := &queue{[]lock.Participant{holder}, n.Lock().Token()}
	n.Lock().Waiters(func(p lock.Participant) bool {
		q.all = append(q.all, p)
		return true
	})
	for i := range q.all {
		q.all[i].Arrived = 0
	}
	return q
}

func (m *model) after(millis int64) int64 {
	if millis = max(millis, 1); millis > math.MaxInt64-m.now {
		return math.MaxInt64
	}
	return m.now + millis
}

// left goes by the wall clock that the lab gives its entries.
func (m *model) left(millis int64, absolute bool) int64 {
	if wall := 1000 * int64(m.index); absolute {
		return max(millis, math.MinInt64+wall) - wall
	}
	return millis
}

func (m *model) until(t TTL) int64 {
	switch left := m.left(t.Millis, t.Absolute); {
	case left > 0:
		return m.after(left)
	case t.Millis != 0:
		return passed
	case t.Keep:
		return kept
	}
	return permanent
}

func (m *model) removable(key string, o Owner) *Refusal {
	t := m.nodes[key]
	if t.lock != nil {
		t.owner = t.lock.all[0].Owner
	}
	if t.temporary() && t.owner != o {
		return &Refusal{Code: NotOwner, Path: key}
	}
	return nil
}

func (m *model) owned(key string, o Owner) *Refusal {
	switch t := m.nodes[key]; {
	case !t.temporary():
		return &Refusal{Code: NotTemp, Path: key}
	case t.owner != o:
		return &Refusal{Code: NotOwner, Path: key}
	}
	return nil
}

// placeOf refuses what needs an owner and a place for it.
func (m *model) placeOf(key string, o Owner, mkdir bool) (missing []string, no *Refusal) {
	if o == (Owner{}) {
		return nil, &Refusal{Code: NotOwner, Path: key}
	}
	if missing, no = m.parentOf(key, mkdir); no != nil {
		return nil, no
	}
	for _, k := range m.parents(key) {
		if m.nodes[k].temporary() {
			return nil, &Refusal{Code: UnderTemp, Path: k}
		}
	}
	return missing, nil
}

func timedKeyOf(op Op) [][]byte {
	switch o := op.(type) {
	case *Expire:
		return [][]byte{o.Key}
	case *Persist:
		return [][]byte{o.Key}
	case *GetExpire:
		return [][]byte{o.Key}
	case *PutTemp:
		return [][]byte{o.Key}
	case *UpdateTTL:
		return [][]byte{o.Key}
	case *RemoveOwned:
		return [][]byte{o.Key}
	case *AcquireLock:
		return [][]byte{o.Key}
	case *ReleaseLock:
		return [][]byte{o.Key}
	case *RenewLock:
		return [][]byte{o.Key}
	case *LeaveLock:
		return [][]byte{o.Key}
	}
	return nil
}

func (m *model) foldTimed(op Op) Result {
	switch o := op.(type) {
	case *Expire:
		return m.expire(o)
	case *Persist:
		_, ok, no := m.plain(string(o.Key))
		if no != nil {
			return refused(no)
		}
		if !ok || m.nodes[string(o.Key)].deadline == 0 {
			return nothing
		}
		m.live(string(o.Key), 0)
		return done
	case *GetExpire:
		return m.getExpire(o)
	case *PutTemp:
		return m.putTemp(o)
	case *UpdateTTL:
		if _, ok := m.nodes[string(o.Key)]; !ok {
			return nothing
		}
		if no := m.owned(string(o.Key), o.Owner); no != nil {
			return refused(no)
		}
		m.live(string(o.Key), m.after(o.Millis))
		return done
	case *RemoveOwned:
		return m.removeAll([][]byte{o.Key}, o.Owner)
	case *AcquireLock:
		return m.acquire(o)
	case *ReleaseLock:
		return m.release(string(o.Key), o.Owner)
	case *RenewLock:
		return m.renew(o)
	case *LeaveLock:
		t := m.nodes[string(o.Key)]
		if t.lock == nil {
			return nothing
		}
		if i := t.lock.find(o.Owner); i < 0 || t.lock.all[i].Ticket != o.Ticket {
			return nothing
		}
		return m.release(string(o.Key), o.Owner)
	case *RetainProcesses:
		return m.retain(o.Processes)
	case *ExpireDue:
		return m.expireDue(o.Limit)
	}
	panic(fmt.Sprintf("the model does not know %T", op))
}

// live moves a deadline and nothing else.
func (m *model) live(key string, deadline int64) {
	t := m.nodes[key]
	t.deadline = deadline
	m.nodes[key] = t
}

func (m *model) expire(o *Expire) Result {
	key := string(o.Key)
	_, ok, no := m.plain(key)
	if no != nil {
		return refused(no)
	}
	left := m.left(o.Millis, o.Absolute)
	old, at := m.nodes[key].deadline, m.now+min(left, 0)
	if left > 0 {
		at = m.after(left)
	}
	lives, endless := old != 0, int64(math.MaxInt64)
	if !lives {
		old = endless
	}
	holds := map[TTLCondition]bool{
		IfAny: true, IfNoTTL: !lives, IfTTL: lives, IfLonger: lives && at > old, IfShorter: at < old || !lives, IfTTLAndShorter: lives && at < old,
	}[o.If]
	if !ok || !holds {
		return nothing
	}
	if left <= 0 {
		m.remove(key)
	} else {
		m.live(key, at)
	}
	return done
}

func (m *model) getExpire(o *GetExpire) Result {
	key := string(o.Key)
	value, ok, no := m.plain(key)
	if no != nil {
		return refused(no)
	}
	if !ok {
		return nothing
	}
	switch {
	case o.Persist:
		m.live(key, 0)
	case m.left(o.TTL.Millis, o.TTL.Absolute) > 0:
		m.live(key, m.after(m.left(o.TTL.Millis, o.TTL.Absolute)))
	case o.TTL.Millis != 0:
		m.remove(key)
	}
	return Result{Value: value, Found: true}
}

func (m *model) putTemp(o *PutTemp) Result {
	key := string(o.Key)
	if o.Owner != (Owner{}) && len(o.Value) > m.maxValue {
		return refused(ErrTooLong)
	}
	missing, no := m.placeOf(key, o.Owner, m.autoMkdir)
	if no != nil {
		return refused(no)
	}
	if t, ok := m.nodes[key]; ok {
		if t.kind == Lock {
			return refused(ErrWrongType)
		}
		if no := m.owned(key, o.Owner); no != nil {
			return refused(no)
		}
		if t.kind != Value {
			return refused(ErrWrongType)
		}
	}
	m.place(key, missing, thing{kind: Value, value: string(o.Value), deadline: m.after(o.Millis), owner: o.Owner})
	return done
}

func (m *model) makeDir(o *MakeDir) Result {
	key := string(o.Key)
	temporary := o.Millis != 0
	missing, no := m.parentOf(key, m.autoMkdir || o.Parents)
	if temporary {
		missing, no = m.placeOf(key, o.Owner, m.autoMkdir || o.Parents)
	}
	if no != nil {
		return refused(no)
	}
	t, ok := m.nodes[key]
	switch {
	case !ok:
		t = thing{kind: Directory}
		if temporary {
			t.deadline, t.owner = m.after(o.Millis), o.Owner
		}
		m.place(key, missing, t)
		return done
	case t.kind != Directory:
		return refused(ErrWrongType)
	case temporary:
		if no := m.owned(key, o.Owner); no != nil {
			return refused(no)
		}
		m.live(key, m.after(o.Millis))
	case t.temporary():
		return refused(&Refusal{Code: TempNode, Path: key})
	}
	return nothing
}

func (m *model) acquire(o *AcquireLock) Result {
	key := string(o.Key)
	missing, no := m.placeOf(key, o.Owner, m.autoMkdir)
	if no != nil {
		return refused(no)
	}
	p := lock.Participant{Owner: o.Owner, Ticket: o.Ticket, Lease: max(o.Lease, 1)}
	t, ok := m.nodes[key]
	if !ok {
		m.tokens++
		p.Deadline = m.after(o.Lease)
		m.place(key, missing, thing{kind: Lock, lock: &queue{[]lock.Participant{p}, m.tokens}})
		return Result{Found: true, Int: int64(m.tokens)}
	}
	if t.kind != Lock {
		return refused(ErrWrongType)
	}
	q := t.lock.clone()
	t.lock = q
	switch i := q.find(o.Owner); {
	case i == 0:
		p.Deadline = m.after(o.Lease)
		q.all[0] = p
		m.nodes[key] = t
		return Result{Found: true, Int: int64(q.token)}
	case o.Wait <= 0:
		return nothing
	case i > 0:
		p.Deadline = m.after(o.Wait)
		q.all[i] = p
	default:
		p.Deadline = m.after(o.Wait)
		q.all = append(q.all, p)
	}
	m.nodes[key] = t
	return done
}

func (m *model) release(key string, o Owner) Result {
	t, ok := m.nodes[key]
	if ok && t.kind != Lock {
		return refused(ErrWrongType)
	}
	if !ok || o == (Owner{}) || t.lock.find(o) < 0 {
		return nothing
	}
	m.takeOut(key, t.lock.find(o))
	return done
}

// takeOut takes a participant out of a lock and returns how many left.
func (m *model) takeOut(key string, i int) (left int64) {
	t := m.nodes[key]
	t.lock = t.lock.clone()
	q := t.lock
	q.all = slices.Delete(q.all, i, i+1)
	left = 1
	if i > 0 {
		m.nodes[key] = t
		return left
	}
	for len(q.all) > 0 && q.all[0].Deadline < m.now {
		q.all = q.all[1:]
		left++
	}
	if len(q.all) == 0 {
		m.remove(key)
		return left
	}
	m.tokens++
	q.token = m.tokens
	q.all[0].Deadline = m.after(q.all[0].Lease)
	m.nodes[key] = t
	m.stamp(key)
	return left
}

func (m *model) renew(o *RenewLock) Result {
	key := string(o.Key)
	t, ok := m.nodes[key]
	if ok && t.kind != Lock {
		return refused(ErrWrongType)
	}
	if !ok || t.lock.find(o.Owner) != 0 {
		return refused(&Refusal{Code: NotOwner, Path: key})
	}
	t.lock = t.lock.clone()
	t.lock.all[0].Lease, t.lock.all[0].Deadline = max(o.Lease, 1), m.after(o.Lease)
	m.nodes[key] = t
	return Result{Int: int64(t.lock.token)}
}

func (m *model) retain(processes []uint64) (r Result) {
	for key, t := range m.nodes {
		if t.lock == nil {
			continue
		}
		q := &queue{token: t.lock.token}
		for i, p := range t.lock.all {
			if i == 0 || slices.Contains(processes, p.Ticket.Process) {
				q.all = append(q.all, p)
			} else {
				r.Int++
			}
		}
		t.lock = q
		m.nodes[key] = t
	}
	return r
}

func (t thing) due() int64 {
	if t.lock != nil {
		return t.lock.due()
	}
	return t.deadline
}

func (m *model) expireDue(limit int64) (r Result) {
	for {
		var keys []string
		for key, t := range m.nodes {
			if t.due() > 0 && t.due() < m.now {
				keys = append(keys, key)
			}
		}
		if len(keys) == 0 {
			return r
		}
		if r.Int >= limit {
			r.Found = true
			return r
		}
		key := slices.MinFunc(keys, func(a, b string) int {
			return cmp.Or(cmp.Compare(m.nodes[a].due(), m.nodes[b].due()), strings.Compare(a, b))
		})
		if m.nodes[key].lock == nil {
			r.Int += m.removeTree(key)
			continue
		}
		for t := m.nodes[key]; t.lock != nil && t.lock.due() < m.now && r.Int < limit; t = m.nodes[key] {
			first := 0
			for i, p := range t.lock.all {
				if p.Deadline < t.lock.all[first].Deadline {
					first = i
				}
			}
			r.Int += m.takeOut(key, first)
		}
	}
}
