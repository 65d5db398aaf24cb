package linear

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/dtkv/dtkv/tests/harness"
)

const (
	locks       = 16              // at a time
	actsPerLock = 320             // commands sent for each lock in one round
	abandons    = 2               // requests of each lock whose client hangs up; more would make everything possible
	keeps       = 2 * time.Second // a restarted node lets those who waited ask again for so long
)

// A lock has one holder, whose lease never ends early; who waits is served in the order of arrival; an owner who asks
// again after a lost reply, or a lost server, has what it had.
func TestLocksAreLinearizable(t *testing.T) {
	r := newServerRig(t)
	histories := map[string][]porcupine.Operation{}
	var grants []grant
	for round := range *rounds {
		var done sync.WaitGroup
		var sent atomic.Int64
		all := r.useLocks(t, round, &done, &sent)
		harness.Eventually(t, "half of the commands", func() bool { return sent.Load() > locks*actsPerLock/2 || !r.server.Alive() })
		r.restart(t)
		done.Wait()
		for _, c := range all {
			histories[c.key] = c.history()
			grants = append(grants, c.grants()...)
		}
		r.report(t)
	}
	t.Logf("%d commands for %d locks, %d grants, %d kills, in %s", r.sent.Load(), len(histories), len(grants), len(r.deaths), time.Since(r.began))
	tokensGrow(t, grants)
	checkAll(t, lockModel(), histories)
}

// useLocks has clients compete for new locks.
func (r *rig) useLocks(t *testing.T, round int, done *sync.WaitGroup, sent *atomic.Int64) []*contest {
	t.Helper()
	owners := 5 // with short leases more would leave too many ways to be told apart
	if r.cluster != nil {
		owners = lockOwners
	}
	all := make([]*contest, locks)
	conn := harness.Dial(t, r.address(0))
	defer conn.Close()
	for i := range all {
		all[i] = &contest{rig: r, key: fmt.Sprintf("lock-%d-%d", round, i), owners: owners, sent: sent}
		all[i].learn(t, conn)
	}
	for i, c := range all {
		c.begin(done, (round*locks+i)*lockOwners)
	}
	return all
}

// contest is one lock and those who compete for it.
type contest struct {
	rig    *rig
	key    string
	owners int
	sent   *atomic.Int64 // by all contests
	acts   atomic.Int64

	mu  sync.Mutex
	ops []lockOp
	ids int
	who map[string]int // owners by what replies show of them
}

// begin starts one goroutine for each owner. They end when the lock has had its share of commands.
func (c *contest) begin(done *sync.WaitGroup, number int) {
	for owner := 1; owner <= c.owners; owner++ {
		done.Go(func() {
			p := contender{contest: c, client: c.rig.client(number + owner), owner: owner, id: c.id(owner)}
			defer p.close()
			for c.acts.Add(1) <= actsPerLock {
				p.act()
				c.sent.Add(1)
			}
		})
	}
}

// learn asks the server how it shows the owners.
func (c *contest) learn(t *testing.T, conn *harness.Conn) {
	t.Helper()
	c.who = map[string]int{}
	for owner := 1; owner <= c.owners; owner++ {
		conn.Want(t, "+OK\r\n", "DTKV.OWNER", c.id(owner))
		c.who[bare(conn.Must(t, "DTKV.OWNER"))] = owner
	}
}

func (c *contest) id(owner int) string { return fmt.Sprintf("%s-owner-%d", c.key, owner) }

// contender is one owner.
type contender struct {
	*contest
	*client
	owner int
	id    string
	holds bool // the lock, perhaps
	doubt bool // what came of the latest command is unknown
}

// act sends one command and notes what came of it. Most leases are so short that they end while others wait.
//
// In a cluster none should end, and who does not have the lock looks at it, rather than to try in vain what may then be in doubt:
// so the checker has less to try.
func (p *contender) act() {
	if p.doubt {
		p.look() // first of all, as everybody should; and so one failure leaves each client in doubt once
		return
	}
	lease := time.Duration(1+p.random.IntN(40)) * time.Millisecond
	if p.random.IntN(10) == 0 {
		lease = 10 * time.Second
	}
	wait := time.Duration(1+p.random.IntN(60)) * time.Millisecond
	if p.random.IntN(10) == 0 {
		wait = 3 * time.Second
	}
	if p.client.rig.cluster != nil {
		lease += 10 * time.Second
		wait += 5 * time.Second
	}
	n := p.random.IntN(100)
	if p.client.rig.cluster != nil && n >= 15 && !p.holds && !(p.patient() && n < 50) {
		time.Sleep(time.Duration(p.random.IntN(15)) * time.Millisecond) // or most of the history would be looks
		n = 99
	}
	switch {
	case n < 20:
		p.tryLock(lease)
	case n < 50:
		p.lock(lease, wait)
	case n < 53 && p.client.rig.cluster == nil: // in a cluster, no client can know when a place is given up
		p.hangUp(lease, wait)
	case n < 75:
		a := p.send("DTKV.UNLOCK", p.key, "OWNER", p.id)
		p.note(a, lockOp{act: release, done: a.reply == "1"}, "0", "1")
	case n < 88:
		a := p.send("DTKV.RENEW", p.key, millis(lease), "OWNER", p.id)
		p.note(a, lockOp{act: renew, lease: int64(lease), token: number(a.reply)}, "NOTOWNER", "token")
	default:
		p.look()
	}
}

