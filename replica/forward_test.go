package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtkv/dtkv/fsm"
)

func TestAnyNodeTakesWrites(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.leader(-1)
	const clients, each = 8, 25
	var mu sync.Mutex
	seen := map[int64]bool{}
	var wg sync.WaitGroup
	for i := range c.nodes {
		g := c.group(i)
		if err := g.Ready(testContext(t)); err != nil {
			t.Fatal(err)
		}
		for range clients {
			wg.Go(func() {
				p := proposal(&fsm.Increment{Key: []byte("n"), By: 1})
				for range each {
					if err := g.Propose(testContext(t), p); err != nil {
						t.Errorf("node %d: %v", i+1, err)
						return
					}
					mu.Lock()
					if n := p.Results[0].Int; seen[n] {
						t.Errorf("node %d: %d a second time", i+1, n)
					} else {
						seen[n] = true
					}
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	for i := range c.nodes {
		if got, want := get(t, c.group(i), "n"), fmt.Sprint(len(c.nodes)*clients*each); got != want {
			t.Errorf("node %d reads %s, want %s", i+1, got, want)
		}
		if s := c.group(i).Status(); (s.Forwarded > 0) == s.Ready {
			t.Errorf("node %d: leader %v, %d entries forwarded", i+1, s.Ready, s.Forwarded)
		}
	}
}

func TestFollowersSeeTheirTransactions(t *testing.T) {
	c := startCluster(t, 3, nil)
	g := c.group((c.leader(-1) + 1) % 3)
	p := proposal(setTo("k", "0"), &fsm.Txn{Ops: []fsm.Op{setTo("k", "1"), setTo("k", "2")}})
	var seen []string
	p.See = func(op, pos int, v fsm.View) {
		n, _ := v.Lookup([]byte("k"))
		seen = append(seen, fmt.Sprintf("%d/%d=%s", op, pos, n.Value))
	}
	if err := g.Propose(testContext(t), p); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(seen, " "); got != "1/0=0 1/1=1 1/2=2" {
		t.Fatalf("seen %q", got)
	}
	fates := make(chan error, 2)
	var list []*Proposal
	for i := range 2 {
		p := proposal(setTo(fmt.Sprint("k", i), "v"))
		p.Done = func(err error) { fates <- err }
		list = append(list, p)
	}
	if !g.Submit(list) {
		t.Fatal("a follower with a leader refused")
	}
	for range list {
		if err := <-fates; err != nil {
			t.Error(err)
		}
	}
}

func TestLargeEntriesAreForwarded(t *testing.T) {
	c := startCluster(t, 3, nil)
	value := text(1 << 20)
	var g *Group
	eventually(t, "an entry of 5 MiB to be forwarded and applied", func() bool {
		p := &Proposal{}
		for i := range 5 {
			p.Ops = setTo(fmt.Sprint("k", i), value).AppendTo(p.Ops)
			p.N++
		}
		g = c.group((c.leader(-1) + 1) % 3)
		err := g.Propose(testContext(t), p)
		if err != nil && !errors.Is(err, ErrInDoubt) { // a slow machine may have taken longer than an election to store it
			t.Fatal(err)
		}
		return err == nil
	})
	if got := get(t, g, "k4"); got != value {
		t.Fatalf("%d bytes came back", len(got))
	}
	if err := g.Propose(testContext(t), &Proposal{Ops: make([]byte, MaxProposal+1), N: 1}); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
}

// stalled is three voters with a leader whose main loop stands still, holding one entry of a follower.
func stalled(t *testing.T) (c *cluster, leader int, resume func(), fate chan error) {
	stalls := []*stallPoint{newStallPoint(), newStallPoint(), newStallPoint()}
	c = startCluster(t, 3, func(i int, cfg *Config) {
		cfg.stall, cfg.DiskStall, cfg.ElectionWait = stalls[i], time.Hour, testTimeout
	})
	leader = c.leader(-1)
	g := c.group((leader + 1) % 3)
	mustSet(t, g, "x", "1") // the stream stands
	stalls[leader].on.Store(true)
	fate = make(chan error, 1)
	go func() { fate <- g.Propose(context.Background(), proposal(setTo("x", "2"))) }()
	<-stalls[leader].entered
	return c, leader, func() { stalls[leader].on.Store(false); close(stalls[leader].released) }, fate
}

// The answer is lost, but not the entry.
func TestAnEntryWhoseAnswerIsLostIsRecognised(t *testing.T) {
	c, leader, resume, fate := stalled(t)
	g := c.group((leader + 1) % 3)
	g.link.Load().end(errors.New("cut by the test"))
	eventually(t, "notice of the cut", func() bool {
		g.proposals.mu.Lock()
		defer g.proposals.mu.Unlock()
		return len(g.proposals.doubtful) == 1
	})
	resume()
	if err := <-fate; err != nil {
		t.Errorf("the write: %v", err)
	}
	if got := get(t, g, "x"); got != "2" {
		t.Errorf("x = %s", got)
	}
}

// The leader is lost with the entry. It is not sent to the next one, since it might come twice.
func TestAnEntryThatIsLostWithItsLeaderIsInDoubt(t *testing.T) {
	c, leader, resume, fate := stalled(t)
	g := c.group((leader + 1) % 3)
	c.isolate(leader, true)
	if err := <-fate; !errors.Is(err, ErrInDoubt) {
		t.Errorf("the write: %v, want ErrInDoubt", err)
	}
	if got := get(t, g, "x"); got != "1" {
		t.Errorf("x = %s: somebody sent the entry again", got)
	}
	if n := g.Status().InDoubt; n != 1 {
		t.Errorf("%d proposals are counted as in doubt", n)
	}
	c.isolate(leader, false)
	resume()
	c.agree()
}

// What never entered the log goes to the next leader, and nobody notices.
func TestTransfersOfLeadershipAreNotNoticed(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.ElectionWait = testTimeout })
	c.leader(-1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var wrote [3]int
	for i := range c.nodes {
		wg.Go(func() {
			p := proposal(&fsm.Increment{Key: []byte("n"), By: 1})
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.group(i).Propose(context.Background(), p); err != nil {
					t.Errorf("node %d: %v", i+1, err)
					return
				}
				wrote[i]++
			}
		})
	}
	for range 5 {
		leader := c.leader(-1)
		if err := c.group(leader).raft.LeadershipTransfer().Error(); err != nil {
			t.Log(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	if got, want := get(t, c.group(0), "n"), fmt.Sprint(wrote[0]+wrote[1]+wrote[2]); got != want {
		t.Errorf("the counter stands at %s after %s increments", got, want)
	}
}

func TestWritesWaitForTheNextLeader(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.ElectionWait = testTimeout })
	leader := c.leader(-1)
	g := c.group((leader + 1) % 3)
	mustSet(t, g, "x", "1")
	old := g.Status().LeaderID
	c.stop(leader)
	// What is sent before this node knows may be in doubt, and rightly so.
	eventually(t, "news that the leader is gone", func() bool { return g.Status().LeaderID != old })
	mustSet(t, g, "x", "2")
}

func writeRequest(term, origin, number uint64, op fsm.Op) []byte {
	payload := op.AppendTo(make([]byte, fsm.HeaderSize))
	binary.LittleEndian.PutUint64(payload[offsetWriteTerm:], term)
	binary.LittleEndian.PutUint64(payload[offsetWriteOrigin:], origin)
	binary.LittleEndian.PutUint64(payload[offsetWriteNumber:], number)
	binary.LittleEndian.PutUint32(payload[offsetWriteCount:], 1)
	return payload
}

func TestALeaderTakesEntriesOfItsOwnTermOnly(t *testing.T) {
	n, g := openSingle(t, Config{})
	defer closeNode(t, n)
	term := g.ready.Load()
	s := &session{}
	ask := func(payload []byte) string {
		answered := make(chan string, 1)
		g.proposals.takeWrite(s, payload, func(data []byte, err error) {
			if err != nil {
				answered <- err.Error()
			} else {
				answered <- fmt.Sprint(data[0])
			}
		})
		return <-answered
	}
	expect := func(what string, payload []byte, want string) {
		t.Helper()
		if got := ask(payload); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	applied, refused := fmt.Sprint(writeApplied), fmt.Sprint(writeRefused)
	expect("an entry", writeRequest(term, 7, 1, setTo("a", "1")), applied)
	expect("of an older term", writeRequest(term-1, 7, 2, setTo("a", "2")), refused)
	expect("what was sent behind it", writeRequest(term, 7, 3, setTo("a", "3")), refused)
	if got := get(t, g, "a"); got != "1" {
		t.Errorf("a = %s", got)
	}
	g.proposals.welcome(s)
	expect("when the node has asked again", writeRequest(term, 7, 4, setTo("a", "4")), applied)
	if got := get(t, g, "a"); got != "4" {
		t.Errorf("a = %s", got)
	}
	g.proposals.limit = 10
	expect("too much", writeRequest(term, 7, 5, setTo("a", text(1000))), refused)
	g.proposals.welcome(s)
	expect("no whole header", []byte("short"), errDamaged.Error())
	if q := g.proposals; q.waiting != 0 || len(q.guests) != 0 {
		t.Errorf("%d bytes, %d guests are left", q.waiting, len(q.guests))
	}
}

// What a leader cannot read would stop every node if it were in the log: the clients are told, and all goes on.
func TestALeaderKeepsOutWhatItCannotRead(t *testing.T) {
	c := startCluster(t, 3, nil)
	g := c.group((c.leader(-1) + 1) % 3)
	mustSet(t, g, "x", "1")
	whole := setTo("x", "2").AppendTo(nil)
	for name, p := range map[string]*Proposal{
		"an operation of a newer release": {N: 1, Ops: []byte{200, 1, 2}},
		"one that is cut off":             {N: 1, Ops: whole[:len(whole)-1]},
		"more than there are":             {N: 2, Ops: whole},
		"a leader's":                      {N: 1, Ops: (&fsm.LeaderStart{}).AppendTo(nil)},
	} {
		if err := g.Propose(t.Context(), p); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v, want %v", name, err, ErrForeign)
		}
		mustSet(t, g, "x", name)
	}
	for i := range c.nodes {
		mustSet(t, c.group(i), "y", "1")
	}
}

func TestNodesTakeTurns(t *testing.T) {
	q := &proposals{}
	names := map[*batch]string{}
	add := func(name string, g *guest) *batch {
		b := &batch{buf: make([]byte, fsm.HeaderSize), guest: g}
		names[b] = name
		return b
	}
	a, b := &guest{}, &guest{}
	for i := range 3 {
		q.queue = append(q.queue, add(fmt.Sprint("own", i), nil))
		a.queue = append(a.queue, add(fmt.Sprint("a", i), a))
		if i < 2 {
			b.queue = append(b.queue, add(fmt.Sprint("b", i), b))
		}
	}
	q.guests = []*guest{a, b}
	var order []string
	for range 8 {
		next := q.next()
		if next == nil {
			break
		}
		order = append(order, names[next])
	}
	if got := fmt.Sprint(order); got != "[own0 a0 b0 own1 a1 b1 own2 a2]" {
		t.Error(got)
	}
}

func TestDoubtfulEntriesAreBounded(t *testing.T) {
	n, g := openSingle(t, Config{})
	defer closeNode(t, n)
	q := g.proposals
	fates := make(chan error, maxDoubtful+5)
	q.mu.Lock()
	for range maxDoubtful + 5 {
		q.doubt(&batch{term: 1 << 40, waiting: []*Proposal{{Done: func(err error) { fates <- err }}}})
	}
	left := len(q.doubtful)
	q.mu.Unlock()
	if left != maxDoubtful || len(fates) != 5 {
		t.Errorf("%d are waited for, %d were given up", left, len(fates))
	}
	for range maxDoubtful + 5 {
		if err := <-fates; !errors.Is(err, ErrInDoubt) {
			t.Fatal(err)
		}
	}
}

// Who has waited for a leader, then sent its entry, and then lost the leader, has waited for the election wait once, not three
// times: clients have a patience of their own, and repeat what they have lost it with.
func TestWaitsDoNotAddUp(t *testing.T) {
	const wait = time.Hour
	n, g := openSingle(t, Config{ElectionWait: wait})
	defer closeNode(t, n)
	q, p := g.proposals, &Proposal{done: make(chan error, 1)}
	old := &batch{begun: time.Now().Add(-wait), buf: make([]byte, fsm.HeaderSize), waiting: []*Proposal{p}}
	q.mu.Lock()
	if left := time.Until(q.until(old)); left > answerGrace {
		t.Errorf("an entry in doubt that was waited for is waited for another %v", left)
	}
	if left := time.Until(q.until(&batch{begun: time.Now()})); left < wait/2 {
		t.Errorf("a new entry in doubt is waited for %v", left)
	}
	q.again(old)
	q.mu.Unlock()
	if err := <-p.done; !errors.Is(err, ErrNoLeader) {
		t.Errorf("an entry that was waited for and never entered the log: %v", err)
	}
}
