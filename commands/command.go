package commands

import (
	"strings"

	"github.com/dtkv/dtkv/resp"
)

var commandCommand = Command{
	Name: "command", Arity: -1, Flags: Loading | Stale,
	Group: "server", Since: "2.8.13", Complexity: "O(N) in the number of commands",
	Summary:    "Describes every command, as COMMAND INFO does",
	Categories: []string{"connection"},
	Plan:       planCommand,
	Sub: []Command{
		commandSub("count", 2, "2.8.13", "", "Counts the commands", planCommandCount),
		commandSub("docs", -2, "7.0.0", "[command-name [command-name ...]]", "Answers what people want to know about commands", planCommandDocs),
		commandSub("getkeys", -4, "2.8.13", "command [arg [arg ...]]", "Answers which of the arguments of a command are keys", planCommandGetKeys),
		helpOf("command", "server", "5.0.0", "connection"),
		commandSub("info", -2, "2.8.13", "[command-name [command-name ...]]", "Answers what clients want to know about commands", planCommandInfo),
		commandSub("list", -2, "7.0.0", "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
			"Answers the names of commands", planCommandList),
	},
}

func commandSub(name string, arity int, since, syntax, summary string, plan func(*resp.Args, Settings) (Plan, error)) Command {
	return Command{
		Name: "command|" + name, Arity: arity, Flags: Loading | Stale,
		Group: "server", Since: since, Complexity: "O(N) in the number of commands",
		Summary: summary, Syntax: syntax,
		Categories: []string{"connection"},
		Plan:       plan,
	}
}

// find looks a command or a subcommand ("client|list") up by its full name, in any case.
func find(table []Command, name []byte) (*Command, bool) {
	for i := range table {
		c := &table[i]
		if equalFold(name, c.Name) {
			return c, true
		}
		for j := range c.Sub {
			if equalFold(name, c.Sub[j].Name) {
				return &c.Sub[j], true
			}
		}
	}
	return nil, false
}

func planCommand(*resp.Args, Settings) (Plan, error) {
	return Plan{describe: func(w *resp.Writer, table []Command, _ *Command) { printCommands(w, table) }}, nil
}

func planCommandCount(*resp.Args, Settings) (Plan, error) {
	return Plan{describe: func(w *resp.Writer, table []Command, _ *Command) { w.Int(int64(len(table))) }}, nil
}

func planCommandInfo(a *resp.Args, _ Settings) (Plan, error) {
	names := a.Rest()
	return Plan{describe: func(w *resp.Writer, table []Command, _ *Command) {
		if len(names) == 0 {
			printCommands(w, table)
			return
		}
		w.Array(len(names))
		for _, name := range names {
			if c, ok := find(table, name); ok {
				c.printInfo(w)
			} else {
				w.Null()
			}
		}
	}}, nil
}

func printCommands(w *resp.Writer, table []Command) {
	w.Array(len(table))
	for i := range table {
		table[i].printInfo(w)
	}
}

// printInfo prints the ten fields of COMMAND INFO.
func (c *Command) printInfo(w *resp.Writer) {
	w.Array(10)
	w.BulkString(c.Name)
	w.Int(int64(c.Arity))
	flags := c.Flags.names()
	w.Set(len(flags))
	for _, f := range flags {
		w.Simple(f)
	}
	first, last, step := c.First, c.Last, c.Step
	if c.Count > 0 { // no range can tell
		first, last, step = 0, 0, 0
	}
	w.Int(int64(first))
	w.Int(int64(last))
	w.Int(int64(step))
	categories := c.ACL()
	w.Set(len(categories))
	for _, name := range categories {
		w.Simple("@" + name)
	}
	w.Set(0) // tips
	c.printKeySpecs(w)
	if len(c.Sub) == 0 {
		w.Set(0) // as Redis has it: a set when empty, an array otherwise
		return
	}
	w.Array(len(c.Sub))
	for i := range c.Sub {
		c.Sub[i].printInfo(w)
	}
}

