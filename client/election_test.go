package client

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneCandidateLeadsAfterTheOther(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		ctx, cancel := context.WithCancel(t.Context())
		var seen []string
		leaders := c.Election("e", time.Second).Observe(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for l := range leaders {
				seen = append(seen, l.Value)
			}
		}()
		synctest.Wait()
		var last int64
		var led []string
		for _, name := range []string{"a", "b", "c"} {
			e := c.Election("e", 10*time.Second)
			leading, err := e.Campaign(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			if e.Token() <= last || leading.Err() != nil {
				t.Errorf("token %d after %d, %v", e.Token(), last, leading.Err())
			}
			last = e.Token()
			led = append(led, name)
			time.Sleep(time.Minute)
			if leading.Err() != nil {
				t.Errorf("%s leads no more: %v", name, context.Cause(leading))
			}
			if err := e.Resign(ctx); err != nil {
				t.Error(err)
			}
			if !errors.Is(context.Cause(leading), ErrCanceled) || e.Token() != 0 {
				t.Errorf("after Resign: %v, token %d", context.Cause(leading), e.Token())
			}
		}
		synctest.Wait()
		cancel()
		<-done
		names := slices.DeleteFunc(slices.Clone(seen), func(s string) bool { return s == "" })
		if !slices.Equal(names, led) || len(seen) == 0 || seen[0] != "" || seen[len(seen)-1] != "" {
			t.Errorf("observed %q, want %q with nobody before and after", seen, led)
		}
		if v, err := c.Get(t.Context(), "e.leader"); !errors.Is(err, ErrNotFound) {
			t.Errorf("it left %q behind, %v", v, err)
		}
		_ = f
	})
}

func TestALeaderThatIsCutOffKnowsItBeforeTheNextOneLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c, other := f.client(Options{}), f.client(Options{})
		e := c.Election("e", 10*time.Second)
		leading, err := e.Campaign(t.Context(), "old")
		if err != nil {
			t.Fatal(err)
		}
		f.setFaults(func(args []string) fault {
			if args[0] == "DTKV.RENEW" {
				return fault{reply: "-CLUSTERDOWN\r\n"}
			}
			return fault{}
		})
		next := other.Election("e", 10*time.Second)
		if _, err := next.Campaign(t.Context(), "new"); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(context.Cause(leading), ErrLost) {
			t.Errorf("the old leader thinks %v", context.Cause(leading))
		}
		if v, err := c.Get(t.Context(), "e.leader"); err != nil || string(v) != `{"token":2,"value":"new"}` {
			t.Errorf("the leader is said to be %s, %v", v, err)
		}
		f.setFaults(nil)
	})
}

// The command of a leader of the past is held up, and arrives when another leads.
func TestALateAnnouncementReplacesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		f.setFaults(func(args []string) fault {
			if args[0] == "DTKV.CAS" && args[3] == `{"token":1,"value":"old"}` {
				return fault{delay: 30 * time.Second}
			}
			return fault{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		if _, err := c.Election("e", 10*time.Second).Campaign(ctx, "old"); err == nil {
			t.Fatal("it leads, unannounced")
		}
		next := c.Election("e", 10*time.Second)
		if _, err := next.Campaign(t.Context(), "new"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if v := f.values["e.leader"]; v != `{"token":2,"value":"new"}` {
			t.Errorf("the leader is said to be %s", v)
		}
		if err := next.Resign(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestResignEndsACampaign(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		first := c.Election("e", 10*time.Second)
		if _, err := first.Campaign(t.Context(), "first"); err != nil {
			t.Fatal(err)
		}
		second := c.Election("e", 10*time.Second)
		done := make(chan error)
		go func() {
			_, err := second.Campaign(t.Context(), "second")
			done <- err
		}()
		synctest.Wait()
		if err := second.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, ErrCanceled) {
			t.Errorf("Campaign ended with %v", err)
		}
		if f.waiters("e.lock") != 0 {
			t.Error("it still waits")
		}
		if _, err := first.Campaign(t.Context(), "\xff"); !errors.Is(err, ErrRefused) {
			t.Errorf("a value that is no text: %v", err)
		}
		if err := first.Resign(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
