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
	if err := c.validateTLS(); err != nil {
		return err
	}
	open, err := reachable("addr", c.Addr)
	switch {
	case err != nil:
		return err
	case open && c.RequirePass == "" && c.RequirePassFile == "":
		return beyond("addr", c.Addr, "set requirepass-file or requirepass")
	case open && c.TLSCert == "" && !c.AllowPlaintext:
		return beyond("addr", c.Addr, "set tls-cert-file and tls-key-file, or say --allow-plaintext yes if the network is trusted")
	}
	peer, err := c.peerAddr()
	if err != nil {
		return err
	}
	open, err = reachable("peer-addr", peer)
	switch {
	case err != nil:
		return err
	case open && !(c.TLSCert != "" && c.PeerTLS) && !c.AllowPlaintext:
		return beyond("peer-addr", peer, "set tls-cert-file, tls-key-file and tls-ca-cert-file and leave peer-tls on, "+
			"or say --allow-plaintext yes if the network is trusted")
	case c.HTTPAddr == "":
		return nil
	}
	open, err = reachable("http-addr", c.HTTPAddr)
	if err == nil && open && !c.AllowPlaintext {
		return beyond("http-addr", c.HTTPAddr, "HTTP has no TLS here; say --allow-plaintext yes if the network is trusted")
	}
	return err
}

// validateTLS checks that the files are those that are needed.
func (c *Config) validateTLS() error {
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("tls-cert-file and tls-key-file go together: one of them is missing")
	case c.TLSCert == "" && c.TLSCA != "":
		return errors.New("tls-ca-cert-file says whom to believe, and needs tls-cert-file and tls-key-file beside it")
	case c.TLSCert == "" || c.TLSCA != "":
		return nil
	case c.TLSAuthClients:
		return errors.New("tls-ca-cert-file is missing, which tells the certificates of clients; let them do without with --tls-auth-clients no")
	case c.PeerTLS:
		return errors.New("tls-ca-cert-file is missing, which tells the certificates of other nodes; let them do without with --peer-tls no")
	}
	return nil
}

func beyond(option, addr, what string) error {
	return fmt.Errorf("%s %q can be reached from other machines: %s; only loopback addresses (127.0.0.1, ::1, localhost) do without", option, addr, what)
}

// openDoors reads what lets clients and peers in.
func (s *Server) openDoors() (err error) {
	if s.passwords, err = openPasswords(&s.cfg); err != nil {
		return err
	}
	if s.certs, err = openCertificates(&s.cfg); err == nil && s.certs != nil {
		s.tls = s.certs.forClients(s.cfg.TLSAuthClients)
	}
	return err
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
