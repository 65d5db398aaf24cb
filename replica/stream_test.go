package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testKind     = 1
	testPatience = 10 * time.Second
)

// connected returns the two ends of a TCP connection.
func connected(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn)
	go func() {
		conn, _ := l.Accept()
		accepted <- conn
	}()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	return client, <-accepted
}

func admitAll(hello) error { return nil }

// streamTo opens a stream of node from to a.
func streamTo(t *testing.T, a *answerer, from string) *stream {
	t.Helper()
	client, server := connected(t)
	a.accept(server, hello{From: from})
	s := newStream(client, "server", a.patience)
	t.Cleanup(s.close)
	return s
}

func answering(t *testing.T, patience time.Duration) *answerer {
	a := newAnswerer(patience, admitAll)
	t.Cleanup(a.close)
	return a
}

func TestAnswersFindThoseWhoAsked(t *testing.T) {
	a := answering(t, testPatience)
	a.handle(testKind, func(_ context.Context, payload []byte) ([]byte, error) {
		if len(payload) == 0 {
			return nil, errors.New("nothing was asked")
		}
		time.Sleep(time.Duration(payload[0]%7) * 100 * time.Microsecond) // so that they overtake each other
		return bytes.ToUpper(payload), nil
	})
	s := streamTo(t, a, "n2")
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := range 20 {
				ask := fmt.Sprintf("%c client %d asks %d %s", 'a'+i, i, j, strings.Repeat("x", 3000*(i%16)))
				answer, sent, err := s.call(testContext(t), testKind, []byte(ask))
				if err != nil || !sent || string(answer) != strings.ToUpper(ask) {
					t.Errorf("client %d: %d bytes, %v, %v", i, len(answer), sent, err)
					return
				}
			}
		})
	}
	wg.Wait()
	var refused refusedError
	if _, sent, err := s.call(testContext(t), testKind, nil); !sent || !errors.As(err, &refused) || refused != "nothing was asked" {
		t.Errorf("a refusal: %v, %v", sent, err)
	}
	if _, _, err := s.call(testContext(t), 99, nil); !errors.As(err, &refused) || !strings.Contains(err.Error(), "unknown request 99") {
		t.Errorf("an unknown kind: %v", err)
	}
}

func TestLargePayloadsPass(t *testing.T) {
	a := answering(t, testPatience)
	a.handle(testKind, func(_ context.Context, payload []byte) ([]byte, error) {
		return fmt.Append(nil, len(payload), payload[len(payload)-1]), nil
	})
	a.handle(2, func(context.Context, []byte) ([]byte, error) { return make([]byte, maxAnswer+1), nil })
	s := streamTo(t, a, "n2")
	large := make([]byte, 5<<20+17)
	large[len(large)-1] = 42
	answer, _, err := s.call(testContext(t), testKind, large)
	if want := fmt.Sprint(len(large), 42); err != nil || strings.ReplaceAll(string(answer), " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Fatalf("%s, %v", answer, err)
	}
	if _, sent, err := s.call(testContext(t), testKind, make([]byte, maxFrame+1)); err == nil || sent {
		t.Fatalf("a request above the bound: %v, %v", sent, err)
	}
	if _, _, err := s.call(testContext(t), 2, nil); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Fatalf("an answer above the bound: %v", err)
	}
}

func TestRequestsInFlightAreBounded(t *testing.T) {
	a := answering(t, testPatience)
	release := make(chan struct{})
	a.handle(testKind, func(context.Context, []byte) ([]byte, error) { <-release; return nil, nil })
	s := streamTo(t, a, "n2")
	answers := make(chan error, maxRequests)
	done := func(_ []byte, _ bool, err error) { answers <- err }
	for range maxRequests {
		if _, err := s.start(testKind, nil, done); err != nil {
			t.Fatal(err)
		}
	}
	if _, sent, err := s.call(testContext(t), testKind, nil); !errors.Is(err, errStreamFull) || sent {
		t.Fatalf("one above the bound: %v, %v", sent, err)
	}
	close(release)
	for range maxRequests {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
	if s.requests != 0 || s.bytes != 0 {
		t.Fatalf("%d requests of %d bytes are left", s.requests, s.bytes)
	}
	s.bytes = maxRequested - 10
	if _, err := s.start(testKind, make([]byte, 11), done); !errors.Is(err, errStreamFull) {
		t.Fatalf("bytes above the bound: %v", err)
	}
}

// An asking end that keeps no bounds is not served.
func TestUnboundedRequestsEndTheStream(t *testing.T) {
	a := answering(t, testPatience)
	a.handleInOrder(testKind, func(*session, []byte, func([]byte, error)) {}) // never answers
	client, server := connected(t)
	defer client.Close()
	a.accept(server, hello{From: "n2"})
	for id := range uint64(maxRequests + 1) {
		client.Write(appendFrameHeader(nil, frame{kind: testKind, id: id}))
	}
	client.SetReadDeadline(time.Now().Add(testTimeout))
	for {
		if _, err := client.Read(make([]byte, 100)); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				t.Fatal("still open")
			}
			return
		}
	}
}

