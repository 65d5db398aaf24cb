package ttl

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// Tick is the longest that a leader goes without a stamp while deadlines exist. It is a part of MaxStep, so that a
	// busy moment costs no time and only a pause is capped.
	Tick = 250 * time.Millisecond

	// BatchLimit is how many nodes one proposal of the loop removes at most. Other writes wait no longer than that takes.
	BatchLimit = 1000

	// Never is the deadline of a state that has none.
	Never = math.MaxInt64
)

// Bounds on the wait after a proposal that failed; each wait is twice the one before.
const (
	shortestPause = 10 * time.Millisecond
	longestPause  = Tick
)

// Group is what a Loop needs of its Raft group. Only the loop's goroutine calls it.
type Group interface {
	// Leading reports whether this node leads and may propose. When it begins to, it must call Wake.
	Leading() bool

	// ClusterMillis returns the stamp that an entry would get now, in milliseconds.
	ClusterMillis() int64

	// ExpireDue proposes the removal of at most about limit nodes that are due, and returns when it is applied here and
	// Note has been told. More is whether others are due. Any error leaves open whether it happened, which does not
	// matter: to propose it again removes nothing that is not due.
	ExpireDue(limit int64) (more bool, err error)
}

// Loop proposes, while its node leads, that what is due goes. It sleeps until the earliest deadline, but never longer than
// Tick while there is one, since each proposal also moves the cluster clock. It has one proposal in flight at a time,
// and needs no goroutine, timer or entry in a queue per key.
//
// Goroutines: Run is the owner's; Note and Wake are called by others.
type Loop struct {
	group Group
	next  atomic.Int64  // the earliest deadline, in cluster milliseconds; Never if there is none
	armed atomic.Int64  // the cluster time before which Run looks again without being told
	wake  chan struct{} // room for one
}

// awake as the armed time says that Run looks at next before it sleeps, or that it has no use for it.
const awake = math.MinInt64

// NewLoop returns a loop that does nothing until Run is called.
func NewLoop(g Group) *Loop {
	l := &Loop{group: g, wake: make(chan struct{}, 1)}
	l.next.Store(Never)
	l.armed.Store(awake)
	return l
}

// Note tells the loop the earliest deadline of the state that was just applied, in cluster milliseconds, or Never. Only
// the applying goroutine may call it. It never blocks, and costs one atomic read when the deadline is the one of before.
func (l *Loop) Note(deadline int64) {
	if deadline == l.next.Load() {
		return
	}
	l.next.Store(deadline) // before armed is read: Run writes that first, and then reads this
	if deadline < l.armed.Load() {
		l.Wake()
	}
}

// Wake makes the loop look at its group: leadership has begun. It never blocks.
func (l *Loop) Wake() {
	select {
	case l.wake <- struct{}{}:
	default: // it has been told and has not looked yet
	}
}

// Run works until stop is closed.
func (l *Loop) Run(stop <-chan struct{}) {
	timer := time.NewTimer(Tick)
	defer timer.Stop()
	last := time.Now() // when a stamp was last proposed, or not yet needed
	var pause time.Duration
	for {
		wait, idle := l.arm(last)
		if idle || wait > 0 {
			var due <-chan time.Time
			if !idle {
				timer.Reset(wait)
				due = timer.C
			}
			select {
			case <-stop:
				return
			case <-due:
			case <-l.wake:
			}
			if idle {
				last = time.Now() // the entry with the first deadline had a stamp, and so has the next leader's clock
			}
			continue
		}
		last = time.Now()
		if l.expire() || !l.group.Leading() {
			pause = 0
			continue
		}
		pause = min(max(2*pause, shortestPause), longestPause)
		timer.Reset(pause)
		select {
		case <-stop:
			return
		case <-timer.C:
		}
	}
}

// arm returns how long to sleep, or that there is nothing to wait for but Wake and a first deadline.
func (l *Loop) arm(last time.Time) (wait time.Duration, idle bool) {
	l.armed.Store(awake)
	if !l.group.Leading() {
		return 0, true
	}
	for {
		next, at := l.next.Load(), int64(Never)
		if next != Never {
			now := l.group.ClusterMillis()
			wait = Tick - time.Since(last)
			if until := untilPast(next, now); until < wait {
				wait = until
			}
			if wait <= 0 {
				return 0, false
			}
			at = min(next, now+wait.Milliseconds())
		}
		l.armed.Store(at)
		if l.next.Load() >= at { // else Note came before at could be read there
			return wait, next == Never
		}
	}
}

// untilPast returns how long it takes from now until the clock has passed the deadline, at most about Tick.
func untilPast(deadline, now int64) time.Duration {
	const most = int64(Tick / time.Millisecond)
	if deadline >= now+most {
		return Tick
	}
	return time.Duration(deadline+1-now) * time.Millisecond
}

// expire proposes until nothing more is due, and reports whether that is so.
func (l *Loop) expire() bool {
	for {
		now := l.group.ClusterMillis()
		more, err := l.group.ExpireDue(BatchLimit)
		if err != nil {
			return false
		}
		if !more {
			return l.next.Load() >= now // else the state kept what is due: to ask again at once would not help
		}
	}
}
