package watch

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dtkv/dtkv/fsm"
)

func TestTheCurrentStateComesFirst(t *testing.T) {
	tests := []struct {
		name, channel, want string
	}{
		{"of a value", "__watch@0__:d.v", `
			{"index":3,"event":"state","key":"d.v","kind":"value","value":"1"}`},
		{"of a missing key", "__watch@0__:d.none.x", `
			{"index":3,"event":"state","key":"d.none.x","kind":"none"}`},
		{"of a key that cannot be", "__watch@0__:a..b", `
			{"index":3,"event":"state","key":"a..b","kind":"none"}`},
		{"of an empty value", "__watch@0__:empty", `
			{"index":3,"event":"state","key":"empty","kind":"value","value":""}`},
		{"of a directory and all below it", "__watch@0__:d", `
			{"index":3,"event":"state","key":"d","kind":"dir"}
			{"index":3,"event":"state","key":"d.b","kind":"value","value":"/wA=","encoding":"base64"}
			{"index":3,"event":"state","key":"d.sub","kind":"dir"}
			{"index":3,"event":"state","key":"d.v","kind":"value","value":"1"}
			{"index":3,"event":"state","key":"d.sub.x","kind":"value","value":"\"\\\n\u0001é<"}`},
		{"of a lock, with token and digest", "__watch@0__:lock", `
			{"index":3,"event":"state","key":"lock","kind":"lock","token":1,"owner":"OWNER"}`},
		{"of a key that is not UTF-8", "__watch@0__:\xff", `
			{"index":3,"event":"state","key":"/w==","kind":"value","value":"bin","key_encoding":"base64"}`},
	}
	owner := fsm.Owner{7}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, Options{}, func(r *rig) {
				r.apply(set("d.v", "1"), set("d.b", "\xff\x00"), set("d.sub.x", "\"\\\n\x01é<"), set("dx", "no"), set("empty", ""))
				r.apply(&fsm.AcquireLock{Key: []byte("lock"), Owner: owner, Lease: 1000}, set("\xff", "bin"))
				r.subscribe(test.channel).want(strings.ReplaceAll(test.want, "OWNER", owner.Digest()))
			})
		})
	}
}

func TestAPatternGetsTheStateOfWhatItFits(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		r.apply(set("a.b.1", "x"), set("a.b.2", "y"), set("a.c", "z"), set("b", "z"))
		b := r.join()
		if _, err := b.PSubscribe("__watch@0__:a.?.*"); err != nil {
			t.Fatal(err)
		}
		b.wantLines(`
			__watch@0__:a.?.* __watch@0__: {"index":2,"event":"state","key":"","kind":"dir"}
			__watch@0__:a.?.* __watch@0__:a.b.1 {"index":2,"event":"state","key":"a.b.1","kind":"value","value":"x"}
			__watch@0__:a.?.* __watch@0__:a.b.2 {"index":2,"event":"state","key":"a.b.2","kind":"value","value":"y"}`)
		r.apply(set("a.c", "1"), set("a.d.1", "new"))
		r.apply(&fsm.Flush{})
		b.wantLines(`
			__watch@0__:a.?.* __watch@0__:a.d.1 {"index":3,"event":"set","key":"a.d.1","kind":"value","value":"new"}
			__watch@0__:a.?.* __watch@0__: {"index":4,"event":"flushdb","key":"","kind":"dir"}`)
	})
}

func TestOtherPatternsAreNotShownWatchChannels(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		b := r.join()
		if _, err := b.PSubscribe("*"); err != nil {
			t.Fatal(err)
		}
		r.set("a", "1")
		b.wantLines(`
			* __keyspace@0__:a set
			* __keyevent@0__:set a`)
	})
}