func encoded(fr frame) []byte { return append(appendFrameHeader(nil, fr), fr.payload...) }

func TestDamagedFramesAreNoticed(t *testing.T) {
	good := encoded(frame{kind: 3, status: statusAnswer, id: 77, payload: []byte("some payload")})
	fr, err := readFrame(bytes.NewReader(good), 100)
	if err != nil || fr.kind != 3 || fr.status != statusAnswer || fr.id != 77 || string(fr.payload) != "some payload" {
		t.Fatalf("%+v, %v", fr, err)
	}
	for bit := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := readFrame(bytes.NewReader(bad), 100); !errors.Is(err, errDamaged) {
			t.Errorf("bit %d flipped: %v", bit, err)
		}
	}
	for n := range len(good) {
		if _, err := readFrame(bytes.NewReader(good[:n]), 100); err == nil {
			t.Errorf("%d bytes of %d passed", n, len(good))
		}
	}
	if _, err := readFrame(bytes.NewReader(good), 5); !errors.Is(err, errDamaged) {
		t.Errorf("a frame above the limit: %v", err)
	}
}

func TestADeclaredLengthMakesNoRoom(t *testing.T) {
	var before, after runtime.MemStats
	h := appendFrameHeader(nil, frame{kind: testKind})
	binary.LittleEndian.PutUint32(h, maxFrame)
	h = appendSum(h)
	runtime.ReadMemStats(&before)
	_, err := readFrame(bytes.NewReader(h), maxFrame)
	runtime.ReadMemStats(&after)
	if made := after.TotalAlloc - before.TotalAlloc; err == nil || made > 2*firstRead {
		t.Fatalf("%d bytes for a frame of which nothing came, %v", made, err)
	}
}

// appendSum seals a changed header again.
func appendSum(h []byte) []byte {
	sealed := appendFrameHeader(nil, frame{})
	copy(sealed, h[:16])
	return binary.LittleEndian.AppendUint32(sealed[:20], crcOf(sealed[:20]))
}

func TestABrokenStreamTellsWhatWasSent(t *testing.T) {
	client, server := net.Pipe() // the writer stands still until somebody reads
	defer server.Close()
	s := newStream(client, "n1", testPatience)
	type fate struct {
		sent bool
		err  error
	}
	first, second := make(chan fate, 1), make(chan fate, 1)
	if _, err := s.start(testKind, []byte("first"), func(_ []byte, sent bool, err error) { first <- fate{sent, err} }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first request on its way", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.pending[1].sent
	})
	if _, err := s.start(testKind, []byte("second"), func(_ []byte, sent bool, err error) { second <- fate{sent, err} }); err != nil {
		t.Fatal(err)
	}
	server.Close()
	if f := <-first; !f.sent || f.err == nil {
		t.Errorf("the first: %+v", f)
	}
	if f := <-second; f.sent || f.err == nil {
		t.Errorf("the second: %+v", f)
	}
	if _, sent, err := s.call(testContext(t), testKind, nil); err == nil || sent {
		t.Errorf("after the end: %v, %v", sent, err)
	}
	s.close()
}

func TestARequestDroppedBeforeItWasSentIsNeverSent(t *testing.T) {
	client, server := net.Pipe()
	s := newStream(client, "n1", testPatience)
	defer s.close()
	s.start(testKind, []byte("first"), func([]byte, bool, error) {})
	eventually(t, "the first request on its way", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.pending[1].sent
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, sent, err := s.call(ctx, testKind, []byte("dropped")); sent || !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, %v", sent, err)
	}
	s.start(testKind, []byte("third"), func([]byte, bool, error) {})
	var got []string
	for range 2 {
		fr, err := readFrame(server, maxFrame)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(fr.payload))
	}
	if fmt.Sprint(got) != "[first third]" {
		t.Fatalf("sent: %v", got)
	}
}

func TestLateAnswersHarmNobody(t *testing.T) {
	a := answering(t, testPatience)
	release := make(chan struct{})
	a.handle(testKind, func(_ context.Context, payload []byte) ([]byte, error) {
		if string(payload) == "slow" {
			<-release
		}
		return payload, nil
	})
	s := streamTo(t, a, "n2")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, sent, err := s.call(ctx, testKind, []byte("slow")); !sent || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v, %v", sent, err)
	}
	if s.requests != 1 {
		t.Errorf("%d requests are counted, the other end still holds one", s.requests)
	}
	close(release)
	eventually(t, "late answer", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.requests == 0
	})
	if answer, _, err := s.call(testContext(t), testKind, []byte("quick")); err != nil || string(answer) != "quick" {
		t.Fatalf("%s, %v", answer, err)
	}
}

