package server

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// Whoever reaches the client port owns the data, and whoever reaches the peer port owns the cluster. So what other machines
// can reach is only served when it is said how it is kept.

// validateDoors checks the addresses to listen on, and who may come in.
func (c *Config) validateDoors() error {
	if c.RequirePass != "" && c.RequirePassFile != "" {
		return errors.New("requirepass and requirepass-file are two places for one thing; choose one of them")
	}
	open, err := reachable("addr", c.Addr)
	switch {
	case err != nil:
		return err
	case open && c.RequirePass == "" && c.RequirePassFile == "":
		return beyond("addr", c.Addr, "set requirepass-file or requirepass")
	case open && !c.AllowPlaintext:
		return beyond("addr", c.Addr, "say --allow-plaintext yes if the network is trusted")
	}
	peer, err := c.peerAddr()
	if err != nil {
		return err
	}
	open, err = reachable("peer-addr", peer)
	switch {
	case err != nil:
		return err
	case open && !c.AllowPlaintext:
		return beyond("peer-addr", peer, "say --allow-plaintext yes if the network is trusted")
	case c.HTTPAddr == "":
		return nil
	}
	open, err = reachable("http-addr", c.HTTPAddr)
	if err == nil && open && !c.AllowPlaintext {
		return beyond("http-addr", c.HTTPAddr, "HTTP has no TLS here; say --allow-plaintext yes if the network is trusted")
	}
	return err
}

func beyond(option, addr, what string) error {
	return fmt.Errorf("%s %q can be reached from other machines: %s; only loopback addresses (127.0.0.1, ::1, localhost) do without", option, addr, what)
}

// reachable reports whether other machines can reach an address to listen on.
func reachable(option, addr string) (bool, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false, fmt.Errorf("%s %q: want host:port", option, addr)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return false, fmt.Errorf("%s %q: the port must be a number from 0 to 65535", option, addr)
	}
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback()), nil
}

// unspecified reports whether an address to listen on is every address of the machine.
func unspecified(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "" || ip != nil && ip.IsUnspecified())
}

// everywhere reports whether the peer listener takes every address of the machine, so that it tells nobody where this node
// is.
func (c *Config) everywhere() bool {
	peer, err := c.peerAddr()
	return err == nil && unspecified(peer)
}

// clientAddress is where clients reach this node, given where it listens. If that is every address, they reach it at the
// host where other nodes do.
func (c *Config) clientAddress(listening net.Addr) string {
	addr := listening.String()
	if !unspecified(c.Addr) {
		return addr
	}
	at := c.Advertise
	for _, p := range c.Peers {
		if p.ID == c.NodeID {
			at = p.Address
		}
	}
	host, _, err := net.SplitHostPort(at)
	_, port, perr := net.SplitHostPort(addr)
	if err != nil || perr != nil {
		return addr
	}
	return net.JoinHostPort(host, port)
}
