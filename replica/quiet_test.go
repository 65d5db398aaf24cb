package replica

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

func TestAnIdleLeaderSlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuiet()
		nothing := &raft.AppendEntriesRequest{PrevLogEntry: 7, LeaderCommitIndex: 7}
		entry := &raft.AppendEntriesRequest{PrevLogEntry: 7, Entries: []*raft.Log{{}}}
		heartbeat := &raft.AppendEntriesRequest{}
		settle := func() {
			for range quietAfter + 1 {
				if q.idle("n2", nothing) {
					t.Fatal("it slows down too early")
				}
			}
		}
		held := func(during func()) time.Duration {
			t.Helper()
			if !q.idle("n2", nothing) {
				t.Fatal("it does not slow down")
			}
			began := time.Now()
			done := make(chan time.Duration)
			go func() {
				q.hold("n2")
				done <- time.Since(began)
			}()
			synctest.Wait()
			during()
			return <-done
		}

		settle()
		if q.idle("n3", nothing) {
			t.Error("another follower has heard nothing yet")
		}
		if q.idle("n2", heartbeat) || q.idle("n2", entry) {
			t.Error("heartbeats and entries are not to wait")
		}
		if took := held(func() {}); took != quietPause {
			t.Errorf("an answer was held back for %v, want %v", took, quietPause)
		}
		if took := held(func() {}); took != quietPause {
			t.Errorf("and the next for %v, want %v", took, quietPause)
		}
		if took := held(q.stir); took != 0 {
			t.Errorf("something happened, and the answer was held back for %v more", took)
		}
		settle()
		if !q.idle("n2", nothing) {
			t.Error("it does not slow down again")
		}
		q.stir() // between the question and the wait
		began := time.Now()
		if q.hold("n2"); time.Since(began) != 0 {
			t.Error("what happened in between was missed")
		}
		settle()
		if took := held(q.end); took != 0 {
			t.Errorf("the end comes %v late", took)
		}
		if took := held(func() {}); took != 0 {
			t.Errorf("an answer was held back for %v after the end", took)
		}
	})
}
