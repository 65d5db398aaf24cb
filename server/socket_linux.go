package server

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a client's TCP connection without Go's poller, which would wake a thread for every packet that a loop reads.
// A loop reads and writes the descriptor without waiting; the methods of net.Conn wait with poll(2), and are for the
// goroutine that a connection is handed to. Only Shutdown may be called by others at the same time.
type socket struct {
	fd            int
	local, remote net.Addr
	readBy        time.Time
	writeBy       time.Time

	mu     sync.Mutex // guards closed
	closed bool
}

// bareConn is a connection that is no more than one descriptor of the system.
type bareConn interface {
	net.Conn
	syscall.Conn
}

// newSocket takes the connection out of package net's hands. It closes sock, or leaves it alone if there is an error.
func newSocket(sock bareConn) (*socket, error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	cerr := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if cerr != nil || err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	s := &socket{fd: fd, local: sock.LocalAddr(), remote: sock.RemoteAddr()}
	_ = sock.Close() // the copy stays open, and non-blocking as it was
	return s, nil
}

// setUserTimeout ends a TCP connection whose other end takes nothing of what was sent for so long: without it that would take a
// quarter of an hour.
func setUserTimeout(sock net.Conn, d time.Duration) {
	if s, ok := wire(sock).(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { // an old kernel does without
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d/time.Millisecond))
			})
		}
	}
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(s.fd, p)
		switch {
		case err == unix.EAGAIN:
			if err := s.poll(unix.POLLIN, s.readBy); err != nil {
				return 0, err
			}
		case err == unix.EINTR:
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Write(s.fd, p[done:])
		switch {
		case err == unix.EAGAIN:
			if err := s.poll(unix.POLLOUT, s.writeBy); err != nil {
				return done, err
			}
		case err == unix.EINTR:
		case err != nil:
			return done, os.NewSyscallError("write", err)
		default:
			done += n
		}
	}
	return done, nil
}

// poll waits until the socket is ready or the deadline, if there is one, has passed.
func (s *socket) poll(events int16, by time.Time) error {
	for {
		wait := -1
		if !by.IsZero() {
			left := time.Until(by)
			if left <= 0 {
				return os.ErrDeadlineExceeded
			}
			wait = int(left/time.Millisecond) + 1
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: events}}, wait)
		if n > 0 {
			return nil
		}
		if err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
	}
}

// Shutdown ends the connection in both directions. Whoever reads or writes it learns so; only Close frees it.
func (s *socket) Shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		_ = unix.Shutdown(s.fd, unix.SHUT_RDWR) // the peer may have been faster
	}
}

// CloseWrite tells the peer that nothing more will come.
func (s *socket) CloseWrite() error { return unix.Shutdown(s.fd, unix.SHUT_WR) }

// Close implements net.Conn.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	return unix.Close(s.fd)
}

func (s *socket) descriptor() int { return s.fd }

// LocalAddr implements net.Conn.
func (s *socket) LocalAddr() net.Addr { return s.local }

// RemoteAddr implements net.Conn.
func (s *socket) RemoteAddr() net.Addr { return s.remote }

// SetDeadline implements net.Conn.
func (s *socket) SetDeadline(t time.Time) error {
	s.readBy, s.writeBy = t, t
	return nil
}

// SetReadDeadline implements net.Conn.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.readBy = t
	return nil
}

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error {
	s.writeBy = t
	return nil
}