func TestADirectoryTellsOfEverythingBelowIt(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		b := r.subscribe("__watch@0__:d")
		root := r.subscribe("__watch@0__:")
		b.take()
		root.take()
		r.set("d.a.b", "1")
		b.wantLines(`
			__watch@0__:d {"index":2,"event":"mkdir","key":"d","kind":"dir"}
			__watch@0__:d {"index":2,"event":"mkdir","key":"d.a","kind":"dir"}
			__watch@0__:d {"index":2,"event":"set","key":"d.a.b","kind":"value","value":"1"}`)
		r.set("dx", "1")
		r.apply(&fsm.Rename{From: []byte("d.a.b"), To: []byte("d.c")})
		b.wantLines(`
			__watch@0__:d {"index":4,"event":"rename_from","key":"d.a.b","kind":"none"}
			__watch@0__:d {"index":4,"event":"rename_to","key":"d.c","kind":"value","value":"1"}`)
		r.apply(&fsm.RemoveDir{Key: []byte("d"), Recursive: true})
		b.wantLines(`
			__watch@0__:d {"index":5,"event":"del","key":"d.c","kind":"none"}
			__watch@0__:d {"index":5,"event":"del","key":"d.a","kind":"none"}
			__watch@0__:d {"index":5,"event":"del","key":"d","kind":"none"}`)
		if got := root.texts(); !strings.Contains(got, `{"index":3,"event":"set","key":"dx"`) {
			t.Errorf("the channel of the root does not tell of dx:\n%s", got)
		}
	})
}

// DtKV tells every watched key of its end, and so do we.
func TestATemporaryDirectoryTakesItsWatchersAlong(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		r.apply(&fsm.MakeDir{Key: []byte("d"), Millis: 1000, Owner: fsm.Owner{1}}, set("d.a.b", "1"))
		keys := []string{"d", "d.a", "d.a.b"}
		readers := make([]*reader, len(keys))
		for i, key := range keys {
			readers[i] = r.subscribe("__watch@0__:" + key)
			readers[i].take()
		}
		r.clock = 1001
		r.apply(&fsm.ExpireDue{Limit: 1})
		for i, key := range keys {
			readers[i].take1(r, fmt.Sprintf(`{"index":3,"event":"expired","key":%q,"kind":"none"}`, key))
		}
	})
}

func TestLocksAreWatched(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		one, two := fsm.Owner{1}, fsm.Owner{2}
		b := r.subscribe("__watch@0__:l")
		b.take()
		r.apply(&fsm.AcquireLock{Key: []byte("l"), Owner: one, Lease: 1000})
		r.apply(&fsm.AcquireLock{Key: []byte("l"), Owner: two, Lease: 1000, Wait: 1000})
		r.apply(&fsm.ReleaseLock{Key: []byte("l"), Owner: one})
		b.take1(r, fmt.Sprintf(`{"index":4,"event":"lock","key":"l","kind":"lock","token":2,"owner":%q}`, two.Digest()))
		r.apply(&fsm.ReleaseLock{Key: []byte("l"), Owner: two})
		b.want(`{"index":5,"event":"unlock","key":"l","kind":"none"}`)
	})
}

// take1 checks the last message of those that came.
func (b *reader) take1(r *rig, want string) {
	b.t.Helper()
	all := b.take()
	if len(all) == 0 || string(all[len(all)-1].Payload) != want {
		b.t.Errorf("got %d messages, the last %s, want %s", len(all), all[max(0, len(all)-1)].Payload, want)
	}
}

func TestDeadlinesAloneAreNoChange(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		r.set("k", "1")
		b := r.subscribe("__watch@0__:k")
		b.take()
		r.apply(&fsm.Expire{Key: []byte("k"), Millis: 10})
		r.apply(&fsm.Persist{Key: []byte("k")})
		b.want(``)
		r.apply(set("k", "2"), &fsm.Expire{Key: []byte("k"), Millis: 10})
		b.want(`{"index":5,"event":"set","key":"k","kind":"value","value":"2"}`)
		r.clock = 100
		r.apply(&fsm.ExpireDue{Limit: 10})
		b.want(`{"index":6,"event":"expired","key":"k","kind":"none"}`)
	})
}

