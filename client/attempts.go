package client

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// attempts sends a lock command that does no harm when it is run twice, and sends it again, on another connection, when
// an answer is slow to come: a connection whose peer is gone looks like one whose peer takes its time.
//
// Each attempt has a goroutine, which lives until the answer or the connection's read timeout.
type attempts struct {
	c       *Client
	op      string
	answers chan answer
	over    chan struct{} // closed by end: nobody listens any more
	newest  int           // number of the last attempt
	flying  int           // attempts without an answer
	doubt   bool          // an attempt will never be answered, and may yet be applied
	late    func(answer)  // takes answers that come after end; may be nil
}

// answer is what became of one attempt.
type answer struct {
	number int
	sent   time.Time // before the command was handed to go-redis
	token  int64     // 0: null
	err    error
}

func newAttempts(c *Client, op string, late func(answer)) *attempts {
	return &attempts{c: c, op: op, answers: make(chan answer), over: make(chan struct{}), late: late}
}

// send starts one more attempt.
func (a *attempts) send(rdb redis.UniversalClient, args ...any) {
	a.newest++
	ans := answer{number: a.newest, sent: time.Now()}
	ok := a.c.spawn(func() {
		ctx := context.Background() // go-redis bounds it by its timeouts, and could not be interrupted anyway
		cmd := once{redis.NewCmd(ctx, args...)}
		switch err := rdb.Process(ctx, cmd); {
		case err == nil:
			ans.token, ans.err = asInt(a.op, cmd.Val())
		case err != redis.Nil:
			ans.err = classify(a.op, true, err)
		}
		select {
		case a.answers <- ans:
		case <-a.over:
			if a.late != nil {
				a.late(ans)
			}
		}
	})
	if ok {
		a.flying++
	}
}

var errSilent = errors.New("no answer in time")

// next waits for an answer: of the newest attempt, or a token from any. Silence is an answer, too, in doubt; then the
// attempt is still flying.
func (a *attempts) next(ctx context.Context, patience time.Duration) answer {
	t := time.NewTimer(patience)
	defer t.Stop()
	for {
		select {
		case ans := <-a.answers:
			a.flying--
			a.doubt = a.doubt || errors.Is(ans.err, ErrInDoubt)
			if ans.token == 0 && ans.number != a.newest {
				continue // An older attempt was told that a newer one took its place.
			}
			return ans
		case <-t.C:
			return answer{err: &failure{a.op, ErrInDoubt, errSilent}}
		case <-ctx.Done():
			return answer{err: gaveUp(ctx, a.op, a.unsettled())}
		case <-a.c.ctx.Done():
			return answer{err: &failure{a.op, ErrInDoubt, ErrClosed}}
		}
	}
}

// unsettled reports whether something that was sent may yet be applied.
func (a *attempts) unsettled() bool { return a.doubt || a.flying > 0 }

func (a *attempts) end() { close(a.over) }
