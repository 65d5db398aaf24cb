package replica

import (
	"io"
	"net"
	"sync"
	"syscall"
	"unsafe"
)

// rawMost is how many bytes one call moves at the most: the garbage collector may have to wait for it.
const rawMost = 256 << 10

// rawConn is a TCP connection whose system calls Go's scheduler does not hear of.
//
// To the scheduler any system call may take long. So when a process makes one that has been at rest, it wakes a thread of the
// runtime (sysmon) that looks every 20 µs for a millisecond whether the call's processor is wanted elsewhere. A node that
// answers its leader is at rest between any two messages, and spent 13 to 23 % of its time in that thread. But a socket
// of package net never blocks. See docs/adr/0030-raw-calls.md.
type rawConn struct {
	*net.TCPConn
	reading, writing rawCall
}

// rawCall is the calls of one direction, one at a time. The function that makes them is kept: as a closure it would be
// allocated each time.
type rawCall struct {
	mu    sync.Mutex
	wait  func(func(fd uintptr) bool) error // makes the calls, and between them waits until the descriptor is ready
	step  func(fd uintptr) bool
	rest  []byte // yet to be moved
	moved int
	errno syscall.Errno
}

// newRawConn has a TCP connection read and written so; any other is left as it is.
func newRawConn(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	c := &rawConn{TCPConn: tcp}
	c.reading.wait, c.reading.step = raw.Read, c.reading.read
	c.writing.wait, c.writing.step = raw.Write, c.writing.write
	return c
}

// Read implements net.Conn.
func (c *rawConn) Read(p []byte) (int, error) {
	n, err := c.reading.run(p)
	if n == 0 && err == nil && len(p) > 0 {
		return 0, io.EOF
	}
	return n, c.failed("read", err)
}

// Write implements net.Conn.
func (c *rawConn) Write(p []byte) (int, error) {
	n, err := c.writing.run(p)
	return n, c.failed("write", err)
}

// failed has an error of the system look as package net shows it.
func (c *rawConn) failed(op string, err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: errno}
	}
	return err
}

func (r *rawCall) run(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rest, r.moved, r.errno = p, 0, 0
	err := r.wait(r.step)
	r.rest = nil
	if err == nil && r.errno != 0 {
		err = r.errno
	}
	return r.moved, err
}

// read takes what there is. It reports false when there is nothing yet.
func (r *rawCall) read(fd uintptr) bool {
	r.call(syscall.SYS_READ, fd)
	return r.errno != syscall.EAGAIN
}

// write gives all that is left. It reports false when the socket takes no more yet.
func (r *rawCall) write(fd uintptr) bool {
	for r.errno = 0; r.errno == 0 && len(r.rest) > 0; {
		r.call(syscall.SYS_WRITE, fd)
	}
	return r.errno != syscall.EAGAIN
}

func (r *rawCall) call(trap, fd uintptr) {
	for {
		n, _, errno := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(r.rest))), uintptr(min(len(r.rest), rawMost)))
		if errno == syscall.EINTR {
			continue
		}
		if r.errno = errno; errno == 0 {
			r.rest, r.moved = r.rest[n:], r.moved+int(n)
		}
		return
	}
}
