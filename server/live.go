package server

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/resp"
)

// live holds what CONFIG SET may change while the node runs. The changes are this process's and end with it.
type live struct {
	timeoutNanos atomic.Int64
	maxClients   atomic.Int64

	mu   sync.Mutex
	kept []commands.Parameter // parameters of Redis that tools set and read back, and that mean nothing here
}

func (l *live) init(c *Config) {
	l.timeoutNanos.Store(int64(c.Timeout))
	l.maxClients.Store(int64(c.MaxClients))
	l.kept = slices.Clone(keptParameters)
}

func (l *live) timeout() time.Duration { return time.Duration(l.timeoutNanos.Load()) }

// keptParameters are accepted, kept and shown, nothing more: benchmarks, test suites and dashboards set them.
var keptParameters = []commands.Parameter{
	{Name: "busy-reply-threshold", Value: "5000"},
	{Name: "client-output-buffer-limit", Value: "normal 0 0 0 slave 0 0 0 pubsub 33554432 8388608 60"},
	{Name: "latency-monitor-threshold", Value: "0"},
	{Name: "latency-tracking", Value: "no"},
	{Name: "lua-time-limit", Value: "5000"},
	{Name: "maxmemory", Value: "0"},
	{Name: "maxmemory-policy", Value: "noeviction"},
	{Name: "notify-keyspace-events", Value: ""},
	{Name: "proto-max-bulk-len", Value: strconv.Itoa(resp.DefaultLimits.Bulk)},
	{Name: "save", Value: ""},
	{Name: "slowlog-log-slower-than", Value: "10000"},
	{Name: "slowlog-max-len", Value: "128"},
}

// parameters lists what CONFIG GET shows: our options under their own names, and what Redis's clients ask for.
func (s *Server) parameters() []commands.Parameter {
	list := s.redisParameters()
	for _, o := range Options {
		if o.Name == "timeout" { // Shown in Redis's way.
			continue
		}
		list = append(list, commands.Parameter{Name: o.Name, Value: o.get(&s.cfg), Fixed: true})
	}
	s.live.mu.Lock()
	list = append(list, s.live.kept...)
	s.live.mu.Unlock()
	slices.SortFunc(list, func(a, b commands.Parameter) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (s *Server) redisParameters() []commands.Parameter {
	host, port, _ := net.SplitHostPort(s.cfg.Addr)
	if s.listener != nil {
		_, port, _ = net.SplitHostPort(s.listener.Addr().String())
	}
	dir, err := filepath.Abs(s.cfg.DataDir)
	if err != nil {
		dir = s.cfg.DataDir
	}
	fsync := "always"
	if s.cfg.Sync == replica.SyncOS {
		fsync = "no"
	}
	fixed := func(name, value string) commands.Parameter {
		return commands.Parameter{Name: name, Value: value, Fixed: true}
	}
	return []commands.Parameter{
		fixed("appendfsync", fsync),
		fixed("appendonly", "yes"), // the log is one
		fixed("bind", host),
		fixed("cluster-enabled", "no"),
		fixed("databases", "1"),
		fixed("dir", dir),
		{Name: "maxclients", Value: strconv.FormatInt(s.live.maxClients.Load(), 10)},
		fixed("port", port),
		fixed("replica-read-only", "yes"),
		fixed("slave-read-only", "yes"),
		fixed("tcp-keepalive", strconv.Itoa(int(keepAlive/time.Second))),
		{Name: "timeout", Value: strconv.FormatInt(int64(s.live.timeout()/time.Second), 10)},
	}
}

// setParameters changes all of them or none.
func (s *Server) setParameters(list []commands.Parameter) error {
	timeout, clients := int64(s.live.timeout()/time.Second), s.live.maxClients.Load()
	for _, p := range list {
		var err error
		switch p.Name {
		case "timeout":
			timeout, err = parameterNumber(p, 0, math.MaxInt32)
		case "maxclients":
			clients, err = parameterNumber(p, 1, maxMaxClients)
		}
		if err != nil {
			return err
		}
	}
	s.live.mu.Lock()
	for _, p := range list {
		for i := range s.live.kept {
			if s.live.kept[i].Name == p.Name {
				s.live.kept[i].Value = p.Value
			}
		}
	}
	s.live.mu.Unlock()
	s.live.maxClients.Store(clients)
	if d := time.Duration(timeout) * time.Second; d != s.live.timeout().Truncate(time.Second) {
		s.live.timeoutNanos.Store(int64(d))
		s.pokeClients() // They wait under the old rule.
	}
	return nil
}

func parameterNumber(p commands.Parameter, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(p.Value, 10, 64)
	if err != nil {
		return 0, &commands.ParameterError{Name: p.Name, Reason: "argument couldn't be parsed into an integer"}
	}
	if n < low || n > high {
		return 0, &commands.ParameterError{Name: p.Name, Reason: fmt.Sprintf("argument must be between %d and %d inclusive", low, high)}
	}
	return n, nil
}