// patient reports whether this owner waits for the lock. In a cluster only some do: of those whose fate is in doubt, the checker
// must try each order in which they may have come.
func (p *contender) patient() bool { return p.owner <= 3 }

func (p *contender) tryLock(lease time.Duration) {
	a := p.send("DTKV.LOCK", p.key, millis(lease), "OWNER", p.id)
	p.note(a, lockOp{act: acquire, lease: int64(lease), token: number(a.reply)}, "null", "token")
}

func (p *contender) lock(lease, wait time.Duration) {
	a := p.send("DTKV.LOCK", p.key, millis(lease), "WAIT", millis(wait), "OWNER", p.id)
	op := lockOp{act: ask, lease: int64(lease), wait: int64(wait), id: p.nextID(), token: number(a.reply)}
	switch {
	case p.client.rig.cluster != nil && a.unknown: // the leader has those leave whose node is gone, which that node may not know yet
		op.leaves = a.call
	case a.unknown:
		op.leaves = min(a.ret, never-int64(keeps)) + int64(keeps)
	}
	p.note(a, op, "null", "token")
	if a.unknown {
		return
	}
	p.note(a, lockOp{act: told, id: op.id, token: op.token}, "null", "token")
}

// hangUp waits for the lock on a connection that it closes, perhaps while it waits.
func (p *contender) hangUp(lease, wait time.Duration) {
	after := time.Duration(p.random.IntN(30)) * time.Millisecond
	a, closed := p.abandon(after, "DTKV.LOCK", p.key, millis(lease), "WAIT", millis(wait), "OWNER", p.id)
	p.note(a, lockOp{act: ask, lease: int64(lease), wait: int64(wait), id: p.nextID(), leaves: closed, yields: closed})
}

func (p *contender) look() {
	a := p.send("DTKV.LOCKINFO", p.key)
	if a.unknown {
		return // It changed nothing, and said nothing.
	}
	p.doubt = false
	op := lockOp{act: lockInfo}
	if fields := strings.Split(a.reply, "\r\n"); len(fields) == 18 { // held, token, remaining-ms, waiters, owner
		op.token, op.waiters = number(fields[6][1:]), int(number(fields[12][1:]))
		op.owner = p.who[fields[16]]
		if op.owner == 0 {
			p.contest.rig.fail("%s is held by a stranger: %q", p.key, a.reply)
		}
	} else if a.reply != "null" {
		p.contest.rig.fail("DTKV.LOCKINFO %s: %q", p.key, a.reply)
	}
	p.record(a, op)
}

// note records an operation of this owner, and complains about replies that it cannot have.
func (p *contender) note(a answer, op lockOp, allowed ...string) {
	op.owner, op.unknown = p.owner, a.unknown
	p.holds, p.doubt = a.unknown || op.token > 0, a.unknown
	ok := a.unknown
	for _, reply := range allowed {
		ok = ok || a.reply == reply || reply == "token" && number(a.reply) > 0
	}
	if !ok {
		p.contest.rig.fail("%s: %q", op, a.reply)
	}
	p.record(a, op)
}

func (p *contender) record(a answer, op lockOp) {
	op.call, op.ret = a.call, a.ret
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ops = append(p.ops, op)
}

func (p *contender) nextID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids++
	return p.ids
}

// history is what happened to the lock.
func (c *contest) history() []porcupine.Operation {
	inOrder(c.ops)
	var all []porcupine.Operation
	end := lockOp{act: theEnd, ret: never}
	for _, op := range c.ops {
		if op.ret != never {
			end.call = max(end.call, op.ret+1)
		}
	}
	for _, op := range append(c.ops, end) {
		op.end = end.call
		all = append(all, porcupine.Operation{ClientId: max(op.owner-1, 0), Input: op, Call: op.call, Return: op.ret})
	}
	return all
}

// grant is a token, and the span of time in which it was first given.
type grant struct {
	key           string
	token         int64
	owner         int
	since, seenBy int64
}

// grants returns the tokens of the lock. One may be older than the command whose reply showed it, if an earlier one of the
// same owner went without a reply.
func (c *contest) grants() []grant {
	first := map[int64]grant{}
	for _, op := range c.ops {
		if op.act != acquire && op.act != told || op.token == 0 {
			continue
		}
		g := grant{c.key, op.token, op.owner, op.call, op.ret}
		for _, lost := range c.ops {
			if lost.owner == op.owner && lost.unknown && (lost.act == acquire || lost.act == ask) {
				g.since = min(g.since, lost.call)
			}
		}
		if before, ok := first[op.token]; ok {
			if before.owner != op.owner {
				c.rig.fail("%s: owners %d and %d had the same token %d", c.key, before.owner, op.owner, op.token)
			}
			g.since, g.seenBy = min(g.since, before.since), min(g.seenBy, before.seenBy)
		}
		first[op.token] = g
	}
	var all []grant
	for _, g := range first {
		all = append(all, g)
	}
	return all
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
