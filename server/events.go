package server

import (
	"context"
	"errors"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/watch"
)

// newHub makes the hub, which takes the events of all groups.
func (s *Server) newHub() *watch.Hub {
	h := watch.New(watch.Options{
		State:      s.state,
		RingEvents: s.cfg.EventRingEvents,
		RingBytes:  s.cfg.EventRingBytes,
		Output:     s.cfg.PubSubOutput,
	})
	h.SetNotify(s.cfg.Notify)
	return h
}

// state is how the hub looks at the state of a group.
func (s *Server) state(ctx context.Context, db int, fn func(fsm.View)) error {
	g := s.group(db)
	switch {
	case g != nil:
		return g.Read(ctx, fn)
	case s.groups.Load() == nil:
		return errLoading
	}
	if info, ok := s.known(db); ok && info.Held {
		return errLoading // it is about to be open
	}
	return watch.ErrNoGroup
}

// Subscribed is true while the connection is subscribed to anything.
func (c *conn) Subscribed() bool { return c.sub.Subscriber != nil }

// ActiveChannels lists channels that have subscribers.
func (c *conn) ActiveChannels(s commands.Space, pattern string) []string {
	if s == commands.ShardSpace {
		return c.srv.hub.ShardChannels(pattern)
	}
	return c.srv.hub.Channels(pattern)
}

// Subscribers counts those of one channel.
func (c *conn) Subscribers(s commands.Space, channel []byte) int {
	if s == commands.ShardSpace {
		return c.srv.hub.ShardNumSub(string(channel))
	}
	return c.srv.hub.NumSub(string(channel))
}

// Patterns counts the patterns that have subscribers.
func (c *conn) Patterns() int { return c.srv.hub.NumPat() }

// EventsAfter returns events of the connection's database.
func (c *conn) EventsAfter(path string, after commands.EventID, most int) ([]commands.Event, commands.EventID, error) {
	list, next, err := c.srv.hub.Read(c.settings.Database, path, watch.ID(after), most)
	var gone watch.ErrCompacted
	if errors.As(err, &gone) {
		err = &commands.CompactedError{Oldest: commands.EventID(gone.Oldest)}
	}
	return events(list), commands.EventID(next), err
}

// EventsBefore returns events of the connection's database, the newest first.
func (c *conn) EventsBefore(path string, before commands.EventID, most int) []commands.Event {
	return events(c.srv.hub.ReadBack(c.settings.Database, path, watch.ID(before), most))
}

// EventCount counts the events of a path.
func (c *conn) EventCount(path string) int { return c.srv.hub.Len(c.settings.Database, path) }

// LastEvent is the newest id.
func (c *conn) LastEvent() commands.EventID {
	return commands.EventID(c.srv.hub.Last(c.settings.Database))
}

// OldestEvent is the least id from which events can be read.
func (c *conn) OldestEvent() commands.EventID {
	return commands.EventID(c.srv.hub.Oldest(c.settings.Database))
}

func events(list []watch.Record) []commands.Event {
	out := make([]commands.Event, len(list))
	for i := range list {
		out[i] = commands.Event{EventID: commands.EventID(list[i].ID), Event: list[i].Event}
	}
	return out
}
