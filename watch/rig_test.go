package watch

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/dtkv/dtkv/fsm"
)

// rig is one group: a machine that applies, and a hub that hears of it.
type rig struct {
	t *testing.T
	h *Hub

	mu    sync.RWMutex
	m     *fsm.Machine
	stuck chan struct{} // while not nil, the state cannot be read until it is closed
	err   error         // of State
	clock int64         // of the cluster, for what is applied next
}

func newRig(t *testing.T, o Options) *rig {
	r := &rig{t: t, m: fsm.New()}
	o.State = r.state
	r.h = New(o)
	t.Cleanup(r.h.Close)
	r.apply(&fsm.LeaderStart{})
	return r
}

// inBubble runs fn with a rig in a bubble, where synctest.Wait returns once the hub has nothing left to do. A goroutine
// that Close leaves behind fails the test.
func inBubble(t *testing.T, o Options, fn func(r *rig)) {
	synctest.Test(t, func(t *testing.T) { fn(newRig(t, o)) })
}

func (r *rig) state(ctx context.Context, group int, fn func(fsm.View)) error {
	if group != 0 {
		return ErrNoGroup
	}
	r.mu.RLock()
	stuck, err := r.stuck, r.err
	r.mu.RUnlock()
	if stuck != nil {
		select {
		case <-stuck:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err != nil {
		return err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	fn(r.m.View())
	return nil
}

// apply carries out the operations in one entry and returns the last result.
func (r *rig) apply(ops ...fsm.Op) fsm.Result {
	r.t.Helper()
	r.mu.Lock()
	index := r.m.View().Index() + 1
	data := make([]byte, fsm.HeaderSize)
	for _, op := range ops {
		data = op.AppendTo(data)
	}
	fsm.SealEntry(data, fsm.Header{Term: 1, AutoMkdir: true, ClusterMillis: r.clock}, len(ops))
	e, err := fsm.OpenEntry(data)
	if err != nil {
		r.t.Error(err)
	}
	e.Index, e.LogTerm = index, 1
	results, err := r.m.Apply(&e, nil)
	if err != nil {
		r.t.Error(err)
	}
	r.mu.Unlock()
	r.h.Applied(0, index, r.m.Events())
	return results[len(results)-1]
}

func (r *rig) set(key, value string) { r.t.Helper(); r.apply(set(key, value)) }

// restore replaces the state by what jump makes of a copy of it, unseen by the hub.
func (r *rig) restore(jump func(o *rig)) {
	r.t.Helper()
	var file bytes.Buffer
	if err := fsm.WriteSnapshot(&file, r.m.Freeze()); err != nil {
		r.t.Fatal(err)
	}
	m, err := fsm.ReadSnapshot(io.NopCloser(&file))
	if err != nil {
		r.t.Fatal(err)
	}
	other := &rig{t: r.t, m: m, h: New(Options{})}
	defer other.h.Close()
	jump(other)
	r.mu.Lock()
	r.m = m
	r.mu.Unlock()
	r.h.Restored(0, m.View().Index(), m.View())
}

func set(key, value string) fsm.Op { return &fsm.Set{Key: []byte(key), Value: []byte(value)} }
func del(key string) fsm.Op        { return &fsm.Remove{Keys: [][]byte{[]byte(key)}} }

// reader is a subscriber that collects what it is sent.
type reader struct {
	*Subscriber
	t     *testing.T
	wakes chan struct{}
	limit int
}

func (r *rig) join() *reader {
	b := &reader{t: r.t, wakes: make(chan struct{}, 1), limit: 100}
	b.Subscriber = r.h.Join(SubscriberOptions{Wake: func() {
		select {
		case b.wakes <- struct{}{}:
		default:
		}
	}})
	return b
}

func (r *rig) subscribe(channels ...string) *reader {
	r.t.Helper()
	b := r.join()
	for _, c := range channels {
		if _, err := b.Subscribe(c); err != nil {
			r.t.Fatal(err)
		}
	}
	return b
}

// take returns everything that comes until the hub rests.
func (b *reader) take() (all []Message) {
	for {
		synctest.Wait()
		some := b.Take(b.limit)
		if len(some) == 0 {
			return all
		}
		all = append(all, some...)
	}
}

// texts returns the payloads of everything that comes, one a line.
func (b *reader) texts() string {
	var s strings.Builder
	for _, m := range b.take() {
		s.Write(m.Payload)
		s.WriteByte('\n')
	}
	return s.String()
}

// lines returns all of everything that comes: pattern, channel and payload.
func (b *reader) lines() string {
	var s strings.Builder
	for _, m := range b.take() {
		if m.Kind == Pattern {
			s.WriteString(m.Pattern + " ")
		}
		s.WriteString(m.Channel + " ")
		s.Write(m.Payload)
		s.WriteByte('\n')
	}
	return s.String()
}

func (b *reader) want(want string) {
	b.t.Helper()
	if got := b.texts(); got != text(want) {
		b.t.Errorf("got\n%swant\n%s", got, text(want))
	}
}

func (b *reader) wantLines(want string) {
	b.t.Helper()
	if got := b.lines(); got != text(want) {
		b.t.Errorf("got\n%swant\n%s", got, text(want))
	}
}

// text takes the indentation off the lines of s.
func text(s string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(s)) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// news is a message of a watch channel, read as a client would.
type news struct {
	Index       uint64
	Event       string
	Key         string
	Kind        string
	Value       *string
	Encoding    string
	KeyEncoding string `json:"key_encoding"`
	Partial     bool
}

func parse(t *testing.T, payload []byte) news {
	t.Helper()
	var n news
	d := json.NewDecoder(bytes.NewReader(payload))
	if err := d.Decode(&n); err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	decode := func(s, encoding string) string {
		if encoding == "" {
			return s
		}
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil || encoding != "base64" {
			t.Fatalf("%s: %v", payload, err)
		}
		return string(b)
	}
	n.Key = decode(n.Key, n.KeyEncoding)
	if n.Value != nil {
		v := decode(*n.Value, n.Encoding)
		n.Value = &v
	}
	return n
}

var errDown = errors.New("no leader")
