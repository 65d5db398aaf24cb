package replica

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// What the callers of Propose and Read may conclude. The line that matters runs between "never entered the log" and
// "may have": a word that clients retry, on the wrong side of it, makes a stock client run INCR twice.
var (
	// ErrNoLeader: never entered the log. No leader was found within the election wait, or it is not ready.
	ErrNoLeader = errors.New("no leader is known")
	// ErrBusy: never entered the log. The bound on waiting proposals is reached.
	ErrBusy = errors.New("too many writes are waiting")
	// ErrTooLarge: never entered the log. One proposal exceeds MaxProposal and would exceed it again.
	ErrTooLarge = errors.New("the command is too large for one log entry")
	// ErrForeign: never entered the log. The leader is of another release, and cannot read the operations.
	ErrForeign = errors.New("the leader cannot read the write")
	// ErrClosed: never entered the log. The node is stopping.
	ErrClosed = errors.New("the node is stopping")
	// ErrInDoubt: the write may or may not happen. Nobody may repeat it on the client's behalf.
	ErrInDoubt = errors.New("the write may or may not have been applied")
)

// verdicts sorts Raft's errors. An error that nobody listed is ErrInDoubt, the only safe guess.
var verdicts = []struct {
	err     error
	verdict error
}{
	// Never entered the log.
	{raft.ErrEnqueueTimeout, ErrBusy},
	{raft.ErrNotLeader, ErrNoLeader},
	{raft.ErrLeadershipTransferInProgress, ErrNoLeader},

	// May have entered it: a follower may hold the entry and win the next election.
	{raft.ErrLeadershipLost, ErrInDoubt},
	{raft.ErrRaftShutdown, ErrInDoubt},
	{raft.ErrAbortedByRestore, ErrInDoubt},
}

// verdict wraps err, which ended a proposal, in what it means for the write.
func verdict(err error) error {
	for _, v := range verdicts {
		if errors.Is(err, v.err) {
			return fmt.Errorf("%w: %w", v.verdict, err)
		}
	}
	return fmt.Errorf("%w: %w", ErrInDoubt, err)
}
