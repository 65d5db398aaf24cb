package replica

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// raftLogger gives the Raft libraries a logger whose lines reach ours. Only warnings and errors pass: what a healthy
// node says about its elections is in its status.
func raftLogger(l *slog.Logger) hclog.Logger {
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Warn, Output: io.Discard})
	logger.RegisterSink(&logSink{to: l, now: time.Now, said: map[string]*repeated{}})
	return logger
}

const (
	// repeatEvery is how often a line is written that says the same of the same member. Of one that is down, the library says so
	// four times a second for as long as it is.
	repeatEvery = time.Minute
	// maxSaid bounds what is remembered of lines. Members and messages are few; beyond it everything is forgotten.
	maxSaid = 1000
)

// logSink writes the lines of the libraries to ours, seldom those that repeat themselves. mu is a leaf.
type logSink struct {
	to  *slog.Logger
	now func() time.Time

	mu   sync.Mutex
	said map[string]*repeated // by message and member
}

// repeated is one line that was written.
type repeated struct {
	last time.Time
	held int // not written since then
}

// Accept implements hclog.SinkAdapter.
func (s *logSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelWarn
	switch {
	case level < hclog.Warn:
		return
	case msg == "heartbeat timeout reached, starting election": // every start of a node alone
		to = slog.LevelDebug
	case level >= hclog.Error:
		to = slog.LevelError
	}
	held, ok := s.allow(msg, args)
	if !ok {
		return
	}
	if held > 0 {
		args = append(args[:len(args):len(args)], "repeated", held)
	}
	s.to.With("component", name).Log(context.Background(), to, msg, args...)
}

// allow reports whether a line may be written, and how many like it were not since the last one.
func (s *logSink) allow(msg string, args []any) (held int, ok bool) {
	about := msg
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] == "peer" {
			about += fmt.Sprint(" ", args[i+1])
		}
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	line := s.said[about]
	if line == nil {
		if len(s.said) >= maxSaid {
			clear(s.said)
		}
		s.said[about] = &repeated{last: now}
		return 0, true
	}
	if now.Sub(line.last) < repeatEvery {
		line.held++
		return 0, false
	}
	held = line.held
	line.last, line.held = now, 0
	return held, true
}
