package client

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestUpdateLease(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		l := c.Lock("k")
		mustLock(t, l, 10*time.Second, 0)
		token := l.Token()
		for _, lease := range []time.Duration{time.Minute, time.Second} {
			if err := l.UpdateLease(t.Context(), lease); err != nil {
				t.Fatal(err)
			}
			if left := l.Remaining(); left > lease*99/100 || left < lease*9/10 || l.Token() != token {
				t.Errorf("%s are left of %s, token %d of %d", left, lease, l.Token(), token)
			}
		}
	})
}

func TestALeaseThatMayHaveBeenCutCountsAsCut(t *testing.T) {
	for _, test := range []struct {
		name string
		f    fault
	}{{"it was", fault{cut: true}}, {"it is held up and comes later", fault{delay: 8 * time.Second}}} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fake, c *Client) {
				l := c.Lock("k")
				mustLock(t, l, time.Minute, 0)
				f.setFaults(func(args []string) fault {
					if args[0] == "DTKV.RENEW" && args[2] == "10000" {
						return test.f
					}
					return fault{}
				})
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				wantVerdict(t, "UpdateLease", l.UpdateLease(ctx, 10*time.Second), ErrInDoubt)
				if left := l.Remaining(); left > 10*time.Second {
					t.Errorf("%s are left, although 10 s may be all", left)
				}
				if err := l.UpdateLease(t.Context(), time.Minute); err != nil {
					t.Fatal(err)
				}
				for l.IsHeld() { // Whatever the server does with the late command, it holds the lock longer than we do.
					if f.holder("k") != l.Token() {
						t.Fatal("the server let it go while we hold it")
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		})
	}
}

func TestARenewalIsRepeatedWithinTheLease(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		l := c.Lock("k")
		mustLock(t, l, 10*time.Second, 0)
		n := 0
		f.setFaults(func(args []string) fault {
			if n++; args[0] == "DTKV.RENEW" && n < 4 {
				return []fault{{}, {hang: true}, {cut: true}, {reply: "-CLUSTERDOWN\r\n"}}[n]
			}
			return fault{}
		})
		if err := l.UpdateLease(t.Context(), 10*time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestALockThatAnotherTookIsLostAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		l := c.Lock("k")
		mustLock(t, l, time.Hour, 0)
		f.mu.Lock()
		f.leave("k", f.locks["k"].queue[0].owner) // an operator did that
		f.mu.Unlock()
		err := l.UpdateLease(t.Context(), time.Hour)
		if !errors.Is(err, ErrLost) || l.IsHeld() {
			t.Errorf("got %v, held %v", err, l.IsHeld())
		}
		wantVerdict(t, "a lock that is lost", err, ErrRefused)
	})
}
