package client

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func next(t *testing.T, w *Watch) Event {
	t.Helper()
	select {
	case ev, ok := <-w.Events():
		if !ok {
			t.Fatalf("the watch has ended: %v", w.Err())
		}
		return ev
	case <-time.After(time.Hour):
		t.Fatal("nothing happens")
	}
	return Event{}
}

func TestAWatchTellsTheStateAndThenChanges(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		f.values["a"] = "1"
		ctx, cancel := context.WithCancel(t.Context())
		w := c.Watch(ctx, "a")
		if ev := next(t, w); ev.Change != "state" || string(ev.Value) != "1" || ev.Key != "a" || ev.Watched != "a" || ev.Kind != KindValue {
			t.Errorf("first %+v", ev)
		}
		if err := c.Set(ctx, "a", []byte("2"), 0); err != nil {
			t.Fatal(err)
		}
		if ev := next(t, w); ev.Change != "set" || string(ev.Value) != "2" || ev.Index == 0 {
			t.Errorf("then %+v", ev)
		}
		cancel()
		if ev, ok := <-w.Events(); ok {
			t.Errorf("after the end: %+v", ev)
		}
		if !errors.Is(w.Err(), context.Canceled) {
			t.Errorf("it ended with %v", w.Err())
		}
	})
}

func TestAWatchGoesOnAfterTheConnectionBroke(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		f.values["a"], f.values["b"] = "1", "1"
		w := c.Watch(t.Context(), "a", "b")
		next(t, w)
		next(t, w)
		for round := range 5 {
			f.mu.Lock()
			f.down = true
			f.mu.Unlock()
			f.breakAll()
			time.Sleep(3 * time.Second)
			want := fmt.Sprint("round ", round)
			f.mu.Lock()
			f.values["a"] = want
			f.down = false
			f.mu.Unlock()
			gaps := map[string]int{}
			for got := ""; got != want; {
				ev := next(t, w)
				switch {
				case ev.Gap:
					gaps[ev.Watched]++
				case gaps[ev.Watched] == 0:
					t.Fatalf("round %d: %+v comes before the gap", round, ev)
				case ev.Key == "a":
					got = string(ev.Value)
				}
			}
			for ev := next(t, w); ev.Gap || ev.Key != "b"; ev = next(t, w) {
			}
		}
	})
}

// A connection whose peer is gone without a word looks like one on which nothing happens.
func TestAWatchNoticesThatNobodyIsThere(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		w := c.Watch(t.Context(), "a")
		next(t, w)
		synctest.Wait()
		f.setFaults(func(args []string) fault { return fault{hang: args[0] == "PING"} })
		began := time.Now()
		if ev := next(t, w); !ev.Gap {
			t.Errorf("got %+v", ev)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("it took %s", took)
		}
		next(t, w)
		f.setFaults(nil)
		time.Sleep(time.Hour) // Nothing happens, and it is not mistaken for anything else.
		if err := c.Set(t.Context(), "a", []byte("x"), 0); err != nil {
			t.Fatal(err)
		}
		if ev := next(t, w); ev.Gap || string(ev.Value) != "x" {
			t.Errorf("got %+v", ev)
		}
	})
}

func TestAWatchThatIsRefusedEnds(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		f.setFaults(func(args []string) fault {
			if args[0] == "SUBSCRIBE" {
				return fault{reply: "-BADKEY a key is 1 to 8192 bytes\r\n"}
			}
			return fault{}
		})
		for _, w := range []*Watch{c.Watch(t.Context(), "a"), c.Watch(t.Context())} {
			for ev := range w.Events() {
				t.Errorf("got %+v", ev)
			}
			wantVerdict(t, "a watch", w.Err(), ErrRefused)
		}
	})
}

func TestClosingTheClientEndsItsWatches(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		w, h := c.Watch(t.Context(), "a"), c.History(t.Context(), "", "0-0")
		next(t, w)
		go func() { _ = c.Close() }()
		for range w.Events() {
		}
		for range h.Events() {
		}
		if !errors.Is(w.Err(), ErrClosed) || !errors.Is(h.Err(), ErrClosed) {
			t.Errorf("they ended with %v and %v", w.Err(), h.Err())
		}
	})
}