// printKeySpecs prints where the keys are and what happens to them: one range, or a range of one for each position that
// has an access of its own.
func (c *Command) printKeySpecs(w *resp.Writer) {
	if c.First == 0 {
		w.Set(0)
		return
	}
	accesses := strings.Split(c.Access, "/")
	w.Set(len(accesses))
	for i, access := range accesses {
		first, last := c.First+i*c.Step, c.Last
		if last >= 0 { // COMMAND counts a last key from the first
			last = 0
		}
		flags := strings.Fields(access)
		w.Map(3)
		w.BulkString("flags")
		w.Set(len(flags))
		for _, f := range flags {
			w.Simple(f)
		}
		w.BulkString("begin_search")
		w.Map(2)
		field(w, "type", "index")
		w.BulkString("spec")
		w.Map(1)
		if c.Count > 0 {
			number(w, "index", c.Count)
			c.printCounted(w)
			continue
		}
		number(w, "index", first)
		w.BulkString("find_keys")
		w.Map(2)
		field(w, "type", "range")
		w.BulkString("spec")
		w.Map(3)
		number(w, "lastkey", last)
		number(w, "keystep", c.Step)
		number(w, "limit", 0)
	}
}

// printCounted prints where the keys are that an argument counts.
func (c *Command) printCounted(w *resp.Writer) {
	w.BulkString("find_keys")
	w.Map(2)
	field(w, "type", "keynum")
	w.BulkString("spec")
	w.Map(3)
	number(w, "keynumidx", 0)
	number(w, "firstkey", c.First-c.Count)
	number(w, "keystep", c.Step)
}

// number prints one pair of a map.
func number(w *resp.Writer, name string, n int) {
	w.BulkString(name)
	w.Int(int64(n))
}

var (
	errNoKeys        = resp.Errorf("ERR", "The command has no key arguments")
	errGetKeysName   = resp.Errorf("ERR", "Invalid command specified")
	errGetKeysNumber = resp.Errorf("ERR", "Invalid number of arguments specified for command")
	errGetKeysCount  = resp.Errorf("ERR", "Invalid arguments specified for command")
)

func planCommandGetKeys(a *resp.Args, _ Settings) (Plan, error) {
	argv := a.Rest()
	return Plan{describe: func(w *resp.Writer, table []Command, _ *Command) {
		keys, err := keysOf(table, argv)
		if err != nil {
			w.Error(err)
			return
		}
		w.Array(len(keys))
		for _, key := range keys {
			w.Bulk(key)
		}
	}}, nil
}

// keysOf returns the keys of a command that is not run.
func keysOf(table []Command, argv [][]byte) ([][]byte, error) {
	c, ok := find(table, argv[0])
	if ok && len(c.Sub) > 0 && len(argv) > 1 {
		c, ok = c.subcommand(argv[1])
	}
	switch {
	case !ok:
		return nil, errGetKeysName
	case c.First == 0:
		return nil, errNoKeys
	case !c.accepts(len(argv)):
		return nil, errGetKeysNumber
	}
	last := c.lastKey(argv)
	if last == 0 {
		return nil, errGetKeysCount
	}
	var keys [][]byte
	for i := c.First; i <= last; i += c.Step {
		keys = append(keys, argv[i])
	}
	return keys, nil
}

func planCommandList(a *resp.Args, _ Settings) (Plan, error) {
	want := func(*Command) bool { return true }
	if a.More() {
		if a.Keyword() != "FILTERBY" {
			return Plan{}, resp.ErrSyntax
		}
		switch a.Keyword() {
		case "MODULE":
			a.Bytes()
			want = func(*Command) bool { return false } // there are none
		case "ACLCAT":
			category := a.Bytes()
			want = func(c *Command) bool { return c.in(category) }
		case "PATTERN":
			g, err := compileGlob(a.Bytes(), true)
			if err != nil {
				return Plan{}, err
			}
			want = func(c *Command) bool { return g.matches(c.Name) }
		default:
			return Plan{}, resp.ErrSyntax
		}
	}
	return planNames(want)
}

// planNames plans the names of the commands and subcommands that are wanted.
func planNames(want func(*Command) bool) (Plan, error) {
	return Plan{describe: func(w *resp.Writer, table []Command, _ *Command) {
		var names []string
		for i := range table {
			names = table[i].collect(names, want)
		}
		w.Array(len(names))
		for _, name := range names {
			w.BulkString(name)
		}
	}}, nil
}

// collect appends the names of the command and its subcommands that are wanted.
func (c *Command) collect(names []string, want func(*Command) bool) []string {
	if want(c) {
		names = append(names, c.Name)
	}
	for i := range c.Sub {
		names = c.Sub[i].collect(names, want)
	}
	return names
}
