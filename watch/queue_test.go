package watch

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dtkv/dtkv/fsm"
)

func TestChangesNotTakenAreMerged(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		b := r.subscribe("__watch@0__:d")
		b.take()
		for i := range 1000 {
			r.set("d.a", fmt.Sprint(i))
			r.set("d.b", fmt.Sprint(i))
		}
		b.want(`
			{"index":2,"event":"mkdir","key":"d","kind":"dir"}
			{"index":2000,"event":"set","key":"d.a","kind":"value","value":"999"}
			{"index":2001,"event":"set","key":"d.b","kind":"value","value":"999"}`)
		if s := r.h.Stats(); s.Merged != 1998 || s.Lost != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// Keys that never rest must not keep each other from being heard of: all are taken before one comes a second time.
func TestAReaderSlowerThanTheChangesHearsOfEveryKey(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		b := r.subscribe("__watch@0__:")
		b.take()
		const keys = 50
		last, heard := map[string]uint64{}, map[string]int{}
		highest := uint64(0)
		for round := range 40 * keys {
			r.set("hot", fmt.Sprint(round))
			r.set(fmt.Sprint("k", round%keys), fmt.Sprint(round))
			synctest.Wait()
			for _, m := range b.Take(1) {
				n := parse(t, m.Payload)
				if n.Index <= last[n.Key] || n.Index < highest {
					t.Fatalf("index %d of %s after %d, over all %d", n.Index, n.Key, last[n.Key], highest)
				}
				last[n.Key], highest = n.Index, n.Index
				heard[n.Key]++
			}
		}
		if heard["hot"] < 20 || heard["k7"] < 20 {
			t.Errorf("in %d takes heard of the hot key %d times and of another %d times", 40*keys, heard["hot"], heard["k7"])
		}
	})
}

func TestADirectoryTooLargeSaysSo(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		ops := make([]fsm.Op, 0, maxBelow+1)
		for i := range maxBelow {
			ops = append(ops, set(fmt.Sprint("d.", i), "v"))
		}
		r.apply(ops...)
		b := r.subscribe("__watch@0__:d")
		if got := len(b.take()); got != maxBelow+1 {
			t.Errorf("%d messages, want %d", got, maxBelow+1)
		}
		r.set("d.more", "v")
		r.subscribe("__watch@0__:d").want(`{"index":3,"event":"state","key":"d","kind":"dir","partial":true}`)
		b.want(`{"index":3,"event":"set","key":"d.more","kind":"value","value":"v"}`)

		r.h.SetOutput(8 << 10)
		r.set("e.k", strings.Repeat("v", 1024))
		r.subscribe("__watch@0__:e").want(`{"index":4,"event":"state","key":"e","kind":"dir","partial":true}`)
	})
}

// Apply waits while a state is looked at, so one look takes in no more than some ten thousand nodes.
func TestLargeDirectoriesAreReadOneByOne(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		var ops []fsm.Op
		for i := range 6000 {
			ops = append(ops, set(fmt.Sprint("a.", i), ""), set(fmt.Sprint("b.", i), ""), set(fmt.Sprint("c.", i), ""))
		}
		r.apply(ops...)
		hold := make(chan struct{})
		r.stuck = hold
		b := r.subscribe("__watch@0__:x")
		synctest.Wait()
		for _, dir := range []string{"a", "b", "c"} {
			if _, err := b.Subscribe("__watch@0__:" + dir); err != nil {
				t.Fatal(err)
			}
		}
		close(hold)
		if got := len(b.take()); got != 1+3*6001 {
			t.Errorf("%d messages", got)
		}
		if n := r.h.Stats().StateReads; n != 3 {
			t.Errorf("%d reads, want one for x, one for a and b, one for c", n)
		}

		for i := range 5 { // these fit nothing, and cost as much to look for
			if _, err := b.PSubscribe(fmt.Sprint("__watch@0__:*none", i)); err != nil {
				t.Fatal(err)
			}
		}
		for range b.take() {
			continue
		}
		if n := r.h.Stats().StateReads; n < 3+5 {
			t.Errorf("%d reads for five patterns over everything", n-3)
		}
	})
}

