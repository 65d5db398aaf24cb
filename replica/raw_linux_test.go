package replica

import (
	"crypto/rand"
	"io"
	"net"
	"slices"
	"testing"

	"golang.org/x/net/nettest"
)

// rawPair are the two ends of a connection over loopback.
func rawPair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = (rawListener{l}).Accept(); err != nil {
		t.Fatal(err)
	}
	return newRawConn(near), far
}

func TestARawConnectionBehavesAsOneOfPackageNet(t *testing.T) {
	nettest.TestConn(t, func() (near, far net.Conn, stop func(), err error) {
		near, far = rawPair(t)
		return near, far, func() { near.Close(); far.Close() }, nil
	})
}

// More than a call moves, and than the sockets hold.
func TestARawConnectionMovesMuch(t *testing.T) {
	near, far := rawPair(t)
	defer far.Close()
	sent := make([]byte, 64*rawMost+1)
	_, _ = rand.Read(sent)
	wrote := make(chan error, 1)
	go func() {
		defer near.Close()
		n, err := near.Write(sent)
		if err == nil && n != len(sent) {
			err = io.ErrShortWrite
		}
		wrote <- err
	}()
	got, err := io.ReadAll(far)
	if err != nil || !slices.Equal(got, sent) {
		t.Errorf("%d of %d bytes come as they were sent, %v", len(got), len(sent), err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// A message costs its sender and its reader no allocation.
func TestARawConnectionAllocatesNothing(t *testing.T) {
	near, far := rawPair(t)
	defer near.Close()
	defer far.Close()
	message, got := make([]byte, 100), make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := near.Write(message); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(far, got); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
