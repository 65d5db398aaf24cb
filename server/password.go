package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// passwords are what lets a client in. Only their digests are kept.
type passwords struct {
	file string // read again when it has changed; empty: they stay as they are
	log  *slog.Logger

	mu      sync.Mutex
	watch   fileWatch
	digests [][sha256.Size]byte
}

// maxPasswordFile bounds the file of passwords, in bytes.
const maxPasswordFile = 64 << 10

// openPasswords returns nil when clients need none.
func openPasswords(cfg *Config) (*passwords, error) {
	p := &passwords{file: cfg.RequirePassFile, log: cfg.logger()}
	switch {
	case cfg.RequirePass != "":
		p.digests = [][sha256.Size]byte{sha256.Sum256([]byte(cfg.RequirePass))}
		return p, nil
	case p.file == "":
		return nil, nil
	}
	p.watch = fileWatch{names: []string{p.file}}
	p.watch.changed(time.Now())
	return p, p.read()
}

// read takes the passwords from the file. With an error they stay as they were.
func (p *passwords) read() error {
	data, err := os.ReadFile(p.file)
	if err != nil {
		return fmt.Errorf("requirepass-file: %w", err)
	}
	if len(data) > maxPasswordFile {
		return fmt.Errorf("requirepass-file: %s is longer than %d KiB", p.file, maxPasswordFile>>10)
	}
	var digests [][sha256.Size]byte
	for line := range bytes.Lines(data) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			digests = append(digests, sha256.Sum256(line))
		}
	}
	if len(digests) == 0 {
		return fmt.Errorf("requirepass-file: %s holds no password", p.file)
	}
	p.digests = digests
	return nil
}

// accept reports whether a password is one of them. How long it takes tells nothing about those that are.
func (p *passwords) accept(password string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != "" && p.watch.changed(now) {
		if err := p.read(); err != nil {
			p.log.Error("the passwords could not be read again; those from before stay valid", "error", err)
		} else {
			p.log.Info("the passwords were read again", "passwords", len(p.digests))
		}
	}
	digest := sha256.Sum256([]byte(password))
	found := 0
	for i := range p.digests {
		found |= subtle.ConstantTimeCompare(digest[:], p.digests[i][:])
	}
	return found == 1
}

// fileWatch notices when files have changed. It looks at them when it is asked, at most once in lookEvery.
type fileWatch struct {
	names  []string
	looked time.Time
	seen   []os.FileInfo
}

const lookEvery = time.Second

// changed reports whether any of the files is another one, or has another size or time, than when it last said so. One that
// cannot be seen is as it was: it may be on its way.
func (w *fileWatch) changed(now time.Time) bool {
	if !w.looked.IsZero() && now.Sub(w.looked) < lookEvery {
		return false
	}
	w.looked = now
	if w.seen == nil {
		w.seen = make([]os.FileInfo, len(w.names))
	}
	changed := false
	for i, name := range w.names {
		info, err := os.Stat(name)
		if err != nil {
			continue
		}
		old := w.seen[i]
		if old == nil || !os.SameFile(old, info) || old.Size() != info.Size() || !old.ModTime().Equal(info.ModTime()) {
			w.seen[i], changed = info, true
		}
	}
	return changed
}
