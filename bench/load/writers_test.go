package load_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

// A writer that waits for each reply before it thinks of the next write would report one slow write and no other.
func TestWritesThatWaitBehindASlowOneCountFromWhenTheyWereDue(t *testing.T) {
	const stall = 300 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go answer(l, stall)
	w := load.Writes{Data: load.Data{Keys: 10, Bytes: 1}, Rate: 100, Writers: 1}
	server := &load.Server{Addr: l.Addr().String()}
	samples, err := w.During(t.Context(), server, func(ctx context.Context) error { return load.Pause(ctx, 2*stall) })
	if err != nil {
		t.Fatal(err)
	}
	slow := 0
	for _, s := range samples {
		if s.Took > stall/3 {
			slow++
		}
	}
	if slow < 10 {
		t.Errorf("%d of %d writes were slow; a stall of %v at 100 a second holds up about 20 for longer than %v", slow, len(samples), stall, stall/3)
	}
}

// answer says OK to every command, to the first SET only after a while.
func answer(l net.Listener, stall time.Duration) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			for lines := bufio.NewScanner(c); lines.Scan(); {
				switch line := strings.ToLower(lines.Text()); {
				case line == "set":
					time.Sleep(stall)
					stall = 0
					fmt.Fprint(c, "+OK\r\n")
				case line == "hello":
					fmt.Fprint(c, "-ERR unknown command 'hello'\r\n")
				}
			}
		}()
	}
}
