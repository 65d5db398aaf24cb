package server

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/resp"
	"github.com/dtkv/dtkv/watch"
)

// live holds what CONFIG SET may change while the node runs. The changes are this process's and end with it.
type live struct {
	timeoutNanos atomic.Int64
	maxClients   atomic.Int64
	output       atomic.Int64 // bytes that may wait for one subscriber
	slowlog      atomic.Int64 // microseconds from which on a command goes into the slow log; negative: none
	slowlogLen   atomic.Int64 // entries
	monitorMs    atomic.Int64 // from which on the latency monitor takes notice; 0: never
	slow         atomic.Int64 // nanoseconds from which on either does
	tracking     atomic.Bool  // INFO latencystats and LATENCY HISTOGRAM tell something

	mu   sync.Mutex
	kept []commands.Parameter // parameters of Redis that tools set and read back, and that mean nothing here
}

func (l *live) init(c *Config) {
	l.timeoutNanos.Store(int64(c.Timeout))
	l.maxClients.Store(int64(c.MaxClients))
	l.output.Store(c.PubSubOutput)
	l.slowlogLen.Store(c.SlowlogMaxLen)
	l.tracking.Store(true)
	l.watchSlow(c.SlowlogOver, c.LatencyThreshold)
	l.kept = slices.Clone(keptParameters)
}

// watchSlow sets from which time on something is slow: microseconds for the slow log, milliseconds for the monitor.
func (l *live) watchSlow(slowlog, monitor int64) {
	l.slowlog.Store(slowlog)
	l.monitorMs.Store(monitor)
	least := int64(math.MaxInt64)
	if slowlog >= 0 {
		least = slowlog * int64(time.Microsecond)
	}
	if monitor > 0 {
		least = min(least, monitor*int64(time.Millisecond))
	}
	l.slow.Store(least)
}

// monitor is from which time on the latency monitor takes notice; 0: never.
func (l *live) monitor() time.Duration { return time.Duration(l.monitorMs.Load()) * time.Millisecond }

func (l *live) timeout() time.Duration { return time.Duration(l.timeoutNanos.Load()) }

// keptParameters are accepted, kept and shown, nothing more: benchmarks, test suites and dashboards set them.
var keptParameters = []commands.Parameter{
	{Name: "busy-reply-threshold", Value: "5000"},
	{Name: "lua-time-limit", Value: "5000"},
	{Name: "maxmemory", Value: "0"},
	{Name: "maxmemory-policy", Value: "noeviction"},
	{Name: "proto-max-bulk-len", Value: strconv.Itoa(resp.DefaultLimits.Bulk)},
	{Name: "save", Value: ""},
}

