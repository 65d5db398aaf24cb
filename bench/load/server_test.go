package load_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

// TestMain lets this test binary play the server: started with the flags of dtkv, it is one.
func TestMain(m *testing.M) {
	switch os.Getenv("LOAD_TEST_SERVER") {
	case "serves":
		serve()
	case "fails":
		fmt.Fprintln(os.Stderr, "the data directory is in use")
		os.Exit(1)
	default:
		os.Exit(m.Run())
	}
}

// serve answers every command with a null, at the address that follows --addr.
func serve() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	l, err := net.Listen("tcp", os.Args[2])
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				for lines := bufio.NewScanner(c); lines.Scan(); {
					if strings.HasPrefix(lines.Text(), "*") {
						fmt.Fprint(c, "$-1\r\n")
					}
				}
			}()
		}
	}()
	<-stop
}

func TestServerIsReadyWhenStartReturnsAndGoneWhenStopDoes(t *testing.T) {
	t.Setenv("LOAD_TEST_SERVER", "serves")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := load.StartDtkv(ctx, os.Args[0], t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if s.Took <= 0 {
		t.Errorf("starting took %v", s.Took)
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Logf("without /proc nobody tells the memory of a process: %v", err)
	} else if rss, err := s.RSS(); err != nil || rss < 1<<20 {
		t.Errorf("resident memory %d, %v", rss, err)
	}
	s.Stop()
	select {
	case <-s.Done():
	default:
		t.Error("the server outlives Stop")
	}
	if c, err := net.Dial("tcp", s.Addr); err == nil {
		c.Close()
		t.Error("somebody still listens")
	}
	s.Stop() // a second time does nothing
}

func TestServerThatDoesNotStartSaysWhy(t *testing.T) {
	t.Setenv("LOAD_TEST_SERVER", "fails")
	_, err := load.StartDtkv(t.Context(), os.Args[0], t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "the data directory is in use") {
		t.Errorf("got %v, want what the server printed", err)
	}
}
