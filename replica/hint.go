package replica

import (
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// hint says that the leader of a term has committed its log up to an index. Raft tells followers so only with the next
// entries, or after CommitTimeout, and a client would wait for that. See docs/adr/0015-any-node-serves.md for why it is
// safe to tell Raft.
type hint struct {
	leader  raft.ServerID
	address raft.ServerAddress
	term    uint64 // in which leader leads
	index   uint64 // committed
	logTerm uint64 // of the entry there
}

// hints keeps the newest hint until Raft can use it.
type hints struct {
	newest atomic.Pointer[hint]
	told   chan struct{}
}

// tell gives Raft a hint. It does not wait.
func (t *transport) tell(h hint) {
	for {
		old := t.hints.newest.Load()
		if old != nil && (old.term > h.term || old.term == h.term && old.index >= h.index) {
			return
		}
		if t.hints.newest.CompareAndSwap(old, &h) {
			break
		}
	}
	select {
	case t.hints.told <- struct{}{}:
	default:
	}
}

// relayHint hands the newest hint to Raft if the time for it has come. The entries up to passed are with Raft already,
// which may still be storing them. It reports false when the transport is closed.
func (t *transport) relayHint(passed uint64) bool {
	h := t.hints.newest.Load()
	if h == nil || max(t.raft.LastIndex(), passed) < h.index {
		return true // its entry is still to come
	}
	t.hints.newest.CompareAndSwap(h, nil) // a newer one has its own signal
	_, leader := t.raft.LeaderWithID()
	if h.term != t.raft.CurrentTerm() || leader != h.leader || t.raft.CommitIndex() >= h.index {
		return true
	}
	return t.inject(t.message(h))
}

// message is what the leader itself could have sent when it gave the hint.
func (t *transport) message(h *hint) *raft.AppendEntriesRequest {
	address := t.EncodePeer(h.leader, h.address)
	return &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(h.leader), Addr: address},
		Term:      h.term,
		//lint:ignore SA1019 an older protocol version reads the leader from here
		Leader:            address,
		PrevLogEntry:      h.index,
		PrevLogTerm:       h.logTerm,
		LeaderCommitIndex: h.index,
	}
}

// inject hands Raft a message as if it had come from the network. Nobody learns the answer.
func (t *transport) inject(message any) bool {
	select {
	case t.rpcs <- raft.RPC{Command: message, RespChan: make(chan raft.RPCResponse, 1)}:
		return true
	case <-t.done:
		return false
	}
}
