package replica

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	connectionPool = 3 // idle streams kept per peer
	// inFlight of 1 keeps Raft from pipelining appends, which can deadlock (hashicorp/raft issue 612).
	inFlight = 1
	// minRPCTimeout is also how long a dead stream can hold a heartbeat up.
	minRPCTimeout = time.Second
)

// transport is Raft's network transport with some corrections:
//
//   - heartbeats take the same way as all other messages. The library would handle them on the stream's goroutine,
//     where they can undo a vote that the main loop is just giving (hashicorp/raft issue 695);
//   - a snapshot that is not newer than what this node has applied is drained and answered, not installed: installing
//     it would roll the state back and cut the log (issue 697);
//   - entries behind a snapshot may come twice, and none is taken for committed that the message does not vouch for ([settle]);
//   - a node that has nothing of the log gives no vote;
//   - a candidate does not lose a vote to a stream that ended while nobody used it ([insist]);
//   - it can ask a member whether it holds a term and where its log ends ([transport.ask]);
//   - messages of an idle leader are answered later ([quiet]);
//   - members that do not answer are not sent entries in vain, and so get them at once when they are back ([absences]);
//   - it can tell Raft what the leader has committed before the leader's Raft does ([transport.tell]);
//   - entries go to followers while the leader's disk writes them ([ahead]).
//
// Goroutines: relay, from start to close; those of ahead.
type transport struct {
	*raft.NetworkTransport
	id       raft.ServerID
	hello    hello         // what this node's streams open with
	raft     *raft.Raft    // set before the first hint comes
	applied  func() uint64 // index of the newest entry folded into the state here
	rpcs     chan raft.RPC
	done     chan struct{}
	wg       sync.WaitGroup
	consumed <-chan raft.RPC
	hints    hints
	sent     sent
	quiet    *quiet
	absent   absences
	ahead    ahead
}

func newTransport(id string, stream *raftStream, logger raftLog, timeout time.Duration, applied func() uint64) *transport {
	inner := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:                  stream,
		MaxPool:                 connectionPool,
		MaxRPCsInFlight:         inFlight,
		Timeout:                 max(timeout, minRPCTimeout),
		Logger:                  logger.hclog,
		MsgpackUseNewTimeFormat: true,
	})
	t := &transport{
		NetworkTransport: inner,
		id:               raft.ServerID(id),
		hello:            stream.hello,
		applied:          applied,
		rpcs:             make(chan raft.RPC),
		done:             make(chan struct{}),
		consumed:         inner.Consumer(),
		hints:            hints{told: make(chan struct{}, 1)},
		quiet:            newQuiet(),
	}
	t.absent.ended = t.quiet.ended
	t.ahead.send = func(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) error {
		return inner.AppendEntries(id, tagged(id, target), args, answer)
	}
	t.wg.Go(t.relay)
	return t
}

// SetHeartbeatHandler implements raft.Transport by leaving the handler unset.
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

// Consumer implements raft.Transport.
func (t *transport) Consumer() <-chan raft.RPC { return t.rpcs }

// relay passes messages on to Raft, except those that it must not see, and hints between them.
func (t *transport) relay() {
	var passed uint64 // index of the newest entry handed to Raft
	for {
		select {
		case <-t.done:
			return
		case <-t.hints.told:
		case rpc := <-t.consumed:
			if t.dropStaleSnapshot(rpc) || t.dropVoteOfNobody(rpc) {
				continue
			}
			if a, ok := rpc.Command.(*raft.AppendEntriesRequest); ok {
				if n := len(a.Entries); n > 0 {
					passed = a.Entries[n-1].Index
				}
				settle(a, t.applied(), t.raft.LastIndex())
			}
			select {
			case t.rpcs <- rpc:
			case <-t.done:
				return
			}
		}
		if !t.relayHint(passed) {
			return
		}
	}
}

// electNow has this node stand for election at once, instead of waiting for a heartbeat that nobody will send. It is the
// message that ends a leadership transfer.
func (t *transport) electNow() {
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(t.id), Addr: t.EncodePeer(t.id, t.LocalAddr())}
	t.inject(&raft.TimeoutNowRequest{RPCHeader: header})
}

// storing is told of entries before they are stored here, and stored after that.
func (t *transport) storing(entries []*raft.Log) {
	t.quiet.stir()
	if r := t.raft; r != nil && r.State() == raft.Leader && r.CurrentTerm() == entries[0].Term {
		t.ahead.begin(entries, r.CommitIndex())
	}
}

func (t *transport) stored() {
	t.ahead.end()
	t.quiet.stir() // storing may have taken long
}

// dropStaleSnapshot answers an InstallSnapshot that has nothing new. It claims success, since the sender only wants to
// know that this node has at least that state.
func (t *transport) dropStaleSnapshot(rpc raft.RPC) bool {
	req, ok := rpc.Command.(*raft.InstallSnapshotRequest)
	if !ok || req.LastLogIndex > t.applied() {
		return false
	}
	_, err := io.Copy(io.Discard, rpc.Reader)
	rpc.Respond(&raft.InstallSnapshotResponse{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}, Term: req.Term, Success: err == nil}, err)
	return true
}