// parameters lists what CONFIG GET shows: our options under their own names, and what Redis's clients ask for.
func (s *Server) parameters() []commands.Parameter {
	list := s.redisParameters()
	for _, o := range Options {
		switch o.Name {
		case "timeout", "notify-keyspace-events", "client-output-buffer-limit-pubsub",
			"slowlog-log-slower-than", "slowlog-max-len", "latency-monitor-threshold": // They are live.
			continue
		case "requirepass": // It is secret.
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
		{Name: "client-output-buffer-limit", Value: fmt.Sprintf("normal 0 0 0 slave 0 0 0 pubsub %d 0 0", s.live.output.Load())},
		{Name: "client-output-buffer-limit-pubsub", Value: strconv.FormatInt(s.live.output.Load(), 10)},
		fixed("cluster-enabled", "no"),
		fixed("databases", strconv.Itoa(s.databases())),
		fixed("dir", dir),
		{Name: "latency-monitor-threshold", Value: strconv.FormatInt(s.live.monitorMs.Load(), 10)},
		{Name: "latency-tracking", Value: formatYesNo(s.live.tracking.Load())},
		{Name: "maxclients", Value: strconv.FormatInt(s.live.maxClients.Load(), 10)},
		{Name: "notify-keyspace-events", Value: s.hub.Notify().String()},
		fixed("port", port),
		fixed("replica-read-only", "no"), // any node takes writes
		fixed("slave-read-only", "no"),
		{Name: "slowlog-log-slower-than", Value: strconv.FormatInt(s.live.slowlog.Load(), 10)},
		{Name: "slowlog-max-len", Value: strconv.FormatInt(s.live.slowlogLen.Load(), 10)},
		fixed("tcp-keepalive", strconv.Itoa(int(keepAlive/time.Second))),
		{Name: "timeout", Value: strconv.FormatInt(int64(s.live.timeout()/time.Second), 10)},
	}
}

// setParameters changes all of them or none.
func (s *Server) setParameters(list []commands.Parameter) error {
	timeout, clients := int64(s.live.timeout()/time.Second), s.live.maxClients.Load()
	notify, output := s.hub.Notify(), s.live.output.Load()
	slowlog, slowlogLen, monitor := s.live.slowlog.Load(), s.live.slowlogLen.Load(), s.live.monitorMs.Load()
	tracking := s.live.tracking.Load()
	for _, p := range list {
		var err error
		switch p.Name {
		case "timeout":
			timeout, err = parameterNumber(p, 0, math.MaxInt32)
		case "maxclients":
			clients, err = parameterNumber(p, 1, maxMaxClients)
		case "slowlog-log-slower-than":
			slowlog, err = parameterNumber(p, -1, maxSlow)
		case "slowlog-max-len":
			slowlogLen, err = parameterNumber(p, 0, maxSlowlog)
		case "latency-monitor-threshold":
			monitor, err = parameterNumber(p, 0, maxSlow)
		case "latency-tracking":
			if yesNo(&tracking, strings.ToLower(p.Value)) != nil {
				err = &commands.ParameterError{Name: p.Name, Reason: "argument must be 'yes' or 'no'"}
			}
		case "notify-keyspace-events":
			if notify, err = watch.ParseNotify(p.Value); err != nil {
				err = &commands.ParameterError{Name: p.Name, Reason: "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."}
			}
		case "client-output-buffer-limit":
			output, err = outputLimit(p, output)
		case "client-output-buffer-limit-pubsub":
			if output, err = parseSize(p.Value); err != nil || output < minOutput {
				err = &commands.ParameterError{Name: p.Name, Reason: "argument must be a memory value of at least 1kb"}
			}
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
	s.live.output.Store(output)
	s.live.tracking.Store(tracking)
	s.live.watchSlow(slowlog, monitor)
	s.live.slowlogLen.Store(slowlogLen)
	s.slowlog.resize(int(slowlogLen))
	s.hub.SetNotify(notify)
	s.hub.SetOutput(output)
	if d := time.Duration(timeout) * time.Second; d != s.live.timeout().Truncate(time.Second) {
		s.live.timeoutNanos.Store(int64(d))
		s.pokeClients() // They wait under the old rule.
	}
	return nil
}

// outputLimit reads Redis's parameter: any number of classes, each with a hard and a soft limit in bytes and the seconds
// that the soft one may be passed for. Only the hard limit of pubsub means something here, and it cannot be none.
func outputLimit(p commands.Parameter, output int64) (int64, error) {
	words := strings.Fields(p.Value)
	if len(words) == 0 || len(words)%4 != 0 {
		return 0, &commands.ParameterError{Name: p.Name, Reason: "Wrong number of arguments in buffer limit configuration."}
	}
	for ; len(words) > 0; words = words[4:] {
		hard, err := parseSize(words[1])
		_, softErr := parseSize(words[2])
		_, secondsErr := strconv.ParseUint(words[3], 10, 31)
		switch {
		case err != nil || softErr != nil || secondsErr != nil:
			return 0, &commands.ParameterError{Name: p.Name, Reason: "Error in hard, soft or soft_seconds setting in buffer limit configuration."}
		case strings.EqualFold(words[0], "pubsub") && hard < minOutput:
			return 0, &commands.ParameterError{Name: p.Name, Reason: "the hard limit of pubsub must be at least 1kb"}
		case strings.EqualFold(words[0], "pubsub"):
			output = hard
		case !slices.Contains([]string{"normal", "slave", "replica"}, strings.ToLower(words[0])):
			return 0, &commands.ParameterError{Name: p.Name, Reason: "Invalid client class specified in buffer limit configuration."}
		}
	}
	return output, nil
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
