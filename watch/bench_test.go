package watch

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/fsm"
)

func event(key string) []fsm.Event {
	return []fsm.Event{{What: fsm.EventSet, Key: key, Node: &fsm.Node{Key: key, Kind: fsm.Value, Value: strings.Repeat("v", 256)}}}
}

// BenchmarkApplied is what an entry of one event costs the goroutine that applies, whoever listens.
func BenchmarkApplied(b *testing.B) {
	for _, c := range []struct{ name, channel string }{
		{"nobody", ""},
		{"one who does not read", "__watch@0__:d"},
		{"one who does not read notifications", "__keyspace@0__:d.k"},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := New(Options{})
			defer h.Close()
			if c.channel != "" {
				s := h.Join(SubscriberOptions{})
				defer s.Leave()
				if _, err := s.Subscribe(c.channel); err != nil {
					b.Fatal(err)
				}
			}
			events := event("d.k")
			b.ReportAllocs()
			for i := range b.N {
				h.Applied(0, uint64(i+1), events)
			}
		})
	}
}

// BenchmarkDispatch is what one event costs the dispatcher among 10 000 channels and 1 000 subscribers.
func BenchmarkDispatch(b *testing.B) {
	for _, c := range []struct {
		name, key string
		patterns  string
	}{
		{"heard by nobody", "other.dir.k", ""},
		{"heard by one", "d.k7", ""},
		{"a thousand patterns, none fits", "other.dir.k", "__key*__:x%d.*"},
		{"a thousand patterns with a literal prefix", "other.dir.k", "__keyspace@0__:x%d.*"},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := New(Options{State: func(_ context.Context, _ int, fn func(fsm.View)) error {
				fn(fsm.New().View())
				return nil
			}})
			defer h.Close()
			subscribers := make([]*Subscriber, 1000)
			for i := range subscribers {
				subscribers[i] = h.Join(SubscriberOptions{})
				if c.patterns != "" {
					if _, err := subscribers[i].PSubscribe(fmt.Sprintf(c.patterns, i)); err != nil {
						b.Fatal(err)
					}
				}
			}
			for i := range 10_000 {
				if _, err := subscribers[i%1000].Subscribe(fmt.Sprint("__watch@0__:d.k", i)); err != nil {
					b.Fatal(err)
				}
			}
			events := event(c.key)
			b.ReportAllocs()
			for i := range b.N {
				h.Applied(0, uint64(i+1), events)
				if i%1024 == 0 {
					settle(h, subscribers[7])
				}
			}
			settle(h, subscribers[7])
		})
	}
}

// settle lets the dispatcher catch up.
func settle(h *Hub, s *Subscriber) {
	for h.Stats().Lag > 0 {
		s.Take(1)
	}
}

func BenchmarkGlob(b *testing.B) {
	name := "__keyspace@0__:services.web.instance-17.address"
	for _, pattern := range []string{"__key*__:*", "__keyspace@0__:services.*.address", "*a?d*[xyz]*s"} {
		b.Run(pattern, func(b *testing.B) {
			g := newGlob(pattern)
			for range b.N {
				g.matches(name)
			}
		})
	}
}
