package commands

import (
	"strings"

	"github.com/dtkv/dtkv/resp"
)

func planCommandDocs(a *resp.Args, _ Settings) (Plan, error) {
	names := a.Rest()
	return Plan{describe: func(w *resp.Writer, table []Command, _ *Command) {
		var found []*Command
		for i := range table {
			if len(names) == 0 {
				found = append(found, &table[i])
			}
		}
		for _, name := range names {
			if c, ok := find(table, name); ok {
				found = append(found, c)
			}
		}
		w.Map(len(found))
		for _, c := range found {
			w.BulkString(c.Name)
			c.printDocs(w)
		}
	}}, nil
}

// printDocs prints the map of COMMAND DOCS about one command.
func (c *Command) printDocs(w *resp.Writer) {
	args, _ := parseSyntax(c.Syntax) // a test parses every syntax of the table
	fields := 4
	if len(args) > 0 {
		fields++
	}
	if len(c.Sub) > 0 {
		fields++
	}
	w.Map(fields)
	field(w, "summary", c.Summary)
	field(w, "since", c.Since)
	field(w, "group", c.Group)
	field(w, "complexity", c.Complexity)
	if len(args) > 0 {
		w.BulkString("arguments")
		keys := 0
		printArguments(w, args, strings.Count(c.Access, "/"), &keys)
	}
	if len(c.Sub) > 0 {
		w.BulkString("subcommands")
		w.Map(len(c.Sub))
		for i := range c.Sub {
			w.BulkString(c.Sub[i].Name)
			c.Sub[i].printDocs(w)
		}
	}
}

// printArguments prints the maps of a command's arguments. keys counts those that are keys, lastSpec is the number of the
// last key specification that COMMAND INFO prints.
func printArguments(w *resp.Writer, args []argument, lastSpec int, keys *int) {
	w.Array(len(args))
	for _, a := range args {
		a.print(w, lastSpec, keys)
	}
}

func (a argument) print(w *resp.Writer, lastSpec int, keys *int) {
	var flags []string
	if a.optional {
		flags = append(flags, "optional")
	}
	if a.multiple {
		flags = append(flags, "multiple")
	}
	leaf, key := len(a.inner) == 0, a.kind == "key"
	w.Map(2 + count(leaf, key, a.token != "", len(flags) > 0, !leaf))
	field(w, "name", a.name)
	field(w, "type", a.kind)
	if leaf {
		field(w, "display_text", a.name)
	}
	if key {
		number(w, "key_spec_index", min(*keys, lastSpec))
		*keys++
	}
	if a.token != "" {
		field(w, "token", a.token)
	}
	if len(flags) > 0 {
		w.BulkString("flags")
		w.Set(len(flags))
		for _, f := range flags {
			w.Simple(f)
		}
	}
	if !leaf {
		w.BulkString("arguments")
		printArguments(w, a.inner, lastSpec, keys)
	}
}

// count returns how many conditions hold.
func count(conditions ...bool) (n int) {
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}
