package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

const (
	pollEvery  = 2 * time.Millisecond
	unfinished = ".tmp" // what the name of a snapshot ends with while it is written
	margin     = 500 * time.Millisecond
	seeWait    = 3 * time.Minute
)

// snapshots watches a data directory for snapshots being written. It asks the disk, not the server, so that it sees the
// same whatever the server says of itself.
type snapshots struct {
	dir   string
	spans []span
}

// span is the time during which one snapshot was written.
type span struct {
	from, to time.Time
	bytes    int64
}

// watch returns when so many snapshots were finished, and a quiet time after the last. It calls step each time it looks.
func (s *snapshots) watch(ctx context.Context, want int, step func(done int)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, seeWait, errors.New("the server takes no snapshots"))
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var open *span
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		busy, bytes := s.look()
		now := time.Now()
		switch {
		case busy && open == nil:
			open = &span{from: now}
		case !busy && open != nil:
			open.to, open.bytes = now, bytes
			s.spans = append(s.spans, *open)
			open = nil
		case len(s.spans) >= want && now.Sub(s.spans[len(s.spans)-1].to) > 2*margin:
			return nil
		}
		step(len(s.spans))
	}
}

// look reports whether a snapshot is being written, and the size of the largest finished one.
func (s *snapshots) look() (busy bool, bytes int64) {
	found, err := filepath.Glob(filepath.Join(s.dir, "groups", "*", "snapshots", "*"))
	if err != nil {
		return false, 0
	}
	for _, path := range found {
		if strings.HasSuffix(path, unfinished) {
			return true, 0
		}
		bytes = max(bytes, size(path))
	}
	return false, bytes
}

func size(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err // Gone in the meantime.
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}

// holds reports whether a moment belongs to a snapshot. The margin takes in what comes right before the file (the state
// is frozen) and right after it (the log is cut).
func (s *snapshots) holds(at time.Time) bool {
	for _, p := range s.spans {
		if at.After(p.from.Add(-margin)) && at.Before(p.to.Add(margin)) {
			return true
		}
	}
	return false
}
