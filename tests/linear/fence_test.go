package linear

import (
	"strconv"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// account is a resource that a lock protects: whoever holds the lock reads the balance and then writes a greater one.
type account struct {
	fenced   bool
	greatest int64 // token of a write so far
	balance  int
	accepted int // writes, each of them a deposit of 1
	refused  int
}

// write stores a balance for the holder of a token, unless the account is fenced and has seen a greater one.
func (a *account) write(balance int, token int64) {
	if a.fenced && token < a.greatest {
		a.refused++
		return
	}
	a.greatest, a.balance = token, balance
	a.accepted++
}

// Holders that sleep beyond their lease come back and write as if they still held the lock. An account that refuses old
// tokens loses no deposit; the same account without that check does, so the test would notice.
//
// Nothing here depends on how fast anything is: a sleeper wakes when the next holder has written.
func TestFencingTokensStopHoldersThatSlept(t *testing.T) {
	const turns = 40
	s := harness.Start(t, harness.Options{})
	c := harness.Dial(t, s.Addr)
	fenced, unfenced := &account{fenced: true}, &account{}
	for turn := range turns {
		if turn == turns/2 {
			s.Kill() // Tokens go on growing after a restart, and in another lock of the same name.
			s = s.Restart(t)
			c = harness.Dial(t, s.Addr)
		}
		sleeper, balances := take(t, c, "sleeper", turn), [2]int{fenced.balance, unfenced.balance}
		// The sleeper sleeps from here on, until its lease is over and the next holder has made its deposit.
		holder := take(t, c, "holder", turn)
		fenced.write(fenced.balance+1, holder)
		unfenced.write(unfenced.balance+1, holder)
		c.Want(t, ":1\r\n", "DTKV.UNLOCK", "account", "OWNER", owner("holder", turn))

		c.Want(t, ":0\r\n", "DTKV.UNLOCK", "account", "OWNER", owner("sleeper", turn))
		fenced.write(balances[0]+1, sleeper)
		unfenced.write(balances[1]+1, sleeper)

		late := take(t, c, "late", turn) // After the sleeper's write nothing may be lost either.
		fenced.write(fenced.balance+1, late)
		unfenced.write(unfenced.balance+1, late)
		c.Want(t, ":1\r\n", "DTKV.UNLOCK", "account", "OWNER", owner("late", turn))
	}
	if fenced.accepted != fenced.balance || fenced.refused != turns {
		t.Errorf("with tokens: %d deposits accepted, %d there; %d of %d late writes refused",
			fenced.accepted, fenced.balance, fenced.refused, turns)
	}
	if lost := unfenced.accepted - unfenced.balance; lost != turns {
		t.Errorf("without tokens: %d deposits lost, want %d; this test would not notice if fencing did nothing", lost, turns)
	}
	t.Logf("%d holders slept; with tokens %d late writes refused and no deposit lost, without %d deposits lost",
		turns, fenced.refused, unfenced.accepted-unfenced.balance)
}

// take asks for the lock until it has it, and returns the token. The sleeper's lease is so short that the others need not
// wait long; theirs do not end.
func take(t *testing.T, c *harness.Conn, who string, turn int) (token int64) {
	t.Helper()
	lease := "600000"
	if who == "sleeper" {
		lease = "10"
	}
	harness.Eventually(t, who+" has the lock", func() bool {
		token = number(bare(c.Must(t, "DTKV.LOCK", "account", lease, "OWNER", owner(who, turn))))
		return token > 0
	})
	return token
}

func owner(who string, turn int) string { return who + strconv.Itoa(turn) }
