package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Machine says where and of what a measurement was made. Numbers without it mean nothing.
type Machine struct {
	Time   time.Time `json:"time"`
	OS     string    `json:"os"`
	Cores  int       `json:"cores"`
	Go     string    `json:"go"`
	Redis  string    `json:"redis"`
	Commit string    `json:"commit"`      // of the checkout, with "+changes" if it has any
	Sync   float64   `json:"sync_micros"` // median time to append 4 KiB to a file and sync it, where the data lies
}

// Describe gathers it. Dir is where the servers keep their data.
func Describe(ctx context.Context, dir string) (Machine, error) {
	m := Machine{Time: time.Now().UTC().Truncate(time.Second), Cores: runtime.NumCPU(), Go: runtime.Version()}
	m.OS = runtime.GOOS + "/" + runtime.GOARCH + " " + output(ctx, "uname", "-r")
	for _, field := range strings.Fields(output(ctx, "redis-server", "--version")) {
		if version, ok := strings.CutPrefix(field, "v="); ok {
			m.Redis = version
		}
	}
	m.Commit = output(ctx, "git", "rev-parse", "--short=12", "HEAD")
	if output(ctx, "git", "status", "--porcelain", "--untracked-files=no") != "" {
		m.Commit += "+changes"
	}
	sync, err := syncTime(dir)
	m.Sync = float64(sync.Nanoseconds()) / 1000
	return m, err
}

// String is one line for a report.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s, Redis %s, dtkv %s, 4 KiB append + sync %.0f us",
		m.OS, m.Cores, m.Go, m.Redis, m.Commit, m.Sync)
}

// output is what a program prints, or "" when it cannot be run: a report without the version of git is still a report.
func output(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// syncTime is the median time that the disk under dir takes to make an append durable.
func syncTime(dir string) (median time.Duration, err error) {
	f, err := os.CreateTemp(dir, "sync-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	const rounds = 100
	var took [rounds]time.Duration
	page := make([]byte, 4<<10)
	for i := range took {
		began := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took[:])
	return took[rounds/2], nil
}

// save writes a result as JSON and returns the path. An empty path means a new file in bench/results of the checkout,
// named after the program and the time.
func save(path, program string, result any) (string, error) {
	if path == "" {
		root, err := Root()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, "bench", "results", program+"-"+time.Now().UTC().Format("20060102-150405")+".json")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, append(text, '\n'), 0o644)
}
