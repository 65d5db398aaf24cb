// Package commands says what each command means: its name, its arguments, its plan and its reply.
//
// [Prepare] turns the arguments that a client sent into a [Plan], which is data: an operation for the log, a function over
// the state, or a function over the connection's [Session]. A refusal ends there, as a *[resp.Error] with the text that
// Redis sends. What came of the plan is printed by the plan's own functions, in the RESP version of the connection's
// writer. No other package knows a command by name, and this one knows neither sockets nor Raft nor the clock.
//
// [Table] is everything this server can do. COMMAND, COMMAND DOCS and docs/commands.md are printed from it.
//
// # Adding a command
//
// One file: a Command variable, its plan function, its reply function (exists.go is a short example). One line in
// table.go. A transcript in the test of its family: what is typed, what comes back. Then
// go test ./commands -run WriteDocs -update prints the page.
//
// # Who may call it
//
// Package server, from any number of goroutines: nothing here is written after start.
package commands

import "github.com/dtkv/dtkv/resp"

// Command is one entry of the [Table]: how a command is called, what it promises, and the function that plans it.
type Command struct {
	Name  string // in lower case, as COMMAND, INFO and error texts print it; a subcommand's is "client|setname"
	Arity int    // number of arguments including the name(s); -n means n or more
	Flags Flags

	// First, Last and Step are the positions of the keys (the name is 0; Last counts from the end when negative); all 0 for
	// none. Prepare checks every key with fsm.CheckKey, in reads as in writes.
	First, Last, Step int
	Count             int    // position of the argument that says how many keys there are, 0 for none; Last is -1 then
	Access            string // what happens to the keys, in COMMAND's words, as "RO access"; "/" parts positions that differ

	Group      string   // as COMMAND DOCS has it
	Since      string   // Redis version that brought it; for DTKV.* ours
	Summary    string   // one sentence without a full stop
	Complexity string   // O(...)
	Syntax     string   // the arguments, as in "key value [NX | XX] [GET]"; see syntax.go
	Categories []string // ACL categories that do not follow from the flags, without "@"
	Differs    string   // how it differs from Redis, or what else is to know of a command of ours, in sentences; may be empty

	// Secrets are words, in lower case, after which nothing of a command may be shown to others: an argument behind one of them
	// is a password, or says who somebody is. The empty word stands for the name.
	Secrets []string

	Sub []Command // subcommands, of a container such as CLIENT

	// Plan turns the arguments after the name(s) into a plan. Prepare has checked arity and keys before, and checks a.Err()
	// and that no argument was left unread after. Nil in a container that cannot do without a subcommand.
	Plan func(a *resp.Args, s Settings) (Plan, error)

	number int
}

// Number tells the command, or subcommand, from all others of the [Table]: they are numbered from 0, [Numbers] in all.
func (c *Command) Number() int { return c.number }

// Numbers is how many commands and subcommands there are.
var Numbers = numberTable()

func numberTable() (n int) {
	for i := range Table {
		Table[i].number = n
		n++
		for j := range Table[i].Sub {
			Table[i].Sub[j].number = n
			n++
		}
	}
	return n
}

// Flags are what COMMAND tells about a command, and below them a few that it does not.
type Flags uint32

const (
	Writes      Flags = 1 << iota // changes keys
	ReadOnly                      // reads keys
	DenyOOM                       // may make the data grow
	Admin                         // administers the server
	PubSub                        // is about subscriptions
	NoScript                      // may not be called by scripts
	Blocking                      // may wait for something to happen
	Loading                       // runs while the node is not ready
	Stale                         // runs on a node that has lost touch with its group
	SkipSlowlog                   // never in the slow log
	Fast                          // constant or logarithmic time
	NoAuth                        // runs before the connection has logged in
	NoMulti                       // refused inside MULTI
	MovableKeys                   // keys are where another argument says
	AllowBusy                     // runs while a script runs for too long

	WhileSubscribed // allowed to a subscriber of RESP2; see ErrSubscriber

	Unqueued // runs at once inside MULTI
	RootKey  // the empty key is allowed: it names the root directory
	EachKey  // keys are judged one by one when applied, each with its own reply
)

// Has reports whether all of the flags are set.
func (f Flags) Has(all Flags) bool { return f&all == all }

