package commands

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

// rig is a server without sockets, log and time: what a client sends is prepared, encoded, sealed, opened, applied and
// answered as on a node, on one goroutine.
type rig struct {
	t        testing.TB
	machine  *fsm.Machine
	index    uint64
	w        resp.Writer
	session  fakeSession
	settings Settings
	mkdir    bool // auto-mkdir

	clock   int64  // cluster milliseconds
	started bool   // a leader has: only then the clock counts
	tickets uint64 // of those who waited so far

	cluster Cluster // what a survey sees
	change  *Change // the newest one
	groups  []Group // what a list of them shows

	multi, dirty bool
	queue        []Plan
	watches      []fsm.Watch
}

func newRig(t testing.TB, proto int) *rig {
	return &rig{
		t: t, machine: fsm.New(), w: resp.Writer{Proto: proto},
		session:  fakeSession{authenticated: true, proto: proto, owner: OwnerOf([]byte("connection"))},
		settings: Settings{MaxValue: 1 << 10, WallMillis: 1_700_000_000_000},
	}
}

// do runs one command and returns the bytes of its reply.
func (r *rig) do(argv ...string) string {
	raw := make([][]byte, len(argv))
	for i, a := range argv {
		raw[i] = []byte(a)
	}
	r.w.Buf = nil
	r.run(raw)
	return string(r.w.Buf)
}

func (r *rig) run(argv [][]byte) {
	r.settings.Owner = r.session.owner
	cmd, plan, err := Prepare(argv, r.settings)
	switch {
	case err != nil && !(r.multi && plan.Kind != 0 && !cmd.Flags.Has(Unqueued)):
		var refusal *resp.Error
		if !errors.As(err, &refusal) {
			r.t.Errorf("%q is refused with %T, which is no reply", argv, err)
		}
		r.dirty = r.dirty || r.multi && plan.Kind == 0
		r.w.Error(err)
	case r.multi && !cmd.Flags.Has(Unqueued):
		plan.Hurry()
		r.queue = append(r.queue, plan)
		r.w.Simple("QUEUED")
	default:
		r.execute(plan)
	}
}

func (r *rig) execute(plan Plan) {
	switch plan.Kind {
	case Write, WriteAll:
		plan.Answer(&r.w, r.apply(plan.Op, nil))
	case Read:
		plan.Read(&r.w, r.machine.View())
	case Local:
		plan.Local(&r.w, &r.session)
	case Transaction:
		r.transaction(plan)
	case Subscribe:
		r.session.subscribe(&r.w, &plan.Sub)
	case Await:
		r.await(plan)
	case Administer:
		switch {
		case plan.Survey != nil:
			plan.Survey(&r.w, r.cluster)
		case plan.Groups != nil:
			plan.Groups(&r.w, r.groups)
		default:
			r.change = plan.Change
			r.w.OK()
		}
	case Select:
		if plan.Database != 0 {
			r.w.Error(resp.ErrDBIndex)
			return
		}
		r.session.db = int(plan.Database)
		r.w.OK()
	default:
		r.t.Errorf("a plan of kind %d", plan.Kind)
	}
}

// await prints what is granted at once. Whoever waits hears nothing here: there is nobody who could wake it.
func (r *rig) await(plan Plan) {
	if streams := plan.Await.Streams; streams != nil {
		if !streams.Print(&r.w, &r.session) {
			r.w.NullArray()
		}
		return
	}
	op := *plan.Await.Lock
	r.tickets++
	op.Ticket = fsm.Ticket{Process: 1, Number: r.tickets}
	if result := r.apply(&op, nil); result.Err != nil || result.Int == 0 || result.Found {
		plan.Answer(&r.w, result)
	}
}

// pass lets time pass, and what is due go.
func (r *rig) pass(millis int64) {
	if !r.started {
		r.started = true
		r.apply(&fsm.LeaderStart{Term: 1, Node: "n1"}, nil)
	}
	r.clock += millis
	r.settings.WallMillis += millis
	for r.apply(&fsm.ExpireDue{Limit: 2}, nil).Found {
	}
}

