package server

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// peek tells, without waiting, whether a socket has bytes or an end to read, and whether its peer is gone. Of what is no
// socket it knows nothing.
func peek(sock net.Conn) (readable, gone bool) {
	s, ok := wire(sock).(syscall.Conn)
	if !ok {
		return false, false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return true, true
	}
	err = raw.Control(func(fd uintptr) {
		list := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | peerGone}}
		if n, err := unix.Poll(list, 0); n > 0 && err == nil {
			readable = true
			gone = list[0].Revents&(peerGone|unix.POLLHUP|unix.POLLERR) != 0
		}
	})
	return readable || err != nil, gone || err != nil
}
