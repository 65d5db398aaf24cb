package server

import (
	"bytes"
	"strings"
	"testing"
)

// These tests hand commands to a connection without a reader in between, as if one read had brought all of them.

func argv(words ...string) [][]byte {
	list := make([][]byte, len(words))
	for i, w := range words {
		list[i] = []byte(w)
	}
	return list
}

func newUnit(s *Server) *conn {
	c := newConn(s, &loopConn{})
	c.beginUnit()
	return c
}

func TestWhatWaitsTogetherIsBounded(t *testing.T) {
	tests := []struct {
		name  string
		first [][]byte
		then  [][]byte
	}{
		{"writes", argv("SET", "k", "v"), argv("SET", "k", "v")},
		{"reads", argv("GET", "k"), argv("GET", "k")},
		{"reads of many keys", argv("GET", "k"), argv("EXISTS", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j")},
		{"refusals behind a write", argv("SET", "k", "v"), argv("NOSUCH")},
		{"refusals behind a read", argv("GET", "k"), argv("NOSUCH")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, _ := newTestServer(Default())
			c := newUnit(s)
			most := 0
			for range 3 * maxPending {
				if len(c.unit.pending) == 0 {
					c.command(test.first)
				}
				c.command(test.then)
				most = max(most, c.unit.args)
			}
			if most < maxPending/2 || most >= maxPending {
				t.Errorf("%d arguments waited together, the bound is %d", most, maxPending)
			}
		})
	}
}

func TestRepliesAreBounded(t *testing.T) {
	name, big := strings.Repeat("k", 100), bytes.Repeat([]byte("x"), 10_000)
	tests := []struct {
		name    string
		command [][]byte
	}{
		{"local", [][]byte{[]byte("ECHO"), big}},
		{"reads", argv("GET", name)},
		{"long reads", argv("KEYS", "*")},
		{"refusals", argv("NOSUCH", "with", "arguments")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, _ := newTestServer(Default())
			c := newUnit(s)
			c.command([][]byte{[]byte("SET"), []byte(name), big})
			c.settle()
			most := 0
			for range 10_000 {
				c.command(test.command)
				most = max(most, c.out.Len())
			}
			c.settle()
			if most = max(most, c.out.Len()); most >= flushAt+2*len(big) || c.account.netOut == 0 {
				t.Errorf("%d bytes of replies were held, the bound is %d; %d were written", most, flushAt, c.account.netOut)
			}
		})
	}
}

func TestAnIdleConnectionHoldsNoBuffers(t *testing.T) {
	s, _ := newTestServer(Default())
	c := newUnit(s)
	c.command(argv("SET", "k", "v"))
	c.settle()
	c.flush()
	c.endUnit()
	if c.unit != nil || c.out.Buf != nil {
		t.Errorf("it holds %v and %d bytes", c.unit, cap(c.out.Buf))
	}
}