// absolute reports whether an operation goes by the wall clock of its entry.
func absolute(op fsm.Op) bool {
	switch o := op.(type) {
	case *fsm.Set:
		return o.TTL.Absolute
	case *fsm.SetMany:
		return o.TTL.Absolute
	case *fsm.GetExpire:
		return o.TTL.Absolute
	case *fsm.Expire:
		return o.Absolute
	}
	return false
}

// apply sends an operation through the log.
func (r *rig) apply(op fsm.Op, see func(op, pos int, v fsm.View)) fsm.Result {
	r.t.Helper()
	wall := 1000 + int64(r.index) // for stamps that can be read
	if absolute(op) {
		wall = r.settings.WallMillis
	}
	data := op.AppendTo(make([]byte, fsm.HeaderSize))
	fsm.SealEntry(data, fsm.Header{
		Term: 1, ClusterMillis: r.clock, WallMillis: wall,
		MaxValue: uint32(r.settings.MaxValue), AutoMkdir: r.mkdir,
	}, 1)
	entry, err := fsm.OpenEntry(data)
	if err != nil {
		r.t.Fatalf("open %s: %v", op, err)
	}
	r.index++
	entry.Index, entry.LogTerm = r.index, 1
	results, err := r.machine.Apply(&entry, see)
	r.session.remember(r.index, r.machine.Events())
	if err != nil || len(results) != 1 {
		r.t.Fatalf("apply %s: %d results, error %v", op, len(results), err)
	}
	return results[0]
}

// transaction follows the rules that TxnAction gives the server.
func (r *rig) transaction(plan Plan) {
	switch {
	case plan.Txn == TxnMulti && r.multi:
		r.w.Error(resp.ErrNestedMulti)
		return
	case plan.Txn == TxnWatch && r.multi:
		r.w.Error(resp.ErrWatchInMulti)
		return
	case plan.Txn == TxnExec:
		r.exec()
		return
	case plan.Txn == TxnDiscard && !r.multi:
		r.w.Error(resp.ErrDiscardNoMulti)
		return
	case plan.Txn == TxnMulti:
		r.multi = true
	case plan.Txn == TxnDiscard:
		r.multi, r.dirty, r.queue, r.watches = false, false, nil, nil
	case plan.Txn == TxnUnwatch:
		r.watches = nil
	}
	for _, key := range plan.Watch {
		version := uint64(0)
		if n, ok := r.machine.View().Lookup(key); ok {
			version = n.Updated.Index
		}
		r.watches = append(r.watches, fsm.Watch{Key: key, Version: version})
	}
	r.w.OK()
}

func (r *rig) exec() {
	queue, watches, dirty, open := r.queue, r.watches, r.dirty, r.multi
	r.multi, r.dirty, r.queue, r.watches = false, false, nil, nil
	if !open {
		r.w.Error(resp.ErrExecNoMulti)
		return
	}
	if dirty {
		r.w.Error(resp.ErrExecAbort)
		return
	}
	txn := &fsm.Txn{Watches: watches}
	reads := make(map[int][]int) // position among the writes: indexes in queue
	for i, p := range queue {
		switch p.Kind {
		case Write:
			txn.Ops = append(txn.Ops, p.Op)
		case Read:
			reads[len(txn.Ops)] = append(reads[len(txn.Ops)], i)
		}
	}
	replies := make([]resp.Writer, len(queue))
	result := r.apply(txn, func(_, pos int, v fsm.View) {
		for _, i := range reads[pos] {
			replies[i].Proto = r.w.Proto
			queue[i].Read(&replies[i], v)
		}
	})
	if !result.Found {
		r.w.NullArray()
		return
	}
	r.w.Array(len(queue))
	for i, p := range queue {
		switch p.Kind {
		case Write:
			p.Answer(&r.w, result.List[0])
			result.List = result.List[1:]
		case Read:
			r.w.Raw(replies[i].Buf)
		case Local:
			p.Local(&r.w, &r.session)
		case Transaction:
			r.w.OK() // UNWATCH
		}
	}
}

