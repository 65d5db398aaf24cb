package server

import (
	"bytes"
	"sync"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/resp"
)

// Bounds of one unit of work.
const (
	flushAt    = 256 << 10 // bytes of replies that are written without waiting for the end of the pipeline
	maxBatch   = 256 << 10 // bytes of operations proposed at once; a larger operation goes alone
	maxPending = 8192      // arguments of commands that wait together: reads of so many keys hold the lock for milliseconds
	longArgs   = 512       // a read of more arguments runs outside locks
	keepBuffer = 1 << 20   // bytes; larger buffers are not kept for the next unit
)

// unit is what running one pipeline takes. Idle connections have none, so that ten thousand of them cost little.
type unit struct {
	out      []byte
	pending  []pending
	args     int // of the pending commands
	next     int // first of pending not yet answered
	proposal replica.Proposal
	tally    tally
}

// pending is a command that waits for its neighbours: consecutive writes become one proposal, consecutive reads one look
// at the state. Exactly one of the first four fields is set.
type pending struct {
	reply   func(*resp.Writer, fsm.Result) // of a write
	read    func(*resp.Writer, fsm.View)
	key     []byte // of a read, if it looks up just one
	refused error  // answered in its place in the order
	call    int32  // number of the command, see numberOf
	bad     bool   // it was rejected rather than called
}

var units = sync.Pool{New: func() any { return new(unit) }}

// runUnit answers every complete command that has been received. Consecutive writes are proposed together, consecutive
// reads look at one state, a read after writes waits for them. One socket write carries the replies.
func (c *conn) runUnit() {
	c.beginUnit()
	if c.sub.Subscriber != nil && c.woken.Swap(false) {
		c.woken.Store(!c.take(maxMessages)) // they came before the commands
	}
	c.rest()
}

// rest runs what is left of a unit, to its end.
func (c *conn) rest() {
	for !c.closing && c.proceed() {
		argv, ok, err := c.in.Next()
		if err != nil {
			c.settle()
			c.refuseProtocol(err)
			break
		}
		if !ok {
			break
		}
		c.command(argv)
	}
	c.settle()
	c.lap()
	c.publish()
	if c.inlet != nil {
		c.note()
	}
	c.flush()
	c.endUnit()
}

func (c *conn) beginUnit() {
	c.unit = units.Get().(*unit)
	c.out.Buf = c.unit.out[:0]
	c.unit.tally.since = c.now
	c.settings.WallMillis = c.now.UnixMilli()
	if _, waiting := c.group.(loading); waiting {
		c.group = c.srv.group(c.settings.Database)
	}
}

func (c *conn) endUnit() {
	u := c.unit
	u.tally.clear(time.Time{})
	c.unit, u.out, c.out.Buf = nil, c.out.Buf, nil
	c.closing = c.closing || c.lost
	if cap(u.out) > keepBuffer {
		u.out = nil
	}
	if cap(u.proposal.Ops) > keepBuffer {
		u.proposal.Ops = nil
	}
	units.Put(u)
}

// command plans one command and runs it or lets it wait for its neighbours.
func (c *conn) command(argv [][]byte) {
	c.begun = time.Time{}
	c.account.commands++
	if c.txn.open {
		c.enqueue(argv)
		return
	}
	cmd, plan, err := c.planner.Prepare(argv, c.settings)
	if cmd != nil {
		c.lastName = cmd
	}
	switch {
	case c.barred(cmd, plan.Kind):
		err, plan.Kind = resp.ErrNoAuth, 0
	case plan.Kind != 0 && c.confined(cmd):
		err, plan.Kind = commands.ErrSubscriber(cmd), 0
	}
	if err != nil {
		c.refuse(cmd, argv, &plan, c.refusal(cmd, err))
		return
	}
	c.act(cmd, &plan, argv)
}

// barred reports whether the client must log in first. What is no command, or has the wrong number of arguments, is told so
// before, as in Redis.
func (c *conn) barred(cmd *commands.Command, kind commands.Kind) bool {
	return c.stranger && kind != 0 && !cmd.Flags.Has(commands.NoAuth)
}

