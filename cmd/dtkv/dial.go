package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// password is what this process logs in with, empty for not at all. The variables of the node itself count too, so that what
// runs beside it, in its container say, needs no others.
func (p program) password() (string, error) {
	for _, name := range []string{"DTKV_PASSWORD", "DTKV_REQUIREPASS"} {
		if value, _ := p.lookupEnv(name); value != "" {
			return value, nil
		}
		name += "_FILE"
		path, _ := p.lookupEnv(name)
		if path == "" {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		for line := range bytes.Lines(data) {
			if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
				return string(line), nil
			}
		}
		return "", fmt.Errorf("%s: %s holds no password", name, path)
	}
	return "", nil
}

// dial connects to a node's client port and logs in, if there is a password. The timeout is for all of it.
func (p program) dial(addr string, timeout time.Duration) (net.Conn, error) {
	password, err := p.password()
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	if password == "" {
		return conn, nil
	}
	err = conn.SetDeadline(time.Now().Add(timeout))
	if err == nil {
		err = logIn(conn, password)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close() // it has no replies to lose
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	return conn, nil
}

func logIn(conn net.Conn, password string) error {
	if _, err := fmt.Fprintf(conn, "*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n", len(password), password); err != nil {
		return err
	}
	reply, err := bufio.NewReader(conn).ReadString('\n') // nothing else was asked, so nothing else comes
	switch {
	case err != nil:
		return fmt.Errorf("no answer to AUTH: %w", err)
	case strings.HasPrefix(reply, "+OK"), strings.Contains(reply, "without any password configured"):
		return nil
	}
	return errors.New(strings.TrimSpace(strings.TrimPrefix(reply, "-")))
}
