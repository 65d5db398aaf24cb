package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

const healthHelp = `Usage: dtkv health [--ready] [flags of serve]

Asks the node of this machine or container how it is, and ends with 0 if it is well, else with 1 and why. It takes the
flags, environment variables and configuration file of the node, of which http-addr counts.

  --ready    is it ready for reads and writes? (else: does the process work?)
`

// healthTime bounds the whole question.
const healthTime = 5 * time.Second

// health is for supervisors that can only run a program.
func (p program) health(args []string) error {
	if slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" }) {
		fmt.Fprint(p.stdout, healthHelp)
		return nil
	}
	path := "/healthz"
	rest := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--ready" })
	if len(rest) < len(args) {
		path = "/readyz"
	}
	cfg, err := p.configure(rest)
	if err != nil {
		return err
	}
	if cfg.HTTPAddr == "" {
		return fmt.Errorf("the health checks are turned off (http-addr is empty)")
	}
	host, port, err := net.SplitHostPort(cfg.HTTPAddr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // one of all
	}
	c := http.Client{Timeout: healthTime}
	reply, err := c.Get("http://" + net.JoinHostPort(host, port) + path)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(reply.Body, 4<<10))
	_ = reply.Body.Close() // all of it was read
	switch {
	case reply.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s", reply.Status, strings.TrimSpace(string(text)))
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s\n", strings.TrimSpace(string(text)))
	return err
}
