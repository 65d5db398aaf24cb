package replica

import (
	"reflect"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/hashicorp/raft"
)

// setTransferring sets the flag that hashicorp/raft issue 696 leaves behind.
func setTransferring(r *raft.Raft, flag int32) {
	field := reflect.ValueOf(r).Elem().FieldByName("leaderState").FieldByName("leadershipTransferInProgress")
	atomic.StoreInt32((*int32)(unsafe.Pointer(field.UnsafeAddr())), flag)
}

func TestALeaderThatCanAcceptNoWriteEnds(t *testing.T) {
	c := startCluster(t, 3, nil)
	first := c.leader(-1)
	c.set(-1, "k", "v")
	for i := range c.nodes {
		if i != first {
			setTransferring(c.group(i).raft, 1) // whoever is elected
		}
	}
	c.stop(first)
	stuck := -1
	eventually(t, "end of a leader that refuses its own entry", func() bool {
		for i, n := range c.nodes {
			if n == nil {
				continue
			}
			select {
			case err := <-n.Fatal():
				if err != errTransferring {
					t.Fatal(err)
				}
				stuck = i
				return true
			default:
			}
		}
		return false
	})
	c.stop(stuck)
	setTransferring(c.group(3-first-stuck).raft, 0)
	c.start(first)
	c.start(stuck)
	c.set(-1, "k", "a new process helps")
}

func TestARefusedFirstEntryIsToleratedForAWhile(t *testing.T) {
	at := time.Unix(0, 0)
	var r refusal
	for _, step := range []struct {
		term  uint64
		err   error
		after time.Duration
		lasts bool
	}{
		{1, raft.ErrLeadershipTransferInProgress, 0, false},
		{1, raft.ErrLeadershipTransferInProgress, time.Second, false},
		{2, raft.ErrLeadershipTransferInProgress, time.Millisecond, false},
		{2, nil, 2 * time.Second, false},
		{2, raft.ErrLeadershipTransferInProgress, time.Second, false},
		{2, raft.ErrNotLeader, time.Second, false},
		{2, raft.ErrLeadershipTransferInProgress, time.Second, false},
		{2, raft.ErrLeadershipTransferInProgress, time.Second, false},
		{2, raft.ErrLeadershipTransferInProgress, time.Millisecond, true},
	} {
		at = at.Add(step.after)
		if got := r.lasts(step.term, step.err, at, time.Second); got != step.lasts {
			t.Fatalf("term %d, %v, %v later: %v", step.term, step.err, step.after, got)
		}
	}
}
