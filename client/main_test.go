package client

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/tests/harness"
)

// silence is where go-redis writes what it thinks of broken connections, of which there are many here.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(silence{})
	harness.Main(m)
}