// act is the switch over the kinds of plans.
func (c *conn) act(cmd *commands.Command, p *commands.Plan, argv [][]byte) {
	u := c.unit
	switch p.Kind {
	case commands.Write:
		if u.proposal.N == 0 {
			c.settle() // reads
		}
		c.addWrite(cmd, p, argv)
	case commands.Read:
		if u.proposal.N > 0 {
			c.settle()
		}
		if p.Long || len(argv) > longArgs {
			c.begin(cmd, argv)
			c.readLong(cmd, p)
			c.lap()
			return
		}
		c.wait(cmd, pending{read: p.Read, key: p.Key}, argv)
	case commands.Local:
		c.local(cmd, p, argv)
	case commands.Transaction:
		c.begin(cmd, argv)
		start := c.out.Len()
		c.transact(p)
		c.printed(start, cmd)
		c.lap()
		c.flushIfFull()
	case commands.Subscribe:
		c.begin(cmd, argv)
		if c.sub.Subscriber != nil {
			c.take(maxMessages) // what came before an UNSUBSCRIBE is still for the client
		}
		c.subscribe(&p.Sub)
		c.lap()
	case commands.Await:
		c.await(cmd, p, argv)
	case commands.Administer:
		c.begin(cmd, argv)
		if p.Backup {
			c.flush() // its reply is sent while it grows
		}
		start := c.out.Len()
		c.administer(p)
		c.printed(start, cmd)
		c.lap()
		c.flushIfFull()
	case commands.Select:
		c.begin(cmd, argv)
		start := c.out.Len()
		c.choose(int(p.Database))
		if c.back == nil { // else it is answered where the session goes
			c.printed(start, cmd)
		}
		c.lap()
	case commands.WriteAll:
		c.writeAll(cmd, p, argv)
	}
	if p.Close {
		c.settle()
		c.closing = true
	}
}

// local runs a command that needs neither log nor state. Fast ones share their time with their neighbours.
func (c *conn) local(cmd *commands.Command, p *commands.Plan, argv [][]byte) {
	c.settle()
	fast := cmd.Flags.Has(commands.Fast)
	if !fast || len(c.unit.tally.runs) >= maxRuns {
		c.lap()
	}
	c.unit.tally.add(cmd, argv)
	start := c.out.Len()
	p.Local(&c.out, c)
	c.printed(start, cmd)
	if !fast {
		c.lap()
	}
	c.flushIfFull()
}

// begin settles what came before a command that runs by itself, and begins its time.
func (c *conn) begin(cmd *commands.Command, argv [][]byte) {
	c.settle()
	c.lap()
	c.unit.tally.add(cmd, argv)
}

// wait lets a command wait for its neighbours.
func (c *conn) wait(cmd *commands.Command, p pending, argv [][]byte) {
	u := c.unit
	p.call = numberOf(cmd)
	if len(u.pending) == 0 {
		c.lap()
	}
	if !p.bad {
		u.tally.add(cmd, argv)
	}
	u.pending, u.args = append(u.pending, p), u.args+len(argv)
	if u.args >= maxPending {
		c.settle()
	}
}

// refuse answers a command that could not be planned, after those that wait.
func (c *conn) refuse(cmd *commands.Command, argv [][]byte, p *commands.Plan, err error) {
	bad := p.Kind == 0
	if len(c.unit.pending) > 0 {
		c.wait(cmd, pending{refused: err, bad: bad}, argv[:1])
		return
	}
	if !bad {
		c.unit.tally.add(cmd, argv)
	}
	start := c.out.Len()
	c.out.Error(err)
	c.answered(start, numberOf(cmd), bad)
	c.flushIfFull()
}

// addWrite encodes the operation behind those that wait. One that would make the proposal too large waits for the next.
func (c *conn) addWrite(cmd *commands.Command, p *commands.Plan, argv [][]byte) {
	u := c.unit
	before := len(u.proposal.Ops)
	u.proposal.Ops = p.Op.AppendTo(u.proposal.Ops)
	if before > 0 && len(u.proposal.Ops) > maxBatch {
		// Propose what came before, then start anew with this one. The copy is rare: once per quarter of a megabyte.
		op := bytes.Clone(u.proposal.Ops[before:])
		u.proposal.Ops = u.proposal.Ops[:before]
		c.settle()
		u.proposal.Ops = append(u.proposal.Ops, op...)
	}
	u.proposal.N++
	c.wait(cmd, pending{reply: p.Reply}, argv)
}

// settle runs and answers the commands that wait.
func (c *conn) settle() {
	u := c.unit
	if len(u.pending) == 0 {
		return
	}
	if u.proposal.N > 0 {
		c.propose()
	} else {
		c.readAll()
	}
	c.clearPending()
}

func (c *conn) clearPending() {
	c.lap()
	u := c.unit
	clear(u.pending) // They hold arguments and results.
	u.pending, u.args, u.next = u.pending[:0], 0, 0
}

// propose runs the writes that wait as one proposal.
func (c *conn) propose() {
	c.answerWrites(c.group.Propose(c.srv.ctx, &c.unit.proposal))
	c.flushIfFull()
}

