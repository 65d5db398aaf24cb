package replica

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/dtkv/dtkv/fsm"
)

var linearFor = flag.Duration("linear-for", 6*time.Second, "how long histories are recorded while leaders change")

// access is one operation on one register.
type access struct {
	key      string
	act      string // read, write, swap
	expected string
	value    string
}

// answered is what came of it.
type answered struct {
	value   string // read
	done    bool   // of a swap
	unknown bool
}

// registerModel is a register for each key; an operation whose outcome is unknown may have happened or not, at any time
// after it was asked for.
var registerModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		keys := map[string][]porcupine.Operation{}
		for _, o := range history {
			key := o.Input.(access).key
			keys[key] = append(keys[key], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range keys {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		in, out := input.(access), output.(answered)
		switch in.act {
		case "read":
			return out.value == state, state
		case "write":
			return true, in.value
		}
		matches := state == in.expected
		if matches {
			state = in.value
		}
		return out.unknown || matches == out.done, state
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprint(input, output) },
}

func TestTheRegisterModelBites(t *testing.T) {
	at := func(a access, o answered, call, ret int64) porcupine.Operation {
		return porcupine.Operation{Input: a, Call: call, Output: o, Return: ret}
	}
	write := func(v string) access { return access{"k", "write", "", v} }
	read, none := access{"k", "read", "", ""}, answered{}
	tests := []struct {
		name    string
		history []porcupine.Operation
		want    bool
	}{
		{"a read of what was written", []porcupine.Operation{at(write("1"), none, 0, 1), at(read, answered{value: "1"}, 2, 3)}, true},
		{"a stale read", []porcupine.Operation{at(write("1"), none, 0, 1), at(read, answered{}, 2, 3)}, false},
		{"a read that goes back", []porcupine.Operation{at(write("1"), none, 0, 9), at(read, answered{value: "1"}, 2, 3), at(read, answered{}, 4, 5)}, false},
		{"an unknown write that comes late", []porcupine.Operation{at(write("1"), answered{unknown: true}, 0, math.MaxInt64), at(read, answered{}, 2, 3), at(read, answered{value: "1"}, 4, 5)}, true},
		{"a swap that found another value", []porcupine.Operation{at(write("1"), none, 0, 1), at(access{"k", "swap", "2", "3"}, answered{done: true}, 2, 3)}, false},
	}
	for _, test := range tests {
		if got := porcupine.CheckOperations(registerModel, test.history); got != test.want {
			t.Errorf("%s: linearizable %v, want %v", test.name, got, test.want)
		}
	}
}

// historian runs clients at all nodes and keeps what they saw.
type historian struct {
	t     *testing.T
	c     *cluster
	start time.Time

	mu      sync.Mutex
	history []porcupine.Operation
	refused int
	doubt   int
}

// client does one thing after the other, at any node, until stop is closed. Each value it writes is new.
func (r *historian) client(id int, stop <-chan struct{}) {
	random := rand.New(rand.NewPCG(uint64(id), uint64(time.Now().UnixNano())))
	last := map[string]string{}
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		g := r.c.group(random.IntN(len(r.c.nodes)))
		a := access{key: fmt.Sprint("k", random.IntN(6)), act: "read", value: fmt.Sprintf("%d.%d", id, i)}
		var op fsm.Op
		switch random.IntN(4) {
		case 0:
			a.act, op = "write", setTo(a.key, a.value)
		case 1:
			if a.expected = last[a.key]; a.expected != "" {
				a.act, op = "swap", &fsm.CompareAndSet{Key: []byte(a.key), Expected: []byte(a.expected), New: []byte(a.value)}
			}
		}
		var out answered
		var err error
		call := time.Since(r.start)
		if op == nil {
			err = g.Read(context.Background(), func(v fsm.View) {
				if n, ok := v.Lookup([]byte(a.key)); ok {
					out.value = n.Value
				}
			})
			last[a.key] = out.value
		} else {
			p := proposal(op)
			if err = g.Propose(context.Background(), p); err == nil {
				out.done = p.Results[0].Int == 1
			}
		}
		r.note(id, a, out, err, call)
	}
}

func (r *historian) note(id int, a access, out answered, err error, call time.Duration) {
	ret := int64(time.Since(r.start))
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case errors.Is(err, ErrInDoubt):
		r.doubt++
		out.unknown, ret = true, math.MaxInt64
	case errors.Is(err, ErrNoLeader):
		r.refused++ // it never happens; if it did, somebody would read a value that nobody wrote
		return
	case err != nil:
		r.t.Errorf("client %d: %v", id, err)
		return
	}
	r.history = append(r.history, porcupine.Operation{ClientId: id, Input: a, Call: int64(call), Output: out, Return: ret})
}

// pauser holds main loops inside of store calls.
func pauser(s *stallPoint, stop <-chan struct{}) {
	for {
		select {
		case <-s.entered:
		case <-stop:
			return
		}
		for s.on.Load() {
			time.Sleep(time.Millisecond)
		}
		s.released <- struct{}{}
	}
}

func TestHistoriesThroughAnyNodeAreLinearizable(t *testing.T) {
	stalls := []*stallPoint{newStallPoint(), newStallPoint(), newStallPoint()}
	c := startCluster(t, 3, func(i int, cfg *Config) {
		cfg.stall, cfg.DiskStall, cfg.ElectionWait = stalls[i], time.Hour, time.Second
	})
	c.leader(-1)
	r := &historian{t: t, c: c, start: time.Now()}
	stop := make(chan struct{})
	var clients, pausers sync.WaitGroup
	for _, s := range stalls {
		pausers.Go(func() { pauser(s, stop) })
	}
	done := make(chan struct{})
	for id := range 12 {
		clients.Go(func() { r.client(id, done) })
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	changes := map[string]int{}
	for time.Since(r.start) < *linearFor {
		leader, other := c.leader(-1), random.IntN(3)
		long := time.Duration(50+random.IntN(650)) * time.Millisecond
		switch what := []string{"transfer", "cut off", "streams cut", "pause", "way cut"}[random.IntN(5)]; what {
		case "transfer":
			changes[what]++
			_ = c.group(leader).raft.LeadershipTransfer().Error()
		case "cut off":
			changes[what]++
			c.isolate(leader, true)
			time.Sleep(long)
			c.isolate(leader, false)
		case "streams cut":
			changes[what]++
			c.network.set(leader, (leader+1)%3, false)
			c.network.set(leader, (leader+2)%3, false)
		case "pause":
			changes[what]++
			stalls[other].on.Store(true)
			time.Sleep(long)
			stalls[other].on.Store(false)
		case "way cut":
			changes[what]++
			c.network.set(leader, (leader+1)%3, true)
			time.Sleep(long)
			c.network.set(leader, (leader+1)%3, false)
		}
		time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
	}
	close(done)
	clients.Wait()
	close(stop)
	pausers.Wait()
	c.agree()
	result := porcupine.CheckOperationsTimeout(registerModel, r.history, time.Minute)
	forwarded := uint64(0)
	for i := range c.nodes {
		forwarded += c.group(i).Status().Forwarded
	}
	t.Logf("seed %d: %d operations, %d in doubt, %d refused; %v; %d entries were forwarded", seed, len(r.history), r.doubt, r.refused, changes, forwarded)
	if result != porcupine.Ok {
		t.Errorf("the history is %s", result)
	}
	if len(r.history) < 100 || forwarded == 0 {
		t.Error("too little happened to prove anything")
	}
}
