//go:build !linux

package server

import (
	"net"
	"time"
)

// setUserTimeout: elsewhere the system decides.
func setUserTimeout(net.Conn, time.Duration) {}

// peerGone: elsewhere only a read tells that the peer sends no more.
const peerGone = 0

// loop is for Linux; elsewhere each connection has a goroutine of its own.
type loop struct{}

type station uint8

func newLoops(*Server) ([]*loop, error) { return nil, nil }

func (l *loop) adopt(*conn) bool { return false }
func (l *loop) nudge()           {}
func (l *loop) stop()            {}
func (l *loop) run()             {}

func (c *conn) readSocket([]byte) (int, error) { panic("a connection without a loop") }
func (c *conn) land(error)                     {}