// answerWrites prints the results of the proposal, or for each write what err says became of it.
func (c *conn) answerWrites(err error) {
	u := c.unit
	result := 0
	for i := range u.pending {
		p, start := &u.pending[i], c.out.Len()
		switch {
		case p.refused != nil:
			c.out.Error(p.refused)
		case err != nil:
			c.out.Error(c.writeVerdict(err))
		default:
			r := u.proposal.Results[result]
			result++
			if r.Err != nil {
				c.out.Error(commands.RefusalError(r.Err))
			} else {
				p.reply(&c.out, r)
			}
		}
		if c.request != nil && c.request.parked {
			break // it is the last one, and will be answered later
		}
		c.answered(start, p.call, p.bad)
	}
	u.resetProposal(err)
	if c.request != nil {
		c.concludeUnlessParked()
	}
}

// resetProposal makes room for the next writes. After an unknown outcome the group may still write to the old proposal.
func (u *unit) resetProposal(err error) {
	if err != nil {
		u.proposal = replica.Proposal{}
		return
	}
	clear(u.proposal.Results)
	u.proposal.Done = nil
	u.proposal.Ops, u.proposal.Results, u.proposal.N = u.proposal.Ops[:0], u.proposal.Results[:0], 0
}

// readAll answers the reads that wait. It looks again for each quarter of a megabyte of replies, since no socket is
// written to under the group's lock.
func (c *conn) readAll() {
	u := c.unit
	for u.next < len(u.pending) && !c.broken {
		err := c.readState()
		if err != nil {
			c.failReads(c.readVerdict(err))
		}
		c.flushIfFull()
	}
}

// readState has look run on the state: what was acknowledged before, or after READONLY what is here.
func (c *conn) readState() error {
	if c.face.reads {
		return c.group.Stale(c.lookFunc)
	}
	return c.group.Read(c.srv.ctx, c.lookFunc)
}

// look runs under the group's lock.
func (c *conn) look(v fsm.View) {
	u := c.unit
	for first := u.next; u.next < len(u.pending) && c.out.Len() < flushAt; {
		if (u.next-first)%fsm.WarmBatch == 0 {
			c.warm(v)
		}
		p, start := &u.pending[u.next], c.out.Len()
		if p.refused != nil {
			c.out.Error(p.refused)
		} else {
			p.read(&c.out, v)
			c.countLookup(start)
		}
		c.answered(start, p.call, p.bad)
		u.next++
	}
}

// warm looks up ahead what the next reads look up.
func (c *conn) warm(v fsm.View) {
	var keys [fsm.WarmBatch][]byte
	n := 0
	rest := c.unit.pending[c.unit.next:]
	for i := range rest[:min(len(rest), fsm.WarmBatch)] {
		if key := rest[i].key; key != nil {
			keys[n] = key
			n++
		}
	}
	if n > 1 {
		c.warmed += v.Warm(keys[:n])
	}
}

func (c *conn) failReads(verdict error) {
	for u := c.unit; u.next < len(u.pending); u.next++ {
		start := c.out.Len()
		p := &u.pending[u.next]
		if p.refused != nil {
			c.out.Error(p.refused)
		} else {
			c.out.Error(verdict)
		}
		c.answered(start, p.call, p.bad)
	}
}

// readLong answers a read that visits many nodes from a copy of the state, so that nobody waits for it.
func (c *conn) readLong(cmd *commands.Command, p *commands.Plan) {
	start := c.out.Len()
	var v fsm.View
	var err error
	if c.face.reads {
		v, err = c.group.FrozenStale()
	} else {
		v, err = c.group.Frozen(c.srv.ctx)
	}
	if err != nil {
		c.out.Error(c.readVerdict(err))
	} else {
		p.Read(&c.out, v)
	}
	c.printed(start, cmd)
	c.flushIfFull()
}

// printed ends the printing of the reply to a command that was run, which begins at start.
func (c *conn) printed(start int, cmd *commands.Command) { c.answered(start, numberOf(cmd), false) }

// answered ends the printing of one command's reply, which begins at start; bad says that it was not run.
func (c *conn) answered(start int, call int32, bad bool) {
	if reply := c.out.Buf[start:]; len(reply) > 0 && reply[0] == '-' {
		c.srv.noteError(reply, call, bad)
	}
	if c.muting == (muting{}) {
		return
	}
	if c.muting.off || c.muting.skip {
		c.out.Buf = c.out.Buf[:start]
	}
	c.muting.skip, c.muting.skipNext = c.muting.skipNext, false
}

func (c *conn) flushIfFull() {
	if c.out.Len() >= flushAt {
		c.flush()
	}
}

// countLookup counts a read as a hit or, when its whole reply is a null, as a miss.
func (c *conn) countLookup(start int) {
	if reply := c.out.Buf[start:]; string(reply) == "$-1\r\n" || string(reply) == "_\r\n" {
		c.account.misses++
	} else {
		c.account.hits++
	}
}
