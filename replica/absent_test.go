package replica

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

func TestAbsences(t *testing.T) {
	always := func() bool { return true }
	failing := errors.New("connection refused")
	absent := func(ended chan struct{}) *absences {
		a := &absences{ended: ended}
		for range absentAfter {
			a.note("b", true, failing)
		}
		return a
	}
	t.Run("nobody waits for a member that failed seldom, nor for another one", func(t *testing.T) {
		a := &absences{}
		for range absentAfter - 1 {
			a.note("b", true, failing)
		}
		for _, id := range []raft.ServerID{"b", "c"} {
			if waited, err := a.await(id, always); waited || err != nil {
				t.Errorf("%s: %v, %v", id, waited, err)
			}
		}
	})
	t.Run("heartbeats that fail begin no absence", func(t *testing.T) {
		a := &absences{}
		for range 2 * absentAfter {
			a.note("b", false, failing)
		}
		if waited, err := a.await("b", always); waited || err != nil {
			t.Errorf("%v, %v", waited, err)
		}
	})
	t.Run("an answer ends an absence", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := absent(nil)
			done := make(chan error)
			go func() {
				_, err := a.await("b", always)
				done <- err
			}()
			time.Sleep(time.Hour)
			select {
			case err := <-done:
				t.Fatalf("it waited for less than an hour: %v", err)
			default:
			}
			a.note("b", false, nil)
			began := time.Now()
			if err := <-done; err != nil || time.Since(began) != 0 {
				t.Errorf("%v, %v after the answer", err, time.Since(began))
			}
			if waited, err := a.await("b", always); waited || err != nil {
				t.Errorf("the next one: %v, %v", waited, err)
			}
		})
	})
	t.Run("so does the end of the wish", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, until := absent(nil), time.Now().Add(time.Minute)
			waited, err := a.await("b", func() bool { return time.Now().Before(until) })
			if !waited || !errors.Is(err, errAbsent) || time.Since(until) > absentLook {
				t.Errorf("%v, %v, %v late", waited, err, time.Since(until))
			}
			if a.failures("b") != 0 {
				t.Error("it is still remembered")
			}
		})
	})
	t.Run("nobody waits for an absence that another one has ended", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, until := absent(nil), time.Now().Add(time.Minute)
			done := make(chan error)
			go func() { // of a later term
				_, err := a.await("b", always)
				done <- err
			}()
			synctest.Wait()
			a.await("b", func() bool { return time.Now().Before(until) })
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("and the end of the node", func(t *testing.T) {
		ended := make(chan struct{})
		close(ended)
		if waited, err := absent(ended).await("b", always); !waited || !errors.Is(err, errAbsent) {
			t.Errorf("%v, %v", waited, err)
		}
	})
}

// failures is how many messages of replication to a member have failed in a row.
func (a *absences) failures(id raft.ServerID) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if away := a.of[id]; away != nil {
		return away.failures
	}
	return 0
}

// However long a member is away, Raft counts no more failures than that its next attempt comes soon; when it is back, it gets
// what it lacks.
func TestRaftDoesNotCountTheAbsenceOfAMember(t *testing.T) {
	calls := make(chan string, 1<<16) // to whom somebody dialled
	c := startCluster(t, 3, func(_ int, cfg *Config) {
		dial := cfg.dial
		cfg.dial = func(address string, timeout time.Duration) (net.Conn, error) {
			select {
			case calls <- address:
			default:
			}
			return dial(address, timeout)
		}
	})
	c.set(-1, "k", "before")
	leader := c.leader(-1)
	away := (leader + 1) % 3
	id, gone := raft.ServerID(c.configs[away].NodeID), &c.group(leader).transport.absent
	c.network.set(leader, away, true)
	eventually(t, "failures of replication", func() bool { return gone.failures(id) >= absentAfter })
	for len(calls) > 0 {
		<-calls
	}
	for range 30 { // heartbeats, and more
		for address := range calls {
			if address == c.configs[away].PeerAddr {
				break
			}
		}
	}
	if n := gone.failures(id); n > absentAfter {
		t.Errorf("Raft has counted %d failures, and waits ever longer", n)
	}
	c.set(away, "k", "meanwhile")
	c.network.set(leader, away, false)
	c.agree()
}

// Who waits for a member that is removed while it is away goes.
func TestARemovedMemberIsWaitedForNoLonger(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.set(-1, "k", "v")
	leader := c.leader(-1)
	away := (leader + 1) % 3
	id, gone := raft.ServerID(c.configs[away].NodeID), &c.group(leader).transport.absent
	address := raft.ServerAddress(c.configs[away].PeerAddr)
	c.stop(away)
	eventually(t, "failures of replication", func() bool { return gone.failures(id) >= absentAfter })
	tr := c.group(leader).transport
	if term := c.group(leader).raft.CurrentTerm(); !tr.wanted(id, address, term) || tr.wanted(id, address, term-1) || tr.wanted(id, "elsewhere:1", term) {
		t.Error("a message is wanted for a member at its address, in the term of the leader")
	}
	if err := c.group(leader).Remove(testContext(t), string(id)); err != nil {
		t.Fatal(err)
	}
	if tr.wanted(id, address, c.group(leader).raft.CurrentTerm()) {
		t.Error("a message is wanted for a member that was removed")
	}
}
