package client

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// History tells of every change of path and of what is below it, in the order of the log; the path "" is everything. It
// begins behind the event with the ID after, at the oldest event that is kept for "0-0", or now for "".
//
// It goes on by itself across reconnects, on any node, and misses nothing: the ID of the last event that a program dealt
// with is where it goes on after a restart of its own. The server keeps a bounded number of events; if it does not go back
// that far, an [Event] that says Gap comes first.
func (c *Client) History(ctx context.Context, path, after string) *Watch {
	h := &history{w: &Watch{c: c, keys: []string{path}, events: make(chan Event)}, stream: "__events__", after: after}
	if path != "" {
		h.stream += ":" + path
	}
	if !c.spawn(func() { h.w.run(ctx, h.read) }) {
		return h.w.ended(&failure{"History", ErrRefused, ErrClosed})
	}
	return h.w
}

// history reads a stream of events.
type history struct {
	w      *Watch
	stream string
	after  string // ID of the last event passed on
}

const (
	readEvents = 1000
	readBlock  = time.Second // bounds how long an ended history lingers
)

// read passes events on until something goes wrong.
func (h *history) read(ctx context.Context) error {
	if h.after == "" {
		if err := h.now(ctx); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		streams, err := h.w.c.parked.XRead(ctx, &redis.XReadArgs{
			Streams: []string{h.stream}, ID: h.after, Count: readEvents, Block: readBlock,
		}).Result()
		switch {
		case errors.Is(err, redis.Nil):
			continue
		case Word(err) == "COMPACTED":
			if err := h.skip(ctx, err); err != nil {
				return err
			}
			continue
		case err != nil:
			return classify("History", false, err)
		}
		for _, s := range streams {
			for _, m := range s.Messages {
				if err := h.w.emit(ctx, h.event(m)); err != nil {
					return err
				}
				h.after, h.w.moved = m.ID, true
			}
		}
	}
	return ctx.Err()
}

// now puts the beginning behind the newest event.
func (h *history) now(ctx context.Context) error {
	cmd := redis.NewCmd(ctx, "XINFO", "STREAM", h.stream)
	if err := h.w.c.parked.Process(ctx, cmd); err != nil {
		return classify("History", false, err)
	}
	id, ok := asMap(cmd.Val())["last-generated-id"].(string)
	if !ok {
		return unexpected("History", cmd.Val())
	}
	h.after = id
	return nil
}

// skip tells of a gap, and goes on at the oldest event that is kept.
func (h *history) skip(ctx context.Context, compacted error) error {
	words := strings.Fields(compacted.Error())
	before, err := predecessor(words[len(words)-1])
	if err != nil {
		return err
	}
	h.after = before
	return h.w.emit(ctx, Event{Gap: true, Watched: h.w.keys[0]})
}

// predecessor is the ID right before another: reading behind it begins with the other.
func predecessor(id string) (string, error) {
	index, n, err := parseID(id)
	switch {
	case err != nil:
		return "", err
	case n > 0:
		n--
	case index > 0:
		index, n = index-1, math.MaxUint64
	}
	return strconv.FormatUint(index, 10) + "-" + strconv.FormatUint(n, 10), nil
}

func parseID(id string) (index, n uint64, err error) {
	a, b, _ := strings.Cut(id, "-")
	if index, err = strconv.ParseUint(a, 10, 64); err == nil {
		n, err = strconv.ParseUint(b, 10, 64)
	}
	return index, n, err
}

func (h *history) event(m redis.XMessage) Event {
	text := func(name string) string { s, _ := m.Values[name].(string); return s }
	ev := Event{Change: text("event"), Key: text("key"), Watched: h.w.keys[0], Kind: Kind(text("kind")), ID: m.ID}
	if v, ok := m.Values["value"].(string); ok {
		ev.Value = []byte(v)
	}
	ev.Token, _ = strconv.ParseInt(text("token"), 10, 64) // 0 where there is none.
	ev.Index, _, _ = parseID(m.ID)
	return ev
}
