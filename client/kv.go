package client

import (
	"context"
	"time"
)

// Get returns the value of key, or an error that is [ErrNotFound].
func (c *Client) Get(ctx context.Context, key string) ([]byte, error) {
	return wait(ctx, c, func() *Future[[]byte] { return c.Async().Get(ctx, key) })
}

// Set stores a value, for ever or, when ttl is not 0, for so long. The directories above key must exist ([Client.MakeDir]).
// A value with a TTL belongs to nobody: anyone may overwrite it. See [Client.PutTemp] for one that has an owner.
func (c *Client) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_, err := wait(ctx, c, func() *Future[struct{}] { return c.Async().Set(ctx, key, value, ttl) })
	return err
}

// CAS stores value if key has the expected one, and reports whether it had. Empty expected: key must not exist. Empty
// value: key is removed. When a CAS is in doubt, a value that only this caller writes tells what happened.
func (c *Client) CAS(ctx context.Context, key string, expected, value []byte) (bool, error) {
	return wait(ctx, c, func() *Future[bool] { return c.Async().CAS(ctx, key, expected, value) })
}

// Remove removes a value, an empty directory, or a temporary node of this client's own, and reports whether there was one.
func (c *Client) Remove(ctx context.Context, key string) (bool, error) {
	return wait(ctx, c, func() *Future[bool] { return c.Async().Remove(ctx, key) })
}

// PutTemp stores a temporary value, which goes when nobody calls PutTemp or [Client.UpdateTTL] again within ttl. It
// belongs to this client ([Options.Owner]): others can read it, and nothing else. It does not go with the connection.
func (c *Client) PutTemp(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_, err := wait(ctx, c, func() *Future[struct{}] { return c.Async().PutTemp(ctx, key, value, ttl) })
	return err
}

// UpdateTTL lets a temporary node of this client live for ttl from now on. It reports false if the node is gone.
func (c *Client) UpdateTTL(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	return wait(ctx, c, func() *Future[bool] { return c.Async().UpdateTTL(ctx, key, ttl) })
}

// MakeDir makes a directory, and those above it. It reports false if it was there already.
func (c *Client) MakeDir(ctx context.Context, key string) (bool, error) {
	return wait(ctx, c, func() *Future[bool] { return c.Async().MakeDir(ctx, key) })
}

// MakeTempDir makes a temporary directory of this client, which goes with all that is in it. If it was there already, it
// lives for ttl from now on.
func (c *Client) MakeTempDir(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	return wait(ctx, c, func() *Future[bool] { return c.Async().MakeTempDir(ctx, key, ttl) })
}

// RemoveDir removes a directory with all that is in it, and returns how many nodes went: 0 if there was none.
func (c *Client) RemoveDir(ctx context.Context, key string) (int64, error) {
	return wait(ctx, c, func() *Future[int64] { return c.Async().RemoveDir(ctx, key) })
}

// ListOptions say which children [Client.List] returns. The zero value: all of them.
type ListOptions struct {
	After    string // only names behind this one: the last name of the page before
	Limit    int64  // at most so many; 0: all
	NoValues bool   // leave the values out
}

// List returns the children of a directory in the order of their names; the key "" is the root.
func (c *Client) List(ctx context.Context, key string, o ListOptions) ([]Node, error) {
	return wait(ctx, c, func() *Future[[]Node] { return c.Async().List(ctx, key, o) })
}

// Stat returns what is known about a node.
func (c *Client) Stat(ctx context.Context, key string) (Node, error) {
	return wait(ctx, c, func() *Future[Node] { return c.Async().Stat(ctx, key) })
}

// BatchGet returns the values of several keys at one moment, nil for each that has none.
func (c *Client) BatchGet(ctx context.Context, keys ...string) ([][]byte, error) {
	return wait(ctx, c, func() *Future[[][]byte] { return c.Async().BatchGet(ctx, keys...) })
}

// Pair is a key with its value.
type Pair struct {
	Key   string
	Value []byte
}

// Result is what became of one element of a batch.
type Result struct {
	Done bool  // stored or removed; false without an error: there was nothing to remove
	Err  error // this element was refused; the others were not for that
}

// BatchPut stores several values in one log entry, each for itself. No reader sees a half.
func (c *Client) BatchPut(ctx context.Context, pairs ...Pair) ([]Result, error) {
	return wait(ctx, c, func() *Future[[]Result] { return c.Async().BatchPut(ctx, pairs...) })
}

// BatchRemove removes several nodes in one log entry, each for itself. No reader sees a half.
func (c *Client) BatchRemove(ctx context.Context, keys ...string) ([]Result, error) {
	return wait(ctx, c, func() *Future[[]Result] { return c.Async().BatchRemove(ctx, keys...) })
}

// Do runs any other command that answers at once, as a write: it is never sent again after it may have run. Commands
// that wait (BLPOP, XREAD BLOCK, SUBSCRIBE) would hold up everybody's pipeline.
func (c *Client) Do(ctx context.Context, command string, args ...string) (Reply, error) {
	return wait(ctx, c, func() *Future[Reply] { return c.Async().Do(ctx, command, args...) })
}