func TestMessagesOfAWatchChannel(t *testing.T) {
	for _, test := range []struct {
		payload string
		want    string // of %+v, or empty for an error
	}{
		{`{"event":"lost"}`, fmt.Sprintf("%+v", Event{Gap: true})},
		{`{"index":7,"event":"set","key":"a","kind":"value","value":"v"}`, fmt.Sprintf("%+v", Event{Change: "set", Key: "a", Kind: KindValue, Value: []byte("v"), Index: 7})},
		{`{"index":7,"event":"set","key":"a","kind":"value","value":"/w==","encoding":"base64"}`, fmt.Sprintf("%+v", Event{Change: "set", Key: "a", Kind: KindValue, Value: []byte("\xff"), Index: 7})},
		{`{"index":7,"event":"del","key":"/w==","key_encoding":"base64","kind":"none"}`, fmt.Sprintf("%+v", Event{Change: "del", Key: "\xff", Kind: KindNone, Index: 7})},
		{`{"index":7,"event":"state","key":"d","kind":"dir","partial":true}`, fmt.Sprintf("%+v", Event{Change: "state", Key: "d", Kind: KindDir, Index: 7, Partial: true})},
		{`{"index":7,"event":"lock","key":"l","kind":"lock","token":3,"owner":"01234567"}`, fmt.Sprintf("%+v", Event{Change: "lock", Key: "l", Kind: KindLock, Index: 7, Token: 3})},
		{`{"index":7,"event":"set","key":"a","kind":"value","value":"?","encoding":"base64"}`, ""},
		{`{"index":7,"event":"set","key":"a","kind":"value","value":"?","encoding":"rot13"}`, ""},
		{`no JSON`, ""},
	} {
		ev, err := parseMessage(test.payload)
		if got := fmt.Sprintf("%+v", ev); err != nil && test.want != "" || err == nil && got != test.want {
			t.Errorf("%s\n got %s, %v\nwant %s", test.payload, got, err, test.want)
		}
	}
}

// Whatever a server says, reading it neither panics nor invents a key.
func FuzzParseMessage(f *testing.F) {
	f.Add(`{"index":7,"event":"set","key":"a","kind":"value","value":"/w==","encoding":"base64"}`)
	f.Add(`{"event":"lost"}`)
	f.Fuzz(func(t *testing.T, payload string) {
		if ev, err := parseMessage(payload); err == nil && ev.Gap && ev.Key != "" {
			t.Errorf("%q: %+v", payload, ev)
		}
	})
}

func TestAHistoryMissesNothingAcrossReconnects(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		for i := range 50 {
			f.events = append(f.events, fmt.Sprint("k", i))
		}
		h := c.History(t.Context(), "dir", "0-0")
		for i := range 200 {
			if i%7 == 0 {
				f.breakAll()
			}
			if i >= 50 {
				f.mu.Lock()
				f.events = append(f.events, fmt.Sprint("k", i))
				f.mu.Unlock()
			}
			ev := next(t, h)
			if want := fmt.Sprintf("%d-0", i+1); ev.Gap || ev.Key != fmt.Sprint("k", i) || ev.ID != want || ev.Index != uint64(i+1) {
				t.Fatalf("event %d is %+v", i, ev)
			}
		}
	})
}

func TestAHistoryTellsWhereItHasAGap(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		for i := range 50 {
			f.events = append(f.events, fmt.Sprint("k", i))
		}
		f.oldest = 30
		h := c.History(t.Context(), "", "7-0")
		if ev := next(t, h); !ev.Gap {
			t.Errorf("got %+v", ev)
		}
		if ev := next(t, h); ev.ID != "31-0" {
			t.Errorf("it goes on with %+v", ev)
		}
	})
}

func TestAHistoryFromNowOn(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		f.events = []string{"old"}
		h := c.History(t.Context(), "", "")
		time.Sleep(time.Second)
		if err := c.Set(t.Context(), "new", []byte("v"), 0); err != nil {
			t.Fatal(err)
		}
		if ev := next(t, h); ev.Key != "new" {
			t.Errorf("got %+v", ev)
		}
	})
}

func TestPredecessorOfAnID(t *testing.T) {
	for id, want := range map[string]string{
		"7-3": "7-2", "7-0": "6-18446744073709551615", "0-0": "0-0", "x": "", "7": "", "-1-2": "",
	} {
		if got, err := predecessor(id); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: got %s, %v; want %s", id, got, err, want)
		}
	}
}
