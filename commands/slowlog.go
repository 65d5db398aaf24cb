package commands

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/dtkv/dtkv/resp"
)

// SlowCommand is one entry of the slow log.
type SlowCommand struct {
	ID      int64 // counts from 0, and is not used again while the node runs
	Unix    int64 // when it was answered, in seconds since the epoch
	Micros  int64 // how long it took
	Args    []string
	Address string // of the client, host:port
	Name    string // of the client; empty if it gave none
}

// Bounds on what the slow log keeps of a command; they are Redis's.
const (
	slowArgs  = 32
	slowBytes = 128 // of one argument
)

// hidden stands for arguments that are nobody else's business.
const hidden = "(redacted)"

// Shown is a command as the slow log shows it: cut where it is long, and without secrets. more is how many commands behind
// it, in one pipeline, ran together with it.
func Shown(c *Command, argv [][]byte, more int) []string {
	kept := argv
	if len(kept) > slowArgs {
		kept = kept[:slowArgs-1]
	}
	list := make([]string, 0, len(kept)+2)
	secret := false
	for i, arg := range kept {
		text := string(arg[:min(len(arg), slowBytes)])
		if cut := len(arg) - slowBytes; cut > 0 {
			text += "... (" + strconv.Itoa(cut) + " more bytes)"
		}
		if secret {
			text = hidden
		}
		list = append(list, text)
		names := 1 + strings.Count(c.Name, "|")
		secret = secret || slices.ContainsFunc(c.Secrets, func(word string) bool {
			return word == "" && i == names-1 || i >= names && word != "" && equalFold(arg, word)
		})
	}
	if left := len(argv) - len(kept); left > 0 {
		list = append(list, "... ("+strconv.Itoa(left)+" more arguments)")
	}
	if more > 0 {
		list = append(list, "... (and "+strconv.Itoa(more)+" more commands of the pipeline)")
	}
	return list
}

const slowFlags = Admin | Loading | Stale

var slowlogCommand = Command{
	Name: "slowlog", Arity: -2,
	Group: "server", Since: "2.2.12", Complexity: "Depends on the subcommand",
	Summary: "A container of commands about the slow log",
	Differs: "The time of a command ends when its reply is ready: the way of a write through the log, and the word of other nodes " +
		"for a read, are in it; waiting for the client, for a lock or for an event is not. Commands of a pipeline that run together " +
		"have one time and one entry.",
	Sub: []Command{
		{
			Name: "slowlog|get", Arity: -2, Flags: slowFlags,
			Group: "server", Since: "2.2.12", Complexity: "O(N) in the number of entries",
			Summary: "Answers the newest entries of the slow log, 10 unless told otherwise, all for -1",
			Syntax:  "[count]",
			Plan:    planSlowlogGet,
		},
		helpOf("slowlog", "server", "6.2.0"),
		{
			Name: "slowlog|len", Arity: 2, Flags: slowFlags,
			Group: "server", Since: "2.2.12", Complexity: "O(1)",
			Summary: "Answers how many entries the slow log has",
			Plan: func(*resp.Args, Settings) (Plan, error) {
				return local(func(w *resp.Writer, s Session) { w.Int(int64(s.SlowLogLen())) })
			},
		},
		{
			Name: "slowlog|reset", Arity: 2, Flags: slowFlags,
			Group: "server", Since: "2.2.12", Complexity: "O(N) in the number of entries",
			Summary: "Forgets all entries of the slow log",
			Plan: func(*resp.Args, Settings) (Plan, error) {
				return local(func(w *resp.Writer, s Session) {
					s.ResetSlowLog()
					w.OK()
				})
			},
		},
	},
}

func planSlowlogGet(a *resp.Args, _ Settings) (Plan, error) {
	count := int64(10)
	if a.More() {
		n, ok := resp.ParseInt(a.Bytes())
		if !ok || n < -1 {
			return Plan{}, resp.Errorf("ERR", "count should be greater than or equal to -1")
		}
		if a.More() {
			return Plan{}, resp.Errorf("ERR", "unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP.")
		}
		if count = n; n < 0 {
			count = math.MaxInt32
		}
	}
	return local(func(w *resp.Writer, s Session) { printSlowLog(w, s.SlowLog(int(min(count, math.MaxInt32)))) })
}

func printSlowLog(w *resp.Writer, list []SlowCommand) {
	w.Array(len(list))
	for i := range list {
		e := &list[i]
		w.Array(6)
		w.Int(e.ID)
		w.Int(e.Unix)
		w.Int(e.Micros)
		w.Array(len(e.Args))
		for _, arg := range e.Args {
			w.BulkString(arg)
		}
		w.BulkString(e.Address)
		w.BulkString(e.Name)
	}
}
