// Package load is what the measuring programs share: servers to measure, data to fill them with, and honest statistics.
//
// It promises that a measurement leaves nothing behind: each server has a folder and ports of its own, and ends with the
// program that started it, also when that program is killed (on Linux). Only the programs in bench may call it; tests
// have their own harness, which reports to the test.
package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Data says what a server is filled with. The keys are those of redis-benchmark, so that its GETs hit.
type Data struct {
	Keys  int
	Bytes int // of each value
}

// Key is the name of key number i.
func Key(i int) string { return fmt.Sprintf("key:%012d", i) }

// fillBatch is how many SETs go out together while filling.
const fillBatch = 1000

// Fill sets all keys of d and tells step how many are done from time to time. It fails unless the server counts as
// many keys afterwards.
func Fill(ctx context.Context, s *Server, d Data, step func(done int)) error {
	value := strings.Repeat("x", d.Bytes)
	err := s.Talk(func(client *redis.Client) error {
		for first := 0; first < d.Keys; first += fillBatch {
			last := min(first+fillBatch, d.Keys)
			_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
				for i := first; i < last; i++ {
					p.Set(ctx, Key(i), value, 0)
				}
				return nil
			})
			if err != nil {
				return err
			}
			step(last)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("fill %s: %w", s.Name, err)
	}
	return Holds(ctx, s, d)
}

// Holds checks that the server counts the keys of d, and that the first, the last and one in the middle have their size.
func Holds(ctx context.Context, s *Server, d Data) error {
	return s.Talk(func(client *redis.Client) error {
		n, err := client.DBSize(ctx).Result()
		if err != nil {
			return fmt.Errorf("%s: DBSIZE: %w", s.Name, err)
		}
		if n != int64(d.Keys) {
			return fmt.Errorf("%s holds %d keys, want %d", s.Name, n, d.Keys)
		}
		for _, i := range []int{0, d.Keys / 2, d.Keys - 1} {
			size, err := client.StrLen(ctx, Key(i)).Result()
			if err != nil {
				return fmt.Errorf("%s: STRLEN %s: %w", s.Name, Key(i), err)
			}
			if size != int64(d.Bytes) {
				return fmt.Errorf("%s: %s has %d bytes, want %d", s.Name, Key(i), size, d.Bytes)
			}
		}
		return nil
	})
}

// Root returns the folder of the module that the working directory belongs to.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("run this inside a checkout of dtkv: no go.mod here or above")
		}
		dir = up
	}
}