// settle corrects a message of a leader for a node that has applied the log up to an index, and has entries up to last.
//
// A log may begin behind a snapshot. Raft compares what lies before new entries with the log, and refuses them if it is only in
// the snapshot, unless nothing is behind that. So the first entry behind a snapshot was refused when it came again, because the
// answer was lost, or when another leader had another one. The leader would offer its snapshot, hear from [transport.dropStaleSnapshot]
// that it is there, and begin anew, for ever. But what this node has applied is committed, and every leader of its term and later
// ones has it (Raft's Leader Completeness): it need neither be compared nor sent, and Raft compares nothing before index 0.
//
// And Raft takes the log for committed up to its end if the leader's is. Raft's rule is: up to the last entry that the message
// shows to be the leader's. What lies behind that may be what another leader has left there.
func settle(a *raft.AppendEntriesRequest, applied, last uint64) {
	a.LeaderCommitIndex = min(a.LeaderCommitIndex, a.PrevLogEntry+uint64(len(a.Entries)))
	if a.PrevLogEntry == 0 || a.PrevLogEntry > applied || a.PrevLogEntry >= last {
		return
	}
	known := min(applied-a.PrevLogEntry, uint64(len(a.Entries)))
	a.Entries = a.Entries[known:]
	a.PrevLogEntry, a.PrevLogTerm = 0, 0
}

// dropVoteOfNobody refuses to vote while this node has nothing of the group's log. It waits to be added then, knows neither
// the members nor what it may have promised in an earlier life as one of them, and Raft would give its vote to anybody.
func (t *transport) dropVoteOfNobody(rpc raft.RPC) bool {
	switch rpc.Command.(type) {
	case *raft.RequestVoteRequest, *raft.RequestPreVoteRequest, *raft.TimeoutNowRequest:
	default:
		return false
	}
	if t.raft.LastIndex() > 0 {
		return false
	}
	rpc.Respond(nil, errNoVote)
	return true
}

// errNoVote: this node has no vote yet.
var errNoVote = errors.New("this node is not a member yet")

// ask asks one member whether it holds term now, and where its log ends. It sends what Raft sends as a heartbeat, so the
// member needs no code for it.
func (t *transport) ask(member raft.Server, term uint64) (last uint64, ok bool) {
	self := t.EncodePeer(t.id, t.LocalAddr())
	request := raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(t.id), Addr: self},
		Term:      term,
		//lint:ignore SA1019 members that speak an older protocol version read the leader from here
		Leader: self,
	}
	var answer raft.AppendEntriesResponse
	err := t.AppendEntries(member.ID, member.Address, &request, &answer)
	return answer.LastLog, err == nil && answer.Success && answer.Term == term
}

func (t *transport) close() error {
	t.quiet.end()
	close(t.done)
	err := t.NetworkTransport.Close()
	t.ahead.close()
	t.wg.Wait()
	return err
}

// The library forgets which node it dials, only the address remains; these methods put the id in front of it, for the
// hello that opens a stream.

func tagged(id raft.ServerID, target raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(id) + addressTag + target
}

// addressTag separates id and address; node ids cannot contain it.
const addressTag = "@"

// AppendEntries implements raft.Transport.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	replication := isReplication(args)
	if replication {
		if _, err := t.absent.await(id, func() bool { return t.wanted(id, target, args.Term) }); err != nil {
			return err
		}
	}
	idle := t.quiet.idle(id, args)
	err := t.ahead.answer(id, args, resp)
	if errors.Is(err, errNotAhead) {
		err = t.NetworkTransport.AppendEntries(id, tagged(id, target), args, resp)
	}
	t.absent.note(id, replication, err)
	if err == nil {
		t.sent.note(id, resp)
	}
	if err == nil && resp.Success && resp.Term == args.Term {
		t.ahead.note(id, target, args)
	}
	switch {
	case len(args.Entries) > 0:
		t.quiet.stir() // the commit index may move
	case idle && err == nil && resp.Success:
		t.quiet.hold(id)
	}
	return err
}

// insist sends a message of an election, which a voter may get twice. The library keeps streams for later, and when the other
// end has been started anew since, it finds out by using them: a candidate would lose that voter for this election, and in
// three nodes, one of them dead, the election. So what fails is sent again, until a stream was made for it.
func insist(send func() error) (err error) {
	began := time.Now()
	for range connectionPool + 1 {
		err = send()
		if err == nil || errors.Is(err, errUnreached) || time.Since(began) > minRPCTimeout/2 {
			break
		}
	}
	return err
}

// RequestVote implements raft.Transport.
func (t *transport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	return insist(func() error { return t.NetworkTransport.RequestVote(id, tagged(id, target), args, resp) })
}

// RequestPreVote implements raft.WithPreVote.
func (t *transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return insist(func() error { return t.NetworkTransport.RequestPreVote(id, tagged(id, target), args, resp) })
}

// InstallSnapshot implements raft.Transport. What was opened for a member that was away meanwhile may be the newest no more, so
// Raft is told to open it again.
func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if waited, _ := t.absent.await(id, func() bool { return t.wanted(id, target, args.Term) }); waited {
		return errAbsent
	}
	err := t.NetworkTransport.InstallSnapshot(id, tagged(id, target), args, resp, data)
	t.absent.note(id, true, err)
	return err
}

// TimeoutNow implements raft.Transport.
func (t *transport) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return insist(func() error { return t.NetworkTransport.TimeoutNow(id, tagged(id, target), args, resp) })
}
