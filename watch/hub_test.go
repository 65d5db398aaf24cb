package watch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dtkv/dtkv/fsm"
)

func TestPublishedMessagesReachChannelsAndPatternsInOrder(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		b := r.subscribe("news")
		for _, p := range []string{"n*", "news", "x*"} {
			if _, err := b.PSubscribe(p); err != nil {
				t.Fatal(err)
			}
		}
		other := r.subscribe("news", "else")
		if n := r.h.Publish("news", []byte("1")); n != 4 {
			t.Errorf("%d received it, want 4", n)
		}
		if n := r.h.Publish("nobody", []byte("1")); n != 1 {
			t.Errorf("%d received it, want 1", n)
		}
		r.h.Publish("news", []byte("2"))
		other.wantLines(`
			news 1
			news 2`)
		b.wantLines(`
			news 1
			n* news 1
			news news 1
			n* nobody 1
			news 2
			n* news 2
			news news 2`)
	})
}

func TestShardChannelsAreASpaceOfTheirOwn(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		b := r.subscribe("c")
		if n, err := b.SSubscribe("c"); n != 1 || err != nil {
			t.Errorf("SSUBSCRIBE counts %d, %v; want 1", n, err)
		}
		if n, m := r.h.Publish("c", nil), r.h.SPublish("c", nil); n != 1 || m != 1 {
			t.Errorf("PUBLISH reaches %d, SPUBLISH %d, want 1 and 1", n, m)
		}
		kinds := []Kind{}
		for _, m := range b.take() {
			kinds = append(kinds, m.Kind)
		}
		if !slices.Equal(kinds, []Kind{Channel, Shard}) {
			t.Errorf("got messages of kinds %v", kinds)
		}
		if got := r.h.ShardChannels(""); !slices.Equal(got, []string{"c"}) || r.h.ShardNumSub("c") != 1 {
			t.Errorf("shard channels %q", got)
		}
	})
}

func TestWhatIsSubscribedToIsCounted(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		b := r.subscribe("a", "b")
		if n, _ := b.Subscribe("a"); n != 2 {
			t.Errorf("a second SUBSCRIBE of a counts %d, want 2", n)
		}
		if n, _ := b.PSubscribe("p*"); n != 3 {
			t.Errorf("PSUBSCRIBE counts %d, want 3", n)
		}
		c := r.subscribe("b")
		if got := r.h.Channels("[bc]"); !slices.Equal(got, []string{"b"}) {
			t.Errorf("channels %q", got)
		}
		if got := r.h.NumSub("b"); got != 2 {
			t.Errorf("b has %d subscribers, want 2", got)
		}
		if n := b.Unsubscribe("b"); n != 2 {
			t.Errorf("UNSUBSCRIBE counts %d, want 2", n)
		}
		if n := b.Unsubscribe("never"); n != 2 {
			t.Errorf("UNSUBSCRIBE of what is not there counts %d, want 2", n)
		}
		if got := b.Names(Channel); !slices.Equal(got, []string{"a"}) || b.Len(Pattern) != 1 {
			t.Errorf("left are %q", got)
		}
		c.Leave()
		c.Leave()
		if n := b.PUnsubscribe("p*"); n != 1 {
			t.Errorf("PUNSUBSCRIBE counts %d, want 1", n)
		}
		if s := r.h.Stats(); s.Channels != 1 || s.Patterns != 0 || s.Subscribers != 1 || r.h.NumPat() != 0 {
			t.Errorf("stats %+v", s)
		}
		b.Leave()
		if s := r.h.Stats(); s.Channels != 0 || s.Subscribers != 0 || r.h.hearing.Load() != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestNothingComesAfterUnsubscribe(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		b := r.subscribe("a", "b", "__watch@0__:k")
		r.h.Publish("a", []byte("1"))
		r.h.Publish("b", []byte("2"))
		synctest.Wait()
		b.Unsubscribe("a")
		b.Unsubscribe("__watch@0__:k")
		r.set("k", "v")
		b.want(`2`)
	})
}

