package watch

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/dtkv/dtkv/fsm"
)

// Who asked for events of one group ends when it is removed, and nobody else does.
func TestSubscribersEndWithTheirGroup(t *testing.T) {
	tests := []struct {
		name string
		kind Kind
		on   string
		ends bool
	}{
		{"a watch", Channel, "__watch@0__:k", true},
		{"a pattern of watches", Pattern, "__watch@0__:k.*", true},
		{"keyspace notifications", Channel, "__keyspace@0__:k", true},
		{"keyevent notifications", Channel, "__keyevent@0__:set", true},
		{"a pattern of them", Pattern, "__keyspace@0__:*", true},
		{"a pattern for all groups", Pattern, "__key*", false},
		{"another group", Channel, "__watch@1__:k", false},
		{"a pattern of another group", Pattern, "__keyspace@1__:*", false},
		{"a channel of nobody", Channel, "news", false},
		{"a shard channel with such a name", Shard, "__watch@0__:k", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, Options{}, func(r *rig) {
				s := r.join()
				subscribe(s.Subscriber, test.kind, test.on)
				r.set("k", "v")
				synctest.Wait()
				r.h.Removed(0)
				synctest.Wait()
				if ended := errors.Is(s.Err(), ErrRemoved); ended != test.ends {
					t.Errorf("ended %v (%v), want %v", ended, s.Err(), test.ends)
				}
			})
		})
	}
}

func subscribe(s *Subscriber, k Kind, name string) {
	switch k {
	case Channel:
		_, _ = s.Subscribe(name)
	case Pattern:
		_, _ = s.PSubscribe(name)
	default:
		_, _ = s.SSubscribe(name)
	}
}

// Nothing of a removed group is remembered, and one that comes later under its number begins at the beginning.
func TestARemovedGroupIsForgotten(t *testing.T) {
	inBubble(t, Options{RingEvents: 3}, func(r *rig) {
		for range 10 {
			r.set("k", "v")
		}
		woken := 0
		cancel := r.h.Wait(0, "", r.h.Last(0), func() { woken++ })
		defer cancel()
		p := r.park("l", 1, 1)
		r.h.Removed(0)
		synctest.Wait()
		if s := r.h.Stats(); s.RingEvents != 0 || s.RingBytes != 0 || s.Waits != 0 || s.Parked != 0 {
			t.Errorf("still there: %+v", s)
		}
		if woken != 1 || fmt.Sprint(p.heard) != "[{0 0}]" {
			t.Errorf("a stream was woken %d times, a parked lock heard %v", woken, p.heard)
		}
		p.cancel()

		r.mu.Lock()
		r.m = fsm.New()
		r.mu.Unlock()
		r.apply(&fsm.LeaderStart{})
		s := r.join()
		_, _ = s.Subscribe("__watch@0__:k")
		r.set("k", "new")
		synctest.Wait()
		if list, _, err := r.h.Read(0, "", ID{}, 0); err != nil || len(list) != 1 || list[0].Index != 2 {
			t.Errorf("the new group's events are %v, %v", list, err)
		}
		if s.Err() != nil || len(s.Take(10)) == 0 {
			t.Errorf("who watches the new group ended with %v, or heard nothing", s.Err())
		}
	})
}

// Who watches a group that is not here yet is told its state as soon as it is, though nothing has happened there.
func TestAGroupThatOpensIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Bool
		m := fsm.New()
		h := New(Options{State: func(_ context.Context, _ int, fn func(fsm.View)) error {
			if !open.Load() {
				return ErrNoGroup
			}
			fn(m.View())
			return nil
		}})
		defer h.Close()
		s := h.Join(SubscriberOptions{Wake: func() {}})
		defer s.Leave()
		_, _ = s.Subscribe("__watch@5__:k")
		synctest.Wait()
		if n := len(s.Take(10)); n != 0 {
			t.Fatalf("%d messages of a group that is not there", n)
		}
		open.Store(true)
		h.Opened(5)
		synctest.Wait()
		if n := len(s.Take(10)); n != 1 {
			t.Errorf("%d messages once it is", n)
		}
	})
}

func TestTheGroupOfAName(t *testing.T) {
	for _, test := range []struct {
		kind  Kind
		name  string
		group int
		ok    bool
	}{
		{Channel, "__watch@3__:k", 3, true},
		{Channel, "__keyspace@0__:k", 0, true},
		{Pattern, "__keyevent@12__:*", 12, true},
		{Pattern, "__keyevent@1*", 0, false},
		{Pattern, "__watch@*__:k", 0, false},
		{Shard, "__watch@3__:k", 0, false},
		{Channel, "watch@3__:k", 0, false},
	} {
		if group, ok := GroupOf(test.kind, test.name); group != test.group || ok != test.ok {
			t.Errorf("%s: %d, %v, want %d, %v", test.name, group, ok, test.group, test.ok)
		}
	}
}
