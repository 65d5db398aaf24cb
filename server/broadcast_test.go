package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// party is a broadcast among others in this process, and what its subscribers heard.
type party struct {
	*broadcast
	t      *testing.T
	cancel func()
	others map[string]*party
	dial   func(to *party) (net.Conn, error)

	mu    sync.Mutex
	heard []string
}

func newParty(t *testing.T) *party {
	p := &party{t: t, others: map[string]*party{}}
	ctx, cancel := context.WithCancel(t.Context())
	p.cancel = cancel
	p.broadcast = newBroadcast(ctx, func(shard bool, channel string, message []byte) int {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.heard = append(p.heard, fmt.Sprint(shard, " ", channel, " ", string(message)))
		return 0
	})
	p.dial = func(to *party) (net.Conn, error) {
		here, there := net.Pipe()
		go to.accept(there, "", 0)
		return here, nil
	}
	var n neighbours = p
	p.neighbours.Store(&n)
	t.Cleanup(p.stop)
	return p
}

func (p *party) stop() {
	p.cancel()
	p.close()
}

func (p *party) Others() (list []string) {
	for name := range p.others {
		list = append(list, name)
	}
	return list
}

func (p *party) Dial(_ context.Context, node, _ string, _ int) (net.Conn, error) {
	return p.dial(p.others[node])
}

func (p *party) hears(want ...string) {
	p.t.Helper()
	eventually(p.t, "all messages are heard", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return strings.Join(p.heard, "|") == strings.Join(want, "|")
	})
}

func TestMessagesReachAllOthersInOrder(t *testing.T) {
	a, b, c := newParty(t), newParty(t), newParty(t)
	a.others["b"], a.others["c"] = b, c
	var want []string
	for i := range 1000 {
		a.send(i%3 == 0, fmt.Append(nil, "channel", i), nil)
		want = append(want, fmt.Sprint(i%3 == 0, " channel", i, " "))
	}
	b.hears(want...)
	c.hears(want...)
	a.send(false, nil, bytes.Repeat([]byte("x"), publishWaiting+1)) // a long one goes, as nothing else waits
	want = append(want, "false  "+strings.Repeat("x", publishWaiting+1))
	b.hears(want...)
	c.hears(want...)
	a.hears()
}

// Whoever publishes does not wait for a node that hangs, and what waits for it is bounded.
func TestMessagesToANodeThatHangsAreBounded(t *testing.T) {
	a := newParty(t)
	a.others["b"] = nil
	hang := make(chan struct{})
	a.dial = func(*party) (net.Conn, error) {
		<-hang
		return nil, errors.New("gone")
	}
	message := make([]byte, 1<<20)
	const sent, held = 30, 2 * publishWaiting >> 20 // what the stream is made for, and what waits behind it
	for range sent {
		a.send(false, []byte("c"), message)
	}
	if lost := a.lost.Load(); lost < sent-held {
		t.Errorf("%d of %d messages were dropped, so more wait than may", lost, sent)
	}
	close(hang)
	eventually(t, "what the stream was made for is dropped", func() bool { return a.lost.Load() > sent-held })
	if n := a.sent.Load(); n != 0 {
		t.Errorf("%d were sent to nobody", n)
	}
}

func TestAStreamThatEndedIsMadeAnew(t *testing.T) {
	a, b := newParty(t), newParty(t)
	a.others["b"] = b
	ends := make(chan net.Conn, 10)
	a.dial = func(to *party) (net.Conn, error) {
		here, there := net.Pipe()
		ends <- there
		go to.accept(there, "", 0)
		return here, nil
	}
	a.send(false, []byte("c"), []byte("1"))
	b.hears("false c 1")
	(<-ends).Close()
	eventually(t, "a new stream", func() bool {
		a.send(false, []byte("c"), []byte("2"))
		return len(ends) > 0
	})
	eventually(t, "a message on it", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.heard) > 1
	})
}

func TestWhatIsNoMessageEndsTheStream(t *testing.T) {
	for name, bad := range map[string]string{
		"an unknown kind":      "\x02\x01\x00\x00\x00\x01\x00\x00\x00cm",
		"longer than commands": "\x00\x00\x00\x00\x04\x01\x00\x00\x00",
		"lengths that wrap":    "\x00\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		t.Run(name, func(t *testing.T) {
			p := newParty(t)
			here, there := net.Pipe()
			go p.accept(there, "", 0)
			good := "\x00\x01\x00\x00\x00\x01\x00\x00\x00cm"
			if err := here.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := here.Write([]byte(good + bad)); err != nil {
				t.Fatal(err)
			}
			if _, err := here.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the stream goes on: %v", err)
			}
			p.hears("false c m")
		})
	}
}