func TestAStuckWatcherCostsBoundedMemoryAndCatchesUp(t *testing.T) {
	inBubble(t, Options{Output: 64 << 10}, func(r *rig) {
		b := r.subscribe("__watch@0__:d", "__watch@0__:quiet")
		b.take()
		reads := r.h.Stats().StateReads
		for i := range 2000 {
			r.set(fmt.Sprint("d.", i%500), fmt.Sprintf("%0500d", i))
			synctest.Wait()
			if w := b.Waiting(); w > 64<<10 {
				t.Fatalf("%d bytes wait, the bound is 64 KiB", w)
			}
		}
		if s := r.h.Stats(); s.Lost != 1 || s.StateReads != reads {
			t.Errorf("told %d times that something was lost, and read the state %d times for one who does not read", s.Lost, s.StateReads-reads)
		}
		r.h.SetOutput(0)
		all := b.take()
		if got := string(all[0].Payload); got != `{"event":"lost"}` || all[0].Channel != "__watch@0__:d" {
			t.Errorf("first comes %s on %s", got, all[0].Channel)
		}
		if n := parse(t, all[1].Payload); n.Event != "state" || n.Index != 2001 || n.Kind != "dir" {
			t.Errorf("then comes %s", all[1].Payload)
		}
		if len(all) != 2+500 {
			t.Errorf("%d messages, want 502", len(all))
		}
		r.set("d.1", "x")
		b.want(`{"index":2002,"event":"set","key":"d.1","kind":"value","value":"x"}`)
	})
}

func TestAMessageLargerThanTheBoundStillComes(t *testing.T) {
	inBubble(t, Options{Output: 1000}, func(r *rig) {
		r.set("k", strings.Repeat("x", 5000))
		b := r.subscribe("__watch@0__:k", "c")
		if all := b.take(); len(all) != 1 || len(all[0].Payload) < 5000 {
			t.Errorf("got %d messages", len(all))
		}
		r.set("k", strings.Repeat("y", 5000))
		if all := b.take(); len(all) != 1 || !strings.Contains(string(all[0].Payload), "yyy") {
			t.Errorf("got %d messages", len(all))
		}
		r.h.Publish("c", make([]byte, 5000))
		if all := b.take(); len(all) != 1 || b.Err() != nil {
			t.Errorf("got %d messages, %v", len(all), b.Err())
		}
	})
}

func TestASlowSubscriberOfPlainMessagesFails(t *testing.T) {
	inBubble(t, Options{Output: 10_000}, func(r *rig) {
		b := r.subscribe("c", "__watch@0__:k")
		b.take()
		r.set("k", "v")
		synctest.Wait()
		<-b.wakes // and it does not take
		for range 100 {
			r.h.Publish("c", make([]byte, 200))
		}
		if b.Err() != ErrTooSlow {
			t.Fatalf("got %v", b.Err())
		}
		select {
		case <-b.wakes:
		default:
			t.Error("nobody woke who could close the connection")
		}
		if got := b.take(); len(got) != 0 || b.Waiting() != 0 {
			t.Errorf("%d messages and %d bytes are left", len(got), b.Waiting())
		}
		if n := r.h.Stats().TooSlow; n != 1 {
			t.Errorf("counted %d", n)
		}
		b.Leave()
	})
}

func TestPlainMessagesComeThroughWhereWatchesAreDropped(t *testing.T) {
	inBubble(t, Options{Output: 10_000}, func(r *rig) {
		b := r.subscribe("c", "__watch@0__:")
		b.take()
		r.h.Publish("c", []byte("1"))
		for i := range 100 {
			r.set(fmt.Sprint("k", i), "v")
		}
		r.h.Publish("c", []byte("2"))
		synctest.Wait()
		var plain []string
		lost := 0
		for _, m := range b.take() {
			if m.Channel == "c" {
				plain = append(plain, string(m.Payload))
			} else if string(m.Payload) == `{"event":"lost"}` {
				lost++
			}
		}
		if fmt.Sprint(plain) != "[1 2]" || lost == 0 || b.Err() != nil {
			t.Errorf("got %q, lost %d times, %v", plain, lost, b.Err())
		}
	})
}
