//go:build !linux

package replica

import "net"

func newRawConn(conn net.Conn) net.Conn { return conn }
