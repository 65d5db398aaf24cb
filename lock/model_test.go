package lock

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"
)

// model is a lock as a plain list, the holder in front.
type model struct {
	all   []Participant
	token uint64
}

func (m *model) find(o Owner) int {
	return slices.IndexFunc(m.all, func(p Participant) bool { return p.Owner == o })
}

func (m *model) acquire(now int64, r Request, token uint64) Answer {
	p := Participant{Owner: r.Owner, Ticket: r.Ticket, Lease: r.Lease}
	switch i := m.find(r.Owner); {
	case len(m.all) == 0:
		p.Deadline = now + r.Lease
		m.all, m.token = []Participant{p}, token
		return Granted
	case i == 0:
		p.Deadline = now + r.Lease
		m.all[0] = p
		return Again
	case r.Wait <= 0:
		return Denied
	case i > 0:
		p.Deadline = now + r.Wait
		m.all[i] = p
	default:
		p.Deadline = now + r.Wait
		m.all = append(m.all, p)
	}
	return Queued
}

func (m *model) leave(now int64, i int, token uint64) (c Change) {
	p := m.all[i]
	m.all = slices.Delete(m.all, i, i+1)
	if i > 0 {
		return Change{Left: []Participant{p}}
	}
	c.Freed, c.Token = p, m.token
	for len(m.all) > 0 && m.all[0].Deadline < now {
		c.Left = append(c.Left, m.all[0])
		m.all = m.all[1:]
	}
	if len(m.all) > 0 {
		m.all[0].Deadline = now + m.all[0].Lease
		m.token, c.Granted = token, true
	}
	return c
}

func (m *model) expire(now int64, token uint64) Change {
	first := -1
	for i, p := range m.all {
		if p.Deadline < now && (first < 0 || p.Deadline < m.all[first].Deadline) {
			first = i
		}
	}
	if first < 0 {
		return Change{}
	}
	return m.leave(now, first, token)
}

func compare(t *testing.T, q *Queue, m *model) {
	t.Helper()
	var all []Participant
	if holder, ok := q.Holder(); ok {
		all = append(all, holder)
		if q.Token() != m.token {
			t.Errorf("the token is %d, want %d", q.Token(), m.token)
		}
	}
	q.Waiters(func(p Participant) bool {
		all = append(all, p)
		return true
	})
	due := int64(0)
	for i := range all {
		if due == 0 || all[i].Deadline < due {
			due = all[i].Deadline
		}
		if i > 0 && all[i].Arrived <= all[i-1].Arrived {
			t.Errorf("participant %d arrived at %d, the one before at %d", i, all[i].Arrived, all[i-1].Arrived)
		}
		if p, ok := q.Lookup(all[i].Owner); !ok || p != all[i] {
			t.Errorf("participant %d is looked up as %+v", i, p)
		}
	}
	if q.Due() != due || q.Len() != len(all) {
		t.Errorf("due at %d, want %d; length %d, want %d", q.Due(), due, q.Len(), len(all))
	}
	for i := range all {
		all[i].Arrived = 0
	}
	if !slices.Equal(all, m.all) {
		t.Fatalf("got %v\nwant %v", all, m.all)
	}
}

func same(a, b Change) bool {
	a.Freed.Arrived = 0
	for i := range a.Left {
		a.Left[i].Arrived = 0
	}
	return a.Freed == b.Freed && a.Token == b.Token && a.Granted == b.Granted && slices.Equal(a.Left, b.Left)
}

// Whatever the steps, a Queue does what a list does, and a copy taken anywhere stays as it was.
func TestAQueueDoesWhatAListDoes(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		q, m, now := new(Queue), new(model), int64(1)
		owners := 2 + rng.IntN(40)
		type picture struct {
			q *Queue
			m model
		}
		var pictures []picture
		for step := range 1500 {
			token := uint64(step + 1)
			who := owner("o" + strconv.Itoa(rng.IntN(owners)))
			now += int64(rng.IntN(10))
			switch rng.IntN(8) {
			case 0, 1, 2, 3:
				r := Request{who, Ticket{1, token}, 1 + int64(rng.IntN(100)), int64(rng.IntN(400)) - 50}
				if got, want := q.Acquire(now, r, token), m.acquire(now, r, token); got != want {
					t.Fatalf("seed %d, step %d: answer %d, want %d", seed, step, got, want)
				}
			case 4:
				var want Change
				if i := m.find(who); i >= 0 {
					want = m.leave(now, i, token)
				}
				if got := q.Leave(now, who, token); !same(got, want) {
					t.Fatalf("seed %d, step %d: %+v, want %+v", seed, step, got, want)
				}
			case 5, 6:
				if got, want := q.Expire(now, token), m.expire(now, token); !same(got, want) {
					t.Fatalf("seed %d, step %d: %+v, want %+v", seed, step, got, want)
				}
			case 7:
				lease := 1 + int64(rng.IntN(100))
				held := m.find(who) == 0
				if held {
					m.all[0].Lease, m.all[0].Deadline = lease, now+lease
				}
				if q.Renew(now, who, lease) != held {
					t.Fatalf("seed %d, step %d: renewed", seed, step)
				}
			}
			compare(t, q, m)
			if step%100 == 0 {
				pictures = append(pictures, picture{q, model{slices.Clone(m.all), m.token}})
				q = q.Copy()
			}
		}
		for _, p := range pictures {
			compare(t, p.q, &p.m)
		}
	}
}

// What a step allocates is what it copies: with ten times the waiters it must be a page more, not ten times as much.
func TestAStepDoesNotCostMoreWithTheNumberOfWaiters(t *testing.T) {
	cost := func(n int) (perStep uint64) {
		q := new(Queue)
		step := func(i int) {
			q = q.Copy() // as the state machine does
			q.Acquire(1, Request{owner("o" + strconv.Itoa(i)), Ticket{}, 1000, 1000}, 1)
		}
		for i := range n {
			step(i)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const steps = 500
		for i := range steps {
			step(n + i)                                 // a new waiter
			step(n / 2)                                 // one who asks again
			q = q.Copy()                                //
			q.Leave(1, owner("o"+strconv.Itoa(i)), 1)   // the holder, so that the next has it
			q.Leave(1, owner("o"+strconv.Itoa(n-i)), 1) // one who waits
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / steps
	}
	small, large := cost(1000), cost(10_000)
	t.Logf("four steps allocate %d bytes among 1 000 waiters, %d among 10 000", small, large)
	if large > 2*small {
		t.Errorf("four steps allocate %d bytes among 1 000 waiters, %d among 10 000", small, large)
	}
}
