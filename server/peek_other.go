//go:build !linux

package server

import "net"

// peek tells whether a socket may have bytes, and whether its peer is known to be gone. Elsewhere than on Linux only a
// read can tell.
func peek(net.Conn) (readable, gone bool) { return true, false }
