package replica

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func TestOnlyAnswersToTheRoundThatRunsCount(t *testing.T) {
	tests := []struct {
		name         string
		number, term uint64
		yes, no      int
	}{
		{"an answer to an earlier round says nothing about what has happened since", 4, 7, 1, 0},
		{"nor does one to a round that never was", 6, 7, 1, 0},
		{"a voter that holds a newer term is against", 5, 8, 1, 1},
		{"so is one that holds an older term", 5, 6, 1, 1},
		{"and one that cannot be asked", 5, 0, 1, 1},
		{"one that holds the leader's term is for it", 5, 7, 2, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := &Group{}
			r := &round{number: 5, term: 7, yes: 1, need: 3, all: 5}
			g.rounds.number, g.rounds.running = 5, r
			g.heard(tt.number, tt.term)
			if r.yes != tt.yes || r.no != tt.no || r.confirmed {
				t.Errorf("yes %d no %d confirmed %t, want %d, %d, false", r.yes, r.no, r.confirmed, tt.yes, tt.no)
			}
		})
	}
}

func TestAVoiceFrameIsReadAsItWasWrittenOrNotAtAll(t *testing.T) {
	f := newVoiceFrame(1<<40+3, 9)
	number, term, err := readVoiceFrame(bytes.NewReader(f[:]))
	if err != nil || number != 1<<40+3 || term != 9 {
		t.Fatalf("got %d, %d, %v", number, term, err)
	}
	for i := range f {
		damaged := f
		damaged[i] ^= 1
		if _, _, err := readVoiceFrame(bytes.NewReader(damaged[:])); !errors.Is(err, errBadFrame) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
	}
}

// A voter that is slow to answer must not have questions pile up in its socket.
func TestAVoterIsAskedOneQuestionAtATime(t *testing.T) {
	leader, voter := connected(t)
	defer leader.Close()
	defer voter.Close()
	g := &Group{cfg: Config{heartbeat: time.Minute}}
	v := &voice{group: g, conn: leader, hearing: true}
	for number := uint64(1); number <= 100; number++ {
		if got := v.ask(number); got != voiceHears {
			t.Fatalf("question %d: %d", number, got)
		}
	}
	for _, want := range []uint64{1, 100} {
		number, _, err := readVoiceFrame(voter)
		if err != nil || number != want {
			t.Fatalf("the voter was asked for round %d, %v; want %d", number, err, want)
		}
		answer := newVoiceFrame(number, 1)
		if _, err := voter.Write(answer[:]); err != nil {
			t.Fatal(err)
		}
		if !v.next(leader) {
			t.Fatal("the leader gave the stream up")
		}
	}
	if v.waiting {
		t.Error("a question without a round is open")
	}
}

// A voter that hangs is not waited for while others answer, and a round that no majority answers ends.
func TestReadsGoOnWhileAVoterHangs(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.set(-1, "x", "1")
	leader := c.leader(-1)
	c.isolate((leader+1)%3, true)
	for range 20 {
		if got := get(t, c.group(leader), "x"); got != "1" {
			t.Fatalf("x = %q", got)
		}
	}
}

// A group may end between the making of a round and its start. Its reads are told once, and nothing starts any more.
func TestARoundMayEndBeforeItStarts(t *testing.T) {
	g := &Group{}
	told := make(chan error, 2)
	g.rounds.next = []waitingRead{{time.Now().Add(time.Minute), func(err error) { told <- err }}}
	r := g.rounds.begin()
	g.closeRounds()
	g.start(r)
	if err := <-told; !errors.Is(err, ErrClosed) || len(told) > 0 || g.rounds.timer != nil {
		t.Errorf("the read was told %v, and %d times more", err, len(told))
	}
}

// parliament is a leader, n1, with streams to the other voters of five.
func parliament(t *testing.T) (g *Group, servers []raft.Server) {
	g = &Group{transport: &transport{id: "n1"}, cfg: Config{heartbeat: time.Minute}}
	g.voices.group, g.voices.lines = g, map[raft.ServerID]*voice{}
	for _, id := range []raft.ServerID{"n1", "n2", "n3", "n4", "n5"} {
		servers = append(servers, raft.Server{ID: id})
		if id != "n1" {
			leader, voter := connected(t)
			t.Cleanup(func() { leader.Close(); voter.Close() })
			g.voices.lines[id] = &voice{group: g, voter: id, conn: leader, hearing: true}
		}
	}
	return g, servers
}

// asked returns who was asked for a round.
func asked(g *Group, number uint64) string {
	var ids []string
	for id, line := range g.voices.lines {
		if line.asked == number {
			ids = append(ids, string(id))
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// A majority is enough. Those are asked whose answers helped lately.
func TestARoundAsksNoMoreVotersThanItNeeds(t *testing.T) {
	g, servers := parliament(t)
	g.voices.lines["n3"].useful.Store(7)
	g.voices.lines["n5"].useful.Store(9)
	g.voices.ask(servers, 10, 2)
	if got := asked(g, 10); got != "n3 n5" {
		t.Errorf("%s were asked", got)
	}
	g.voices.ask(servers, 10, len(servers))
	if got := asked(g, 10); got != "n2 n3 n4 n5" {
		t.Errorf("then %s were asked", got)
	}
}

func TestARoundThatIsNotConfirmedAsksTheOthers(t *testing.T) {
	for name, tt := range map[string]struct {
		until  time.Duration
		happen func(g *Group, r *round)
		asked  string
		ended  bool
	}{
		"when somebody does not confirm it": {time.Minute, func(g *Group, _ *round) { g.heard(5, 6) }, "n2 n3 n4 n5", false},
		"when somebody cannot be asked":     {time.Minute, func(g *Group, _ *round) { g.heard(5, 0) }, "n2 n3 n4 n5", false},
		"when no answer comes in time":      {time.Minute, func(g *Group, _ *round) { g.late() }, "n2 n3 n4 n5", false},
		"not when its time is over":         {-1, func(g *Group, _ *round) { g.late() }, "n2 n3", true},
		"not before": {time.Minute, func(g *Group, r *round) {
			r.asked = time.Now().Add(time.Minute)
			g.late()
		}, "n2 n3", false},
		"not when enough have answered": {time.Minute, func(g *Group, r *round) {
			r.confirmed = true
			g.late()
		}, "n2 n3", false},
		"once": {time.Minute, func(g *Group, r *round) {
			g.late()
			for _, line := range g.voices.lines {
				line.asked = 0
			}
			g.late()
		}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			g, servers := parliament(t)
			told := make(chan error, 1)
			r := &round{number: 5, term: 7, yes: 1, need: 3, all: 5, servers: servers, until: time.Now().Add(tt.until)}
			defer g.closeRounds()
			r.reads = []waitingRead{{time.Now(), func(err error) { told <- err }}}
			g.rounds.number, g.rounds.running = 5, r
			g.voices.lines["n2"].useful.Store(2)
			g.voices.lines["n3"].useful.Store(1)
			g.voices.ask(servers, 5, 2)
			tt.happen(g, r)
			if got := asked(g, 5); got != tt.asked {
				t.Errorf("%q were asked, want %q", got, tt.asked)
			}
			if ended := g.rounds.running != r; ended != tt.ended || ended != (len(told) == 1) {
				t.Errorf("ended: %t, with %d reads told; want %t", ended, len(told), tt.ended)
			}
		})
	}
}
