package server

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// These tests run in virtual time: a bubble's clock moves when everything in it waits.

// bubble runs one connection of a server in virtual time. It returns the peer's end.
func bubble(t *testing.T, change func(*Config)) (*Server, *fakeGroup, net.Conn) {
	cfg := Default()
	if change != nil {
		change(&cfg)
	}
	s, g := newTestServer(cfg)
	t.Cleanup(s.hub.Close)
	near, far := net.Pipe()
	c := newConn(s, near)
	if !s.clients.add(c, 1) {
		t.Fatal("no room")
	}
	go c.serve()
	return s, g, far
}

// endsAfter reads until the connection ends and says how long that took and what came.
func endsAfter(t *testing.T, far net.Conn) (string, time.Duration) {
	t.Helper()
	start := time.Now()
	got, err := io.ReadAll(far)
	if err != nil {
		t.Fatal(err)
	}
	return string(got), time.Since(start)
}

func TestACommandMustArriveInTime(t *testing.T) {
	tests := []struct {
		name string
		send string
		min  time.Duration
		max  time.Duration
	}{
		{"a short one has ten seconds", "*2\r\n$3\r\nGET\r\n$1", 10 * time.Second, 10 * time.Second},
		{"an inline one too", "GET k", 10 * time.Second, 10 * time.Second},
		{"one more for each 100 KiB", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$900000\r\n" + strings.Repeat("v", 310<<10), 13 * time.Second, 14 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, _, far := bubble(t, nil)
				go fmt.Fprint(far, "PING\r\n"+test.send)
				got, after := endsAfter(t, far)
				if want := crlf("+PONG", "-ERR timeout: the command was not completed in time"); got != want {
					t.Errorf("got %q", got)
				}
				if after < test.min || after > test.max {
					t.Errorf("ended after %s, want %s to %s", after, test.min, test.max)
				}
			})
		})
	}
}

func TestADripDoesNotBuyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, far := bubble(t, nil)
		go func() {
			for _, b := range []byte("*2\r\n$4\r\nECHO\r\n$40\r\n" + strings.Repeat("x", 40) + "\r\n") {
				if _, err := far.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		_, after := endsAfter(t, far)
		if after != 10*time.Second {
			t.Errorf("ended after %s, want 10s", after)
		}
		time.Sleep(time.Second) // for the drip to find out
	})
}

func TestASlowCommandThatIsInTimeIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, far := bubble(t, nil)
		go func() {
			for range 5 { // The deadline of one command is not that of the next.
				fmt.Fprint(far, "PI")
				time.Sleep(8 * time.Second)
				fmt.Fprint(far, "NG\r\n")
			}
			fmt.Fprint(far, "QUIT\r\n")
		}()
		if got, _ := endsAfter(t, far); got != strings.Repeat("+PONG\r\n", 5)+"+OK\r\n" {
			t.Errorf("got %q", got)
		}
	})
}

func TestIdleConnectionsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, far := bubble(t, nil)
		go func() {
			fmt.Fprint(far, "PI")
			time.Sleep(time.Second)
			fmt.Fprint(far, "NG\r\n") // A deadline was set, and must not strike now.
			time.Sleep(24 * time.Hour)
			fmt.Fprint(far, "PING\r\nQUIT\r\n")
		}()
		if got, _ := endsAfter(t, far); got != crlf("+PONG", "+PONG", "+OK") {
			t.Errorf("got %q", got)
		}
	})
}

func TestTheTimeoutEndsIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, far := bubble(t, func(c *Config) { c.Timeout = time.Minute })
		go func() {
			for range 3 {
				fmt.Fprint(far, "PING\r\n")
				time.Sleep(50 * time.Second)
			}
		}()
		got, after := endsAfter(t, far)
		if got != strings.Repeat("+PONG\r\n", 3) || after != 160*time.Second {
			t.Errorf("got %q after %s, want three answers and 160s", got, after)
		}
	})
}

func TestTheTimeoutCanBeSetWhileClientsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, far := bubble(t, nil)
		other, otherFar := net.Pipe()
		c := newConn(s, other)
		s.clients.add(c, 2)
		go c.serve()
		go func() {
			time.Sleep(time.Hour)
			fmt.Fprint(otherFar, "CONFIG SET timeout 60\r\nQUIT\r\n")
			_, _ = io.ReadAll(otherFar)
		}()
		if got, after := endsAfter(t, far); got != "" || after != time.Hour {
			t.Errorf("got %q after %s, want the end at once, since it has been idle for an hour", got, after)
		}
	})
}

func TestAPeerThatDoesNotReadIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, far := bubble(t, nil)
		start := time.Now()
		fmt.Fprint(far, "PING\r\n") // and the answer is never taken
		s.clients.idle.Wait()
		if after := time.Since(start); after < writeTime || after > writeTime+writeSlack {
			t.Errorf("cut off after %s, want %s to %s", after, writeTime, writeTime+writeSlack)
		}
	})
}

func TestAPeerThatReadsSlowlyIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, far := bubble(t, nil)
		value := strings.Repeat("v", 1<<20)
		go func() {
			fmt.Fprint(far, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048576\r\n"+value+"\r\n")
			fmt.Fprint(far, "MGET k k k k\r\nQUIT\r\n")
		}()
		total, buf := 0, make([]byte, 64<<10)
		for { // 64 KiB a second at most: a MiB takes 16 s, which is longer than any one deadline.
			n, err := far.Read(buf)
			total += n
			if err != nil {
				break
			}
			time.Sleep(500 * time.Millisecond)
		}
		if want := len("+OK\r\n*4\r\n") + 4*(len("$1048576\r\n")+1<<20+2) + len("+OK\r\n"); total != want {
			t.Errorf("got %d bytes, want %d", total, want)
		}
	})
}

func TestDrainAnswersWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, far := bubble(t, nil)
		hold := make(chan struct{})
		g.hold = hold
		go fmt.Fprint(far, "SET k 1\r\n")
		<-g.entered
		stopped := make(chan struct{})
		go func() {
			s.stopClients()
			close(stopped)
		}()
		synctest.Wait()
		select {
		case <-stopped:
			t.Fatal("stopped while a write was in flight")
		default:
		}
		close(hold)
		if got, _ := endsAfter(t, far); got != crlf("+OK") {
			t.Errorf("got %q", got)
		}
		<-stopped
	})
}

func TestDrainEndsIdleAndStuckConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, far := bubble(t, nil)
		near, stuck := net.Pipe()
		c := newConn(s, near)
		s.clients.add(c, 2)
		go c.serve()
		fmt.Fprint(stuck, "PING\r\n") // and the answer is never taken
		start := time.Now()
		s.stopClients()
		if after := time.Since(start); after > drainTime {
			t.Errorf("stopped after %s, want %s at most", after, drainTime)
		}
		if got, _ := endsAfter(t, far); got != "" {
			t.Errorf("got %q", got)
		}
	})
}
