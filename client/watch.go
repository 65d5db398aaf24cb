package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Event is a change, or what stood there when the watch began.
type Event struct {
	// Gap says that something may have been missed: forget what you know of Watched, its present state follows. All other
	// fields are empty. A gap comes after a reconnect, and after the reader fell behind. In a history it comes when the
	// server does not keep that far back; no state follows, but the oldest event that is kept.
	Gap bool
	// Change is what happened: "state" for what is there now, or the server's name of it, as "set", "del", "expired", "lock".
	Change  string
	Key     string // the key that changed
	Watched string // the key that was watched: Key, or a directory above it
	Kind    Kind   // what the key is now, KindNone if it is gone
	Value   []byte
	Token   int64  // of a lock that is held
	Index   uint64 // of the log entry. For one key it only grows
	Partial bool   // a directory is too large for the states of all that is in it: list it
	ID      string // in a history: where to go on from
}

// Watch is a stream of events. It ends with its context, with the client, or with an error that will not go away.
//
// Goroutines: one, which ends with the watch.
type Watch struct {
	c      *Client
	keys   []string
	events chan Event
	moved  bool            // a history has got on since the last pause
	known  map[string]bool // channels that were subscribed before: once more is a reconnect
	err    error           // valid once events is closed
}

// Events is the channel of events. It is closed when the watch ends. A reader who is slow is told of the newest states
// only, and of the gap, if that is what it comes to.
func (w *Watch) Events() <-chan Event { return w.events }

// Err says why the watch has ended, once Events is closed.
func (w *Watch) Err() error { return w.err }

// Watch tells of the present state of keys, and then of every new one. A key that is a directory stands for all that is
// in it, at any depth. A key need not exist.
//
// The watch goes on by itself when the connection breaks or the server restarts: after an [Event] that says Gap, the
// present state comes again. So the last state is never missed; states in between may be. See [Client.History] for a
// stream that misses nothing.
func (c *Client) Watch(ctx context.Context, keys ...string) *Watch {
	w := &Watch{c: c, keys: keys, events: make(chan Event), known: map[string]bool{}}
	if len(keys) == 0 {
		return w.ended(refuse("Watch", "no key"))
	}
	if !c.spawn(func() { w.run(ctx, w.subscribed) }) {
		return w.ended(&failure{"Watch", ErrRefused, ErrClosed})
	}
	return w
}

func (w *Watch) ended(err error) *Watch {
	w.err = err
	close(w.events)
	return w
}

// run calls session, again and again, until it is refused or nobody wants it.
func (w *Watch) run(ctx context.Context, session func(context.Context) error) {
	defer close(w.events)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(w.c.ctx, func() { cancel(ErrClosed) })()
	pause := backoff{most: time.Second}
	for {
		began := time.Now()
		err := session(ctx)
		if w.c.ctx.Err() != nil {
			cancel(ErrClosed) // its own call may come later than the error of a connection that Close has closed
		}
		switch {
		case ctx.Err() != nil:
			w.err = gaveUp(ctx, "Watch", false)
			return
		case errors.Is(err, ErrRefused):
			w.err = err
			return
		}
		if w.moved || time.Since(began) > pause.most {
			w.moved, pause.next = false, 0
		}
		pause.sleep(ctx)
	}
}

// emit hands an event to the reader, for as long as it takes.
func (w *Watch) emit(ctx context.Context, ev Event) error {
	select {
	case w.events <- ev:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// quiet is how long a subscription may say nothing before it is asked whether it lives.
const quiet = 5 * time.Second

// subscribed is one connection's worth of watching.
func (w *Watch) subscribed(ctx context.Context) error {
	prefix := fmt.Sprintf("__watch@%d__:", w.c.db)
	channels := make([]string, len(w.keys))
	for i, key := range w.keys {
		channels[i] = prefix + key
	}
	sub := w.c.rdb.Subscribe(ctx, channels...)
	defer func() { _ = sub.Close() }()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })() // Nothing else ends a read.
	for asked := false; ; {
		msg, err := sub.ReceiveTimeout(ctx, quiet)
		var wait interface{ Timeout() bool }
		switch {
		case err == nil:
			asked = false
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &wait) && wait.Timeout() && !asked:
			asked = true
			err = sub.Ping(ctx)
		}
		if err == nil {
			err = w.receive(ctx, prefix, msg)
		}
		if err != nil {
			return classify("Watch", false, err)
		}
	}
}

// receive passes on what a subscription said.
func (w *Watch) receive(ctx context.Context, prefix string, msg any) error {
	switch msg := msg.(type) {
	case *redis.Subscription:
		key := strings.TrimPrefix(msg.Channel, prefix)
		if again := w.known[key]; again { // A reconnect, ours or one of go-redis behind our back.
			return w.emit(ctx, Event{Gap: true, Watched: key})
		}
		w.known[key] = true
	case *redis.Message:
		ev, err := parseMessage(msg.Payload)
		if err != nil {
			return err
		}
		ev.Watched = strings.TrimPrefix(msg.Channel, prefix)
		return w.emit(ctx, ev)
	}
	return nil
}

// message is the JSON of a watch channel.
type message struct {
	Index       uint64 `json:"index"`
	Event       string `json:"event"`
	Key         string `json:"key"`
	KeyEncoding string `json:"key_encoding"`
	Kind        Kind   `json:"kind"`
	Value       string `json:"value"`
	Encoding    string `json:"encoding"`
	Token       int64  `json:"token"`
	Partial     bool   `json:"partial"`
}

func parseMessage(payload string) (Event, error) {
	var m message
	if err := json.Unmarshal([]byte(payload), &m); err != nil {
		return Event{}, fmt.Errorf("a watch channel said what is no JSON: %w", err)
	}
	if m.Event == "lost" {
		return Event{Gap: true}, nil
	}
	key, err := decode(m.Key, m.KeyEncoding)
	if err != nil {
		return Event{}, err
	}
	ev := Event{Change: m.Event, Key: string(key), Kind: m.Kind, Token: m.Token, Index: m.Index, Partial: m.Partial}
	if m.Kind == KindValue {
		ev.Value, err = decode(m.Value, m.Encoding)
	}
	return ev, err
}

func decode(s, encoding string) ([]byte, error) {
	switch encoding {
	case "":
		return []byte(s), nil
	case "base64":
		return base64.StdEncoding.DecodeString(s)
	}
	return nil, fmt.Errorf("a watch channel used the unknown encoding %q", encoding)
}