// transcript is a test whose name is a sentence: lines "> command" and the lines of the reply behind "<". A line "@ resp3"
// changes the protocol, "@ auto-mkdir" makes missing directories, "@ pass 500" lets half a second pass.
type transcript struct{ name, text string }

func runTranscripts(t *testing.T, tests []transcript) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { runTranscript(t, test.text) })
	}
}

func runTranscript(t *testing.T, text string) {
	t.Helper()
	r := newRig(t, 2)
	var command string
	var want []string
	check := func() {
		t.Helper()
		if command == "" {
			return
		}
		reply := r.do(words(t, command)...)
		if rest, err := skipReply([]byte(reply)); len(want) > 0 && (err != nil || len(rest) > 0) {
			t.Errorf("%s\nreplied %q, which is not one reply: %v", command, reply, err)
		}
		if got := show(reply); got != strings.Join(want, "\n") {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", command, got, strings.Join(want, "\n"))
		}
		command, want = "", nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t")
		switch {
		case strings.HasPrefix(line, "> "):
			check()
			command = line[2:]
		case strings.HasPrefix(line, "<"):
			want = append(want, strings.TrimPrefix(line[1:], " "))
		case line == "@ resp3":
			check()
			r.w.Proto = 3
		case strings.HasPrefix(line, "@ pass "):
			check()
			millis, err := strconv.ParseInt(line[len("@ pass "):], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			r.pass(millis)
		case line == "@ auto-mkdir":
			check()
			r.mkdir = true
		case line != "":
			t.Fatalf("not a line of a transcript: %q", line)
		}
	}
	check()
}

// words splits a command as redis-cli does: at spaces, with "..." for anything and \x escapes in it.
func words(t *testing.T, line string) []string {
	t.Helper()
	var out []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " ") {
		if line[0] != '"' {
			word, rest, _ := strings.Cut(line, " ")
			out, line = append(out, word), rest
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			t.Fatalf("bad quotes in %s", line)
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("bad quotes in %s", line)
		}
		out, line = append(out, word), line[len(quoted):]
	}
	return out
}

// show writes a reply as the lines of a transcript.
func show(reply string) string {
	lines := strings.Split(strings.TrimSuffix(reply, "\r\n"), "\r\n")
	for i, line := range lines {
		quoted := strconv.QuoteToASCII(line)
		line = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
		if rest, ok := strings.CutSuffix(line, " "); ok {
			line = rest + `\x20` // editors eat a space at the end
		}
		lines[i] = line
	}
	if reply == "" {
		return ""
	}
	return strings.Join(lines, "\n")
}

// skipReply reads one reply of any type and returns what is behind it.
func skipReply(b []byte) ([]byte, error) {
	line, rest, ok := bytes.Cut(b, []byte("\r\n"))
	if !ok || len(line) == 0 {
		return nil, fmt.Errorf("no line in %q", b)
	}
	elements := 0
	switch kind := line[0]; kind {
	case '+', '-', ':', '_', '#', ',':
		return rest, nil
	case '$', '=', '*', '~', '>', '%':
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil {
			return nil, err
		}
		switch {
		case n == -1 && (kind == '$' || kind == '*'):
			return rest, nil
		case n < 0:
			return nil, fmt.Errorf("length %d", n)
		case kind == '$' || kind == '=':
			if len(rest) < n+2 || string(rest[n:n+2]) != "\r\n" {
				return nil, fmt.Errorf("string of %d bytes in %d", n, len(rest))
			}
			return rest[n+2:], nil
		case kind == '%':
			n *= 2
		}
		elements = n
	default:
		return nil, fmt.Errorf("type %q", kind)
	}
	var err error
	for range elements {
		if rest, err = skipReply(rest); err != nil {
			return nil, err
		}
	}
	return rest, nil
}
