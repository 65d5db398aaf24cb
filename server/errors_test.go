package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/dtkv/dtkv/replica"
)

// retried are the prefixes on which some stock client sends a command again by itself, and MASTERDOWN's like.
var retried = []string{"CLUSTERDOWN", "TRYAGAIN", "LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "MOVED", "ASK", "BUSY"}

// neverEntered are the errors by which the group promises that nothing was written.
var neverEntered = []error{replica.ErrNoLeader, replica.ErrBusy, replica.ErrTooLarge, replica.ErrClosed, errLoading}

func TestOnlyWritesThatNeverEnteredTheLogMayBeRetried(t *testing.T) {
	may := []error{
		replica.ErrInDoubt, context.Canceled, context.DeadlineExceeded, io.EOF, errors.New("of some other kind"),
		fmt.Errorf("%w: leadership lost", replica.ErrInDoubt),
	}
	for _, err := range may {
		if reply := writeVerdict(err); reply.Prefix != "INDOUBT" {
			t.Errorf("%v may have been written, and is answered %q", err, reply)
		}
	}
	for _, err := range neverEntered {
		if reply := writeVerdict(fmt.Errorf("%w: detail", err)); reply.Prefix == "INDOUBT" {
			t.Errorf("%v was surely not written, and is answered %q", err, reply)
		}
	}
}

// Each line of the table is held against the promise of the error it lists: to move one to the wrong side fails here.
func TestEveryVerdictKeepsThePromise(t *testing.T) {
	for _, v := range verdicts {
		safe := slices.ContainsFunc(neverEntered, func(e error) bool { return errors.Is(v.err, e) })
		if isRetried := slices.Contains(retried, v.reply.Prefix); isRetried && !safe {
			t.Errorf("%v: clients retry on %s, and the write may have happened", v.err, v.reply.Prefix)
		}
	}
	if replica.ErrTooLarge == nil || writeVerdict(replica.ErrTooLarge).Prefix != "ERR" {
		t.Error("a command that is too large would be too large again: it must not be retried")
	}
}

func TestReadsAreNeverInDoubt(t *testing.T) {
	for _, err := range append(slices.Clone(neverEntered), replica.ErrInDoubt, io.EOF) {
		if reply := readVerdict(err); reply.Prefix == "INDOUBT" {
			t.Errorf("a read that failed with %v is answered %q", err, reply)
		}
	}
}

func TestErrorCountsAreBounded(t *testing.T) {
	var e errorCounts
	for i := range 2 * maxErrorKinds {
		e.add(fmt.Appendf(nil, "-E%d text\r\n", i))
		e.add([]byte("-ERR text\r\n"))
	}
	total, kinds := e.snapshot()
	if total != 4*maxErrorKinds || len(kinds) != maxErrorKinds || kinds[1].prefix != "ERR" || kinds[1].count != 2*maxErrorKinds {
		t.Errorf("total %d, %d kinds, second %v", total, len(kinds), kinds[1])
	}
}