func TestKeyspaceNotifications(t *testing.T) {
	tests := []struct {
		name, flags, want string
	}{
		{"both channels of every event", "KEA", `
			__key*__:* __keyspace@0__:a mkdir
			__key*__:* __keyevent@0__:mkdir a
			__key*__:* __keyspace@0__:a.b set
			__key*__:* __keyevent@0__:set a.b
			__key*__:* __keyspace@0__:a.b expire
			__key*__:* __keyevent@0__:expire a.b
			__key*__:* __keyspace@0__:a.b expired
			__key*__:* __keyevent@0__:expired a.b
			__key*__:* __keyspace@0__:l lock
			__key*__:* __keyevent@0__:lock l
			__key*__:* __keyspace@0__:l unlock
			__key*__:* __keyevent@0__:unlock l
			__key*__:* __keyspace@0__: flushdb
			__key*__:* __keyevent@0__:flushdb `},
		{"keyspace of strings", "K$", `
			__key*__:* __keyspace@0__:a.b set`},
		{"keyevent of expiry", "Ex", `
			__key*__:* __keyevent@0__:expired a.b`},
		{"a class without a channel", "A", ``},
		{"a channel without a class", "KE", ``},
		{"nothing", "", ``},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, Options{}, func(r *rig) {
				flags, err := ParseNotify(test.flags)
				if err != nil {
					t.Fatal(err)
				}
				r.h.SetNotify(flags)
				b := r.join()
				if _, err := b.PSubscribe("__key*__:*"); err != nil {
					t.Fatal(err)
				}
				exact := r.subscribe("__keyspace@0__:a.b", "__keyevent@0__:expired", "__keyspace@1__:a.b")
				r.apply(set("a.b", "v"), &fsm.Expire{Key: []byte("a.b"), Millis: 10})
				r.clock = 20
				r.apply(&fsm.ExpireDue{Limit: 10})
				holder, waiter := fsm.Owner{1}, fsm.Owner{2}
				r.apply(&fsm.AcquireLock{Key: []byte("l"), Owner: holder, Lease: 1000})
				r.apply(&fsm.AcquireLock{Key: []byte("l"), Owner: waiter, Lease: 1000, Wait: 500})
				r.apply(&fsm.LeaveLock{Key: []byte("l"), Owner: waiter})
				r.apply(&fsm.ReleaseLock{Key: []byte("l"), Owner: holder})
				r.apply(&fsm.Flush{})

				want := ""
				for line := range strings.Lines(test.want) {
					if _, line, _ := strings.Cut(strings.TrimSpace(line), " "); strings.HasPrefix(line, "__keyspace@0__:a.b ") ||
						strings.HasPrefix(line, "__keyevent@0__:expired ") {
						want += line + "\n"
					}
				}
				exact.wantLines(want)
				if got := b.lines(); strings.TrimRight(got, " \n") != strings.TrimRight(text(test.want), " \n") {
					t.Errorf("got\n%swant\n%s", got, text(test.want))
				}
			})
		})
	}
}

func TestFlagsOfNotificationsAreThoseOfRedis(t *testing.T) {
	tests := []struct{ in, out string }{
		{"", ""},
		{"A", "A"},
		{"AKE", "AKE"},
		{"KEg", "gKE"},
		{"KEg$lshzxetd", "AKE"},
		{"Kn", "nK"},
		{"KKEE", "KE"},
	}
	for _, test := range tests {
		n, err := ParseNotify(test.in)
		if got := n.String(); err != nil || got != test.out {
			t.Errorf("%q: %q, %v; want %q", test.in, got, err, test.out)
		}
	}
	if DefaultNotify.String() != "AKE" {
		t.Errorf("by default %q", DefaultNotify)
	}
	if _, err := ParseNotify("KEq"); err == nil {
		t.Error("q is taken for a flag")
	}
}

func TestSubscriptionsAreBounded(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		b := r.join()
		if _, err := b.PSubscribe(strings.Repeat("x", MaxPattern+1)); err != ErrLongPattern {
			t.Errorf("a long pattern: %v", err)
		}
		name := strings.Repeat("x", 1<<16)
		n := 0
		for ; n < 1000; n++ {
			if _, err := b.Subscribe(fmt.Sprint(name, n)); err != nil {
				if err != ErrTooMany {
					t.Errorf("got %v", err)
				}
				break
			}
		}
		if n < 200 || n > 256 {
			t.Errorf("%d channels of 64 KiB fit, want the 16 MiB full", n)
		}
		b.Unsubscribe(name + "0")
		if _, err := b.Subscribe("y"); err != nil {
			t.Errorf("there is room again, but: %v", err)
		}
	})
}

// What one event costs depends on its key and on the patterns that may fit it, not on how many listen to something else.
func TestDispatchDoesNotLookAtOthers(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		const subscribers, channels = 1000, 10_000
		all := make([]*reader, subscribers)
		for i := range all {
			all[i] = r.join()
			if _, err := all[i].PSubscribe(fmt.Sprintf("__keyspace@0__:other%d.*", i)); err != nil {
				t.Fatal(err)
			}
			if _, err := all[i].PSubscribe(fmt.Sprintf("__watch@0__:other%d.*", i)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range channels {
			if _, err := all[i%subscribers].Subscribe(fmt.Sprintf("__watch@0__:dir.k%d", i)); err != nil {
				t.Fatal(err)
			}
		}
		some := r.join()
		if _, err := some.PSubscribe("__keyspace@0__:dir.*"); err != nil {
			t.Fatal(err)
		}
		for i := range all {
			all[i].take()
		}
		before := r.h.Stats()
		const changes = 500
		for i := range changes {
			r.set(fmt.Sprintf("dir.k%d", i), "v")
		}
		synctest.Wait()
		after := r.h.Stats()
		if got := after.Compared - before.Compared; got != changes {
			t.Errorf("%d patterns compared for %d changes, want one each", got, changes)
		}
		if got := len(some.take()); got != changes {
			t.Errorf("the pattern that fits heard %d times, want %d", got, changes)
		}
		got := 0
		for i := range all {
			got += len(all[i].take())
		}
		if got != changes {
			t.Errorf("the channels heard %d times, want %d", got, changes)
		}
	})
}

func TestWithoutListenersTheDispatcherSleeps(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		b := r.subscribe("just a channel")
		for range 10 {
			r.set("k", "v")
		}
		synctest.Wait()
		if s := r.h.Stats(); s.Dispatched != 0 || s.Lag != 0 || s.RingEvents != 10 {
			t.Errorf("stats %+v", s)
		}
		if _, err := b.Subscribe("__keyspace@0__:k"); err != nil {
			t.Fatal(err)
		}
		r.set("k", "v")
		b.want("set")
	})
}
