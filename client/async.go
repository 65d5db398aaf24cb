package client

import (
	"context"
	"time"
)

// Async has the methods of [Client] that read and write keys, but does not wait for their results. Each command is sent
// once: what is [ErrUnavailable] is the caller's to repeat. A method waits only for room in the pipeline
// ([Options.MaxPending]), as long as its ctx lets it.
//
// Commands that one goroutine hands over run in this order.
type Async struct{ c *Client }

// Async returns the same client for callers who do not wait.
func (c *Client) Async() Async { return Async{c} }

// Get is [Client.Get].
func (a Async) Get(ctx context.Context, key string) *Future[[]byte] {
	return start(ctx, a.c, "GET "+key, false, asBytes, "GET", key)
}

// Set is [Client.Set].
func (a Async) Set(ctx context.Context, key string, value []byte, ttl time.Duration) *Future[struct{}] {
	args := []any{"SET", key, value}
	if ttl != 0 {
		args = append(args, "PX", milliseconds(ttl))
	}
	return start(ctx, a.c, "SET "+key, true, asOK, args...)
}

// CAS is [Client.CAS].
func (a Async) CAS(ctx context.Context, key string, expected, value []byte) *Future[bool] {
	return start(ctx, a.c, "CAS "+key, true, asBool, "DTKV.CAS", key, expected, value)
}

// Remove is [Client.Remove].
func (a Async) Remove(ctx context.Context, key string) *Future[bool] {
	return start(ctx, a.c, "REMOVE "+key, true, asBool, "DTKV.REMOVE", key, "OWNER", a.c.owner)
}

// PutTemp is [Client.PutTemp].
func (a Async) PutTemp(ctx context.Context, key string, value []byte, ttl time.Duration) *Future[struct{}] {
	return start(ctx, a.c, "PUTTEMP "+key, true, asOK, "DTKV.PUTTEMP", key, milliseconds(ttl), value, "OWNER", a.c.owner)
}

// UpdateTTL is [Client.UpdateTTL].
func (a Async) UpdateTTL(ctx context.Context, key string, ttl time.Duration) *Future[bool] {
	return start(ctx, a.c, "UPDATETTL "+key, true, asBool, "DTKV.UPDATETTL", key, milliseconds(ttl), "OWNER", a.c.owner)
}

// MakeDir is [Client.MakeDir].
func (a Async) MakeDir(ctx context.Context, key string) *Future[bool] {
	return start(ctx, a.c, "MKDIR "+key, true, asBool, "DTKV.MKDIR", key, "PARENTS")
}

// MakeTempDir is [Client.MakeTempDir].
func (a Async) MakeTempDir(ctx context.Context, key string, ttl time.Duration) *Future[bool] {
	return start(ctx, a.c, "MKDIR "+key, true, asBool, "DTKV.MKDIR", key, "PX", milliseconds(ttl), "OWNER", a.c.owner)
}

// RemoveDir is [Client.RemoveDir].
func (a Async) RemoveDir(ctx context.Context, key string) *Future[int64] {
	return start(ctx, a.c, "RMDIR "+key, true, asInt, "DTKV.RMDIR", key, "RECURSIVE")
}

// List is [Client.List].
func (a Async) List(ctx context.Context, key string, o ListOptions) *Future[[]Node] {
	args := []any{"DTKV.LIST", key}
	if o.After != "" {
		args = append(args, "AFTER", o.After)
	}
	if o.Limit > 0 {
		args = append(args, "LIMIT", o.Limit)
	}
	if o.NoValues {
		args = append(args, "NOVALUES")
	}
	return start(ctx, a.c, "LIST "+key, false, asNodes, args...)
}

// Stat is [Client.Stat].
func (a Async) Stat(ctx context.Context, key string) *Future[Node] {
	return start(ctx, a.c, "STAT "+key, false, asNode, "DTKV.STAT", key)
}

// BatchGet is [Client.BatchGet].
func (a Async) BatchGet(ctx context.Context, keys ...string) *Future[[][]byte] {
	return start(ctx, a.c, "MGET", false, asValues, words("MGET", keys)...)
}

// BatchPut is [Client.BatchPut].
func (a Async) BatchPut(ctx context.Context, pairs ...Pair) *Future[[]Result] {
	args := make([]any, 1, 1+2*len(pairs))
	args[0] = "DTKV.BATCHPUT"
	for _, p := range pairs {
		args = append(args, p.Key, p.Value)
	}
	return start(ctx, a.c, "BATCHPUT", true, asResults, args...)
}

// BatchRemove is [Client.BatchRemove].
func (a Async) BatchRemove(ctx context.Context, keys ...string) *Future[[]Result] {
	return start(ctx, a.c, "BATCHREMOVE", true, asResults, words("DTKV.BATCHREMOVE", keys)...)
}

// Do is [Client.Do].
func (a Async) Do(ctx context.Context, command string, args ...string) *Future[Reply] {
	return start(ctx, a.c, command, true, asReply, words(command, args)...)
}

func words(command string, args []string) []any {
	all := make([]any, 1, 1+len(args))
	all[0] = command
	for _, a := range args {
		all = append(all, a)
	}
	return all
}