func TestAnswersToNothingEndTheStream(t *testing.T) {
	client, server := connected(t)
	defer server.Close()
	s := newStream(client, "n1", testPatience)
	defer s.close()
	server.Write(encoded(frame{kind: testKind, status: statusAnswer, id: 5}))
	<-s.done
	if err := s.ended(); !errors.Is(err, errBadFrame) {
		t.Fatal(err)
	}
}

func TestASilentPeerIsGone(t *testing.T) {
	client, server := connected(t)
	defer server.Close() // says nothing
	s := newStream(client, "n1", 50*time.Millisecond)
	defer s.close()
	_, sent, err := s.call(testContext(t), testKind, nil)
	var timeout net.Error
	if !sent || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("%v, %v", sent, err)
	}
}

func TestAQuietStreamStands(t *testing.T) {
	const patience = 200 * time.Millisecond
	a := answering(t, patience)
	a.handle(testKind, func(context.Context, []byte) ([]byte, error) { return nil, nil })
	s := streamTo(t, a, "n2")
	select {
	case <-s.done:
		t.Fatal(s.ended())
	case <-time.After(3 * patience):
	}
	if _, _, err := s.call(testContext(t), testKind, nil); err != nil {
		t.Fatal(err)
	}
}

func TestBothEndsMayCloseAtOnce(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 50 {
		a := newAnswerer(testPatience, admitAll)
		a.handle(testKind, func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
		client, server := connected(t)
		a.accept(server, hello{From: "n2"})
		s := newStream(client, "n1", testPatience)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, _, err := s.call(testContext(t), testKind, nil); err == nil {
					t.Error("an answer from nobody")
				}
			})
		}
		wg.Go(s.close)
		wg.Go(a.close)
		wg.Wait()
		late, other := connected(t)
		a.accept(other, hello{From: "n3"}) // after close: is closed
		if _, err := late.Read(make([]byte, 1)); err == nil {
			t.Error("a closed answerer accepted a stream")
		}
		late.Close()
	}
	eventually(t, "return to the former number of goroutines", func() bool { return runtime.NumGoroutine() <= before })
}

func TestANewStreamEndsTheOlderOne(t *testing.T) {
	a := newAnswerer(testPatience, admitAll)
	var order []string // of the goroutines that serve, one after the other
	a.handleInOrder(testKind, func(_ *session, payload []byte, answer func([]byte, error)) {
		order = append(order, string(payload))
		answer(nil, nil)
	})
	a.ended = func(*session) { order = append(order, "ended") }
	older := streamTo(t, a, "n2")
	if _, _, err := older.call(testContext(t), testKind, []byte("old")); err != nil {
		t.Fatal(err)
	}
	newer := streamTo(t, a, "n2")
	if _, _, err := newer.call(testContext(t), testKind, []byte("new")); err != nil {
		t.Fatal(err)
	}
	<-older.done
	a.close()
	if got := fmt.Sprint(order); got != "[old ended new ended]" {
		t.Fatal(got)
	}
}

func TestRequestsArriveInOrder(t *testing.T) {
	a := answering(t, testPatience)
	next := byte(0)
	a.handleInOrder(testKind, func(_ *session, payload []byte, answer func([]byte, error)) {
		if payload[0] != next {
			t.Errorf("%d came in place %d", payload[0], next)
		}
		next++
		answer(nil, nil)
	})
	s := streamTo(t, a, "n2")
	var wg sync.WaitGroup
	for i := range maxRequests {
		wg.Add(1)
		if _, err := s.start(testKind, bytes.Repeat([]byte{byte(i)}, 1+i*997), func([]byte, bool, error) { wg.Done() }); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

func TestANodeThatMayNotAskAnyMoreLosesItsStream(t *testing.T) {
	member := make(chan struct{})
	a := newAnswerer(100*time.Millisecond, func(h hello) error {
		select {
		case <-member:
			return fmt.Errorf("node %q is not a member", h.From)
		default:
			return nil
		}
	})
	defer a.close()
	s := streamTo(t, a, "n2")
	close(member)
	select {
	case <-s.done:
	case <-time.After(testTimeout):
		t.Fatal("the stream still stands")
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(encoded(frame{kind: 1, id: 1, payload: []byte("payload")}))
	f.Add(encoded(frame{kind: kindAlive}))
	f.Fuzz(func(t *testing.T, data []byte) {
		fr, err := readFrame(bytes.NewReader(data), 1<<10)
		if err != nil {
			return
		}
		if again := encoded(fr); !bytes.Equal(again, data[:len(again)]) {
			t.Fatalf("%x was read as %x", data, again)
		}
	})
}

func crcOf(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }
