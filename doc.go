// Package dtkv is a coordination service that speaks the Redis protocol: configuration, service discovery, locks,
// leader election and membership, on Raft.
//
// A tour of the folders, top down; imports only ever point down this list:
//
//	cmd/dtkv   flags, environment and file become a server configuration; sub-commands
//	server     a node: listeners, sessions, and the road from a command to its answer
//	commands   what each command means: name, arguments, plan, reply
//	resp       the Redis wire protocol: bytes to arguments, replies to bytes
//	replica    one Raft group on this node: proposals in, applied results out, current reads
//	ttl        the cluster clock
//	fsm        the replicated state: a pure fold over log entries
//
// README.md tells how to start it, docs/architecture.md how it works, docs/guarantees.md what it promises.
// Only the wire protocol and package client are stable; every other package may change with any release.
package dtkv
