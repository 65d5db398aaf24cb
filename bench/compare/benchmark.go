package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

// Run is what redis-benchmark says of one run. Latencies are in milliseconds; of a pipeline they are those of the whole.
type Run struct {
	Server   string  `json:"server"`
	Side     string  `json:"side"` // one of the sides
	Round    int     `json:"round"`
	Requests int     `json:"requests"`
	PerSec   float64 `json:"per_second"`
	Average  float64 `json:"average_ms"`
	Least    float64 `json:"min_ms"`
	P50      float64 `json:"p50_ms"`
	P95      float64 `json:"p95_ms"`
	P99      float64 `json:"p99_ms"`
	Most     float64 `json:"max_ms"`
}

// runLimit bounds one run, whatever it was meant to take.
const runLimit = 2 * time.Minute

// benchmark lets redis-benchmark put a load on a server.
func benchmark(ctx context.Context, s *load.Server, l Load, requests int) (Run, error) {
	// redis-benchmark tries for ever to reach a server that is gone, so it ends with the server.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.Done():
			cancel(errors.New("the server has ended"))
		case <-time.After(runLimit):
			cancel(fmt.Errorf("not done within %s", runLimit))
		case <-ctx.Done():
		}
	}()
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return Run{}, err
	}
	cmd := exec.CommandContext(ctx, "redis-benchmark", "-h", host, "-p", port, "-t", strings.ToLower(l.Command), "--csv",
		"-d", strconv.Itoa(data.Bytes), "-r", strconv.Itoa(data.Keys), "-n", strconv.Itoa(requests),
		"-c", strconv.Itoa(l.Clients), "-P", strconv.Itoa(l.Pipeline))
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return Run{}, fmt.Errorf("%s on %s: %w\n%s", l.Name, s.Name, err, complaint.Bytes())
	}
	r, err := parseCSV(out.Bytes())
	if err != nil {
		return Run{}, fmt.Errorf("%s on %s: %w", l.Name, s.Name, err)
	}
	r.Server, r.Requests = s.Name, requests
	return r, nil
}

// parseCSV reads the one line of results that follows the line of titles.
func parseCSV(out []byte) (Run, error) {
	lines, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil {
		return Run{}, fmt.Errorf("output of redis-benchmark: %w", err)
	}
	if len(lines) != 2 {
		return Run{}, fmt.Errorf("output of redis-benchmark has %d lines, want 2", len(lines))
	}
	var r Run
	columns := []struct {
		title string
		value *float64
	}{
		{"rps", &r.PerSec},
		{"avg_latency_ms", &r.Average},
		{"min_latency_ms", &r.Least},
		{"p50_latency_ms", &r.P50},
		{"p95_latency_ms", &r.P95},
		{"p99_latency_ms", &r.P99},
		{"max_latency_ms", &r.Most},
	}
	for _, c := range columns {
		at := -1
		for i, title := range lines[0] {
			if title == c.title {
				at = i
			}
		}
		if at < 0 {
			return Run{}, fmt.Errorf("output of redis-benchmark lacks %s", c.title)
		}
		if *c.value, err = strconv.ParseFloat(lines[1][at], 64); err != nil {
			return Run{}, fmt.Errorf("output of redis-benchmark, %s: %w", c.title, err)
		}
	}
	if r.PerSec <= 0 {
		return Run{}, errors.New("redis-benchmark counted nothing")
	}
	return r, nil
}
