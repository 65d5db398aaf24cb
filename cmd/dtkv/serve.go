package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/server"
)

// serve runs a node until a signal ends it.
func (p program) serve(args []string) error {
	cfg, err := p.configure(args)
	if errors.Is(err, flag.ErrHelp) {
		p.serveHelp()
		return nil
	}
	if err != nil {
		return err
	}
	terminal := isTerminal(p.stderr)
	cfg.Logger = newLogger(p.stderr, cfg.LogLevel, terminal)
	slog.SetDefault(cfg.Logger)

	syscall.Umask(0o077) // what we write is for our own user

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if _, set := p.lookupEnv("GOGC"); !set {
		go tuneCollector(ctx)
	}
	context.AfterFunc(ctx, stop) // from here on a second signal has its usual effect and ends the process at once

	cfg.Stop = ctx.Done()
	s, err := server.Open(cfg)
	if err != nil {
		if ctx.Err() != nil {
			return nil // it was told to stop while it started
		}
		return err
	}
	go p.welcome(ctx, s, cfg, terminal)
	err = s.Serve(ctx)
	if err == nil {
		cfg.Logger.Info("stopped")
	}
	return err
}

// configure puts the configuration together: defaults, then the file, then the environment, then flags.
func (p program) configure(args []string) (server.Config, error) {
	cfg := server.Default()
	file, _ := p.lookupEnv("DTKV_CONFIG")
	var given [][2]string
	flags := flag.NewFlagSet("dtkv serve", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&file, "config", file, "")
	for _, o := range server.Options {
		flags.Func(o.Name, "", func(v string) error {
			given = append(given, [2]string{o.Name, v})
			return nil
		})
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return cfg, err
		}
		return cfg, usageError{strings.ReplaceAll(err.Error(), ": -", ": --"), "dtkv serve --help"}
	}
	if flags.NArg() > 0 {
		return cfg, usageError{fmt.Sprintf("unexpected argument %q", flags.Arg(0)), "dtkv serve --help"}
	}
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return cfg, fmt.Errorf("config: %w", err)
		}
		defer func() { _ = f.Close() }()
		if err := cfg.SetFromFile(file, f); err != nil {
			return cfg, err
		}
	}
	if err := cfg.SetFromEnv(p.lookupEnv); err != nil {
		return cfg, err
	}
	for _, g := range given {
		if err := cfg.Set(g[0], g[1]); err != nil {
			return cfg, fmt.Errorf("--%w", err)
		}
	}
	return cfg, cfg.Validate()
}

// serveHelp prints the flags. It is written from the one table of options.
func (p program) serveHelp() {
	fmt.Fprint(p.stdout, "Usage: dtkv [serve] [flags]\n\nRuns a node until SIGINT or SIGTERM; a second one ends it at once.\n\n"+
		"Each flag is also an environment variable (--data-dir is DTKV_DATA_DIR) and a line of the\n"+
		"configuration file (data-dir /var/lib/dtkv). Flags win over the environment, and that over the file.\n\n")
	fmt.Fprintf(p.stdout, "  %-38s %s\n", "--config path", "read options from this file: \"name value\" lines, # comments")
	defaults := server.Default()
	for _, o := range server.Options {
		text := o.Help
		if def, _ := defaults.Get(o.Name); def != "" {
			text += " (default " + def + ")"
		}
		fmt.Fprintf(p.stdout, "  %-38s %s\n", "--"+o.Name+" "+o.Value, text)
	}
}

// newLogger writes text for people and JSON for machines.
func newLogger(w io.Writer, level slog.Level, terminal bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if terminal {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// welcome says that the node is ready: on a terminal with what to try, else in one line of the log.
func (p program) welcome(ctx context.Context, s *server.Server, cfg server.Config, terminal bool) {
	if err := s.Ready(ctx); err != nil {
		return
	}
	if !terminal {
		cfg.Logger.Info("ready", "version", server.Version, "addr", s.Addr().String(), "data-dir", cfg.DataDir, "sync", string(cfg.Sync))
		return
	}
	promise := "every write is on disk before it is answered"
	if cfg.Sync == replica.SyncOS {
		promise = "a power cut may lose the last writes (sync os)"
	}
	host, port, _ := net.SplitHostPort(s.Addr().String())
	cli := "redis-cli"
	if host != "127.0.0.1" || port != "6379" {
		cli = fmt.Sprintf("redis-cli -h %s -p %s", host, port)
	}
	fmt.Fprintf(p.stderr, "\ndtkv %s is ready on %s, data in %s: %s.\nTry in another terminal: %s SET hello world\n\n",
		server.Version, s.Addr(), cfg.DataDir, promise, cli)
}

// isTerminal reports whether a person may be reading w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