// Lookup finds a command by its name in any case. It does not allocate.
func Lookup(name []byte) (*Command, bool) {
	if len(name) == 0 || len(name) > longestName {
		return nil, false
	}
	for _, c := range index[len(name)][name[0]&31] {
		if equalFold(name, c.Name) {
			return c, true
		}
	}
	return nil, false
}

// longestName bounds the names of commands, in bytes.
const longestName = 32

// index finds table entries by the length and the first letter of their names, which leaves one or two to compare: a
// third of what a map costs, on every command there is. It is never written after start.
var index = indexTable()

func indexTable() *[longestName + 1][32][]*Command {
	var ix [longestName + 1][32][]*Command
	for i := range Table {
		name := Table[i].Name
		bucket := &ix[len(name)][name[0]&31]
		*bucket = append(*bucket, &Table[i])
	}
	return &ix
}

// Prepare turns one client's command into a plan: lookup, subcommand, arity, keys, plan. argv[0] is the name. A refusal is
// a *[resp.Error]; the command is returned with it, or nil when there is none of that name (and subcommand).
//
// What refuses the arguments, rather than the name or their number, comes with a plan that does no more than print the
// refusal. Outside MULTI it has no use. Inside, the plan is queued and EXEC answers with the refusal, while a refusal
// without a plan (its Kind is 0) dooms the transaction: Redis draws the line there, and clients count on both sides of it.
func Prepare(argv [][]byte, s Settings) (*Command, Plan, error) {
	var p Planner
	return p.Prepare(argv, s)
}

// Planner prepares the commands of one connection, one after the other. Its use over [Prepare] is that the walk over the
// arguments is not allocated anew for each. The zero Planner is ready.
type Planner struct{ args resp.Args }

// Prepare is as [Prepare].
func (p *Planner) Prepare(argv [][]byte, s Settings) (*Command, Plan, error) {
	c, ok := Lookup(argv[0])
	if !ok {
		return nil, Plan{}, resp.UnknownCommand(argv)
	}
	names, container := 1, c
	if len(c.Sub) > 0 && len(argv) > 1 {
		if c, ok = container.subcommand(argv[1]); !ok {
			return nil, Plan{}, resp.UnknownSubcommand(container.Name, argv[1])
		}
		names = 2
	}
	if !c.accepts(len(argv)) {
		return c, Plan{}, resp.WrongArity(c.Name)
	}
	if err := c.checkKeys(argv); err != nil {
		return c, refused(err), err
	}
	p.args.Reset(argv[names:])
	plan, err := c.Plan(&p.args, s)
	switch {
	case p.args.Err() != nil:
		err = p.args.Err() // the first thing wrong, whatever the plan made of it
	case err == nil && p.args.More():
		err = resp.ErrSyntax
	}
	if err != nil {
		return c, refused(err), err
	}
	if d := plan.describe; d != nil {
		plan.Kind = Local
		plan.Local = func(w *resp.Writer, _ Session) { d(w, Table, container) }
	}
	return c, plan, nil
}

// refused is the plan of a command whose arguments are wrong.
func refused(err error) Plan {
	return Plan{Kind: Local, Local: func(w *resp.Writer, _ Session) { w.Error(err) }}
}

// subcommand finds a container's entry by the second argument, in any case.
func (c *Command) subcommand(name []byte) (*Command, bool) {
	for i := range c.Sub {
		if equalFold(name, c.Sub[i].Name[len(c.Name)+1:]) {
			return &c.Sub[i], true
		}
	}
	return nil, false
}

// equalFold compares what a client sent with a name in lower case.
func equalFold(sent []byte, lower string) bool {
	if len(sent) != len(lower) {
		return false
	}
	for i, b := range sent {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		if b != lower[i] {
			return false
		}
	}
	return true
}

// accepts reports whether argc arguments, names included, fit the arity.
func (c *Command) accepts(argc int) bool {
	return argc == c.Arity || c.Arity < 0 && argc >= -c.Arity
}

// lastKey is the position of the last key of argv, 0 when the argument that counts the keys makes no sense.
func (c *Command) lastKey(argv [][]byte) int {
	if c.Count > 0 {
		n, ok := resp.ParseInt(argv[c.Count])
		if room := (len(argv) - c.First) / c.Step; !ok || n < 1 || n > int64(room) {
			return 0
		}
		return c.First + int(n-1)*c.Step
	}
	if c.Last < 0 {
		return len(argv) + c.Last
	}
	return c.Last
}