func TestAnEntryTellsOfEachKeyOnce(t *testing.T) {
	tests := []struct {
		name string
		ops  []fsm.Op
		want string
	}{
		{"the last value", []fsm.Op{set("k", "1"), set("k", "2"), set("other", "3")}, `
			{"index":3,"event":"set","key":"k","kind":"value","value":"2"}`},
		{"set and gone", []fsm.Op{set("k", "1"), del("k")}, `
			{"index":3,"event":"del","key":"k","kind":"none"}`},
		{"a flush after a write", []fsm.Op{set("k", "1"), &fsm.Flush{}}, `
			{"index":3,"event":"flushdb","key":"k","kind":"none"}`},
		{"a flush before a write", []fsm.Op{set("k", "1"), &fsm.Flush{}, set("k", "2")}, `
			{"index":3,"event":"flushdb","key":"k","kind":"value","value":"2"}`},
		{"two flushes", []fsm.Op{&fsm.Flush{}, set("k", "1"), &fsm.Flush{}, set("x", "2")}, `
			{"index":3,"event":"flushdb","key":"k","kind":"none"}`},
		{"only a flush", []fsm.Op{&fsm.Flush{}}, `
			{"index":3,"event":"flushdb","key":"k","kind":"none"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, Options{}, func(r *rig) {
				r.set("k", "0")
				b := r.subscribe("__watch@0__:k")
				b.take()
				r.apply(test.ops...)
				b.want(test.want)
			})
		})
	}
}

func TestWhatAFlushTookAwayInTheSameEntryIsNotToldOf(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		r.set("d.k", "0")
		b := r.subscribe("__watch@0__:d")
		b.take()
		r.apply(set("d.k", "1"), &fsm.Flush{})
		b.want(`{"index":3,"event":"flushdb","key":"d","kind":"none"}`)
	})
}

func TestAFlushReachesEveryWatchedKey(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		r.set("d.k", "0")
		b := r.subscribe("__watch@0__:d", "__watch@0__:", "__watch@1__:d")
		b.take()
		r.apply(&fsm.Flush{}, set("d.j", "1"))
		got := b.lines()
		for _, want := range []string{
			`__watch@0__:d {"index":3,"event":"flushdb","key":"d","kind":"dir"}`,
			`__watch@0__:d {"index":3,"event":"set","key":"d.j","kind":"value","value":"1"}`,
			`__watch@0__: {"index":3,"event":"flushdb","key":"","kind":"dir"}`,
		} {
			if !strings.Contains(got, want+"\n") {
				t.Errorf("no %s in\n%s", want, got)
			}
		}
	})
}

// Nothing that apply does waits for the state, and other groups' states are read meanwhile.
func TestAStuckStateReaderHoldsNobodyElse(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		stuck := make(chan struct{})
		r.stuck = stuck
		b := r.subscribe("__watch@0__:k", "__keyspace@0__:k", "__watch@5__:k")
		for i := range 10_000 {
			r.set("k", fmt.Sprint(i))
		}
		if got := len(b.take()); got != 10_000 {
			t.Errorf("%d notifications while the state is stuck, want 10 000", got)
		}
		if w := b.Waiting(); w > 1000 {
			t.Errorf("%d bytes are held for the state", w)
		}
		r.mu.Lock()
		r.stuck = nil
		r.mu.Unlock()
		close(stuck)
		b.want(`{"index":10001,"event":"state","key":"k","kind":"value","value":"9999"}`)
	})
}

// Between the view and its delivery changes are held: those that are in it are dropped, the others follow it.
func TestChangesWhileTheStateIsReadFollowIt(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		seen, held := make(chan struct{}), make(chan struct{})
		read := r.h.o.State
		r.h.o.State = func(ctx context.Context, group int, fn func(fsm.View)) error {
			r.set("d.a", "in it")
			err := read(ctx, group, fn)
			close(seen)
			<-held
			return err
		}
		b := r.subscribe("__watch@0__:d")
		<-seen
		r.set("d.b", "1")
		r.set("d.b", "2")
		synctest.Wait()
		close(held)
		b.want(`
			{"index":2,"event":"state","key":"d","kind":"dir"}
			{"index":2,"event":"state","key":"d.a","kind":"value","value":"in it"}
			{"index":4,"event":"set","key":"d.b","kind":"value","value":"2"}`)
	})
}

func TestAStateThatCannotBeReadIsAskedForAgain(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		r.err = errDown
		b := r.subscribe("__watch@0__:k")
		r.set("k", "1")
		b.want(``)
		time.Sleep(10 * time.Second)
		if n := r.h.Stats().StateReads; n < 10 || n > 20 {
			t.Errorf("asked %d times in ten seconds", n)
		}
		r.mu.Lock()
		r.err = nil
		r.mu.Unlock()
		time.Sleep(maxPause)
		b.want(`{"index":2,"event":"state","key":"k","kind":"value","value":"1"}`)
	})
}

func TestAGroupThatIsNotThereIsNotAskedForUntilItIs(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		var there atomic.Bool
		read := r.h.o.State
		r.h.o.State = func(ctx context.Context, group int, fn func(fsm.View)) error {
			if !there.Load() {
				return ErrNoGroup
			}
			return read(ctx, 0, fn)
		}
		b := r.subscribe("__watch@3__:k")
		time.Sleep(time.Hour)
		if n := r.h.Stats().StateReads; n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
		there.Store(true)
		r.set("k", "1")
		r.h.Applied(3, 2, []fsm.Event{{What: fsm.EventSet, Key: "k"}})
		b.want(`{"index":2,"event":"state","key":"k","kind":"value","value":"1"}`)
	})
}

func TestARestoreBringsTheStateAgain(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		r.set("k", "1")
		b := r.subscribe("__watch@0__:k")
		b.take()
		plain := r.subscribe("__keyspace@0__:k")
		other := r.subscribe("__keyspace@1__:k", "news")
		pattern := r.join()
		if _, err := pattern.PSubscribe("__key*"); err != nil {
			t.Fatal(err)
		}
		r.restore(func(o *rig) {
			for i := range 5 {
				o.set("k", fmt.Sprint("unseen", i))
			}
		})
		r.set("k", "after")
		b.take1(r, `{"index":8,"event":"state","key":"k","kind":"value","value":"after"}`)
		r.set("k", "later")
		b.want(`{"index":9,"event":"set","key":"k","kind":"value","value":"later"}`)
		if plain.Err() != ErrMissed || pattern.Err() != ErrMissed || other.Err() != nil {
			t.Errorf("subscribers of notifications: %v, %v; of others: %v", plain.Err(), pattern.Err(), other.Err())
		}
	})
}

func TestWhoeverIsBehindTheRingIsTold(t *testing.T) {
	inBubble(t, Options{RingEvents: 10}, func(r *rig) {
		b := r.subscribe("__watch@0__:d")
		plain := r.subscribe("__keyevent@0__:set")
		b.take()
		ops := make([]fsm.Op, 100)
		for i := range ops {
			ops[i] = set(fmt.Sprint("d.", i), "v")
		}
		r.apply(ops...) // the ring holds the last ten
		all := b.take()
		if len(all) != 102 || string(all[0].Payload) != `{"event":"lost"}` {
			t.Fatalf("%d messages, the first %s", len(all), all[0].Payload)
		}
		if s := r.h.Stats(); plain.Err() != ErrMissed || s.Gaps != 1 || s.Lag != 0 {
			t.Errorf("%v, stats %+v", plain.Err(), s)
		}
		r.set("d.1", "x")
		b.want(`{"index":3,"event":"set","key":"d.1","kind":"value","value":"x"}`)
	})
}
