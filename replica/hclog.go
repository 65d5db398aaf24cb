package replica

import (
	"context"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// raftLogger gives the Raft libraries a logger whose lines reach ours. Only warnings and errors pass: what a healthy
// node says about its elections is in its status.
func raftLogger(l *slog.Logger) hclog.Logger {
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Warn, Output: io.Discard})
	logger.RegisterSink(logSink{l})
	return logger
}

type logSink struct{ *slog.Logger }

// Accept implements hclog.SinkAdapter.
func (s logSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelWarn
	switch {
	case level < hclog.Warn:
		return
	case msg == "heartbeat timeout reached, starting election": // every start of a node alone
		to = slog.LevelDebug
	case level >= hclog.Error:
		to = slog.LevelError
	}
	s.With("component", name).Log(context.Background(), to, msg, args...)
}
