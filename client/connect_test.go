package client_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/client"
	"github.com/dtkv/dtkv/tests/harness"
)

// connect starts a dtkv of its own and returns a client of it. A program would connect to one that runs:
//
//	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
//	c, err := client.New(rdb, client.Options{})
func connect() (c *client.Client, done func()) {
	t := &example{TB: nil}
	server := harness.Start(t, harness.Options{DataDir: t.TempDir()})
	c, hangUp := dial(server.Addr)
	return c, func() {
		hangUp()
		t.end()
	}
}

// dial connects to a server that runs.
func dial(addr string) (c *client.Client, hangUp func()) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	c, err := client.New(rdb, client.Options{})
	check(err)
	return c, func() {
		check(c.Close())
		check(rdb.Close())
	}
}

// check is how examples deal with errors that their question is not about.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// must is check for what returns a value, too.
func must[T any](v T, err error) T {
	check(err)
	return v
}

// example is the little of a test that the harness needs, for examples have none.
type example struct {
	testing.TB
	ends []func()
}

func (e *example) Helper()             {}
func (e *example) Failed() bool        { return false }
func (e *example) Cleanup(end func())  { e.ends = append(e.ends, end) }
func (e *example) Logf(string, ...any) {}
func (e *example) Fatal(a ...any)      { panic(fmt.Sprint(a...)) }
func (e *example) Fatalf(format string, a ...any) {
	panic(fmt.Sprintf(format, a...))
}

func (e *example) TempDir() string {
	dir := must(os.MkdirTemp("", "dtkv-example-"))
	e.Cleanup(func() { check(os.RemoveAll(dir)) })
	return dir
}

func (e *example) end() {
	for i := len(e.ends) - 1; i >= 0; i-- {
		e.ends[i]()
	}
}
