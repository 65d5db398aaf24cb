package commands

import (
	"fmt"
	"io"
	"strings"
)

// groups are the chapters of docs/commands.md, and what they are called there.
var groups = []struct{ name, title string }{
	{"string", "Values"},
	{"generic", "Keys"},
	{"dtkv", "The tree"},
	{"transactions", "Transactions"},
	{"pubsub", "Channels"},
	{"stream", "Streams of events"},
	{"connection", "Connection"},
	{"cluster", "The cluster"},
	{"server", "Server"},
}

const docsIntro = `# Commands

This page is printed from the table in commands/table.go. To change it, change the command and run
` + "`go test ./commands -run WriteDocs -update`" + `.

Commands that Redis has keep its syntax, replies and error texts; where one differs, its entry says so. For all of them:

- A key is a path: ` + "`a.b.c`" + ` is the child ` + "`c`" + ` of the directory ` + "`a.b`" + `. It has 1 to 8192 bytes of any kind, at most 128
  segments, and no leading, trailing or doubled dot, else ` + "`BADKEY`" + `: in reads as in writes, because a null would hide the mistake.
- A node is a value, a directory or a lock. Commands on values refuse the others with ` + "`WRONGTYPE`" + `; MGET answers null for them.
- A key can only be created in a directory that exists, else ` + "`NOPARENT`" + `, and not below a value, else ` + "`NOTDIR`" + `.
- A node lives for ever, or expires (` + "`SET .. PX`" + `, ` + "`EXPIRE`" + `, for values, as in Redis), or is temporary: it has a time to live and an
  owner (` + "`DTKV.PUTTEMP`" + `, ` + "`DTKV.MKDIR .. PX`" + `), and nobody else removes it or prolongs its life. Plain writes to it are
  refused with ` + "`TEMPNODE`" + `, its owner's too.
- Who the owner is, the argument ` + "`OWNER`" + ` of a command says, else the connection's ` + "`DTKV.OWNER`" + `, else it is the connection itself.
- A value has at most max-value-size bytes, in every command.
- A transaction, MSET, DEL or batch is one log entry: no client sees half of it.

| error | meaning; the command changed nothing |
| --- | --- |
| ` + "`ERR`" + ` | the command is unknown, or its arguments are wrong |
| ` + "`WRONGTYPE`" + ` | the key holds another kind of node |
| ` + "`NOPARENT`" + ` | the parent directory, which the error names, does not exist |
| ` + "`NOTDIR`" + ` | a node on the way, which the error names, is not a directory |
| ` + "`NOTEMPTY`" + ` | the directory, which the error names, has children |
| ` + "`TEMPNODE`" + ` | the node, which the error names, is temporary, and this command is for others |
| ` + "`NOTTEMP`" + ` | the node, which the error names, is not temporary, and this command is for those that are |
| ` + "`NOTOWNER`" + ` | the node, which the error names, belongs to another owner; or the lock is no longer held |
| ` + "`UNDERTEMP`" + ` | a directory above, which the error names, is temporary: neither temporary nodes nor locks can be below it |
| ` + "`BADKEY`" + ` | no node can have such a key |
| ` + "`EXECABORT`" + ` | a queued command had been refused |
| ` + "`NOAUTH`" + `, ` + "`WRONGPASS`" + `, ` + "`NOPROTO`" + ` | the connection must log in; could not; asked for an unknown RESP version |

Errors about the cluster, and what a client may conclude from them, are in guarantees.md.
`

// WriteDocs prints docs/commands.md.
func WriteDocs(w io.Writer) error {
	var text strings.Builder
	text.WriteString(docsIntro)
	for _, g := range groups {
		fmt.Fprintf(&text, "\n## %s\n", g.title)
		for i := range Table {
			if Table[i].Group == g.name {
				Table[i].markdown(&text, "###")
			}
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// markdown prints one command under a heading, and its subcommands under smaller ones.
func (c *Command) markdown(text *strings.Builder, heading string) {
	name := strings.ToUpper(strings.ReplaceAll(c.Name, "|", " "))
	fmt.Fprintf(text, "\n%s %s\n\n", heading, name)
	if len(c.Sub) == 0 || c.Plan != nil {
		fmt.Fprintf(text, "    %s\n\n", strings.TrimSpace(name+" "+c.Syntax))
	}
	fmt.Fprintf(text, "%s.\n", c.Summary)
	origin, differs := "Redis", "Differs from Redis: "
	if strings.HasPrefix(c.Name, "dtkv.") {
		origin, differs = "dtkv", ""
	}
	if c.Differs != "" {
		fmt.Fprintf(text, "\n%s%s\n", differs, c.Differs)
	}
	fmt.Fprintf(text, "\n%s. Since %s %s. ACL: @%s.\n", c.Complexity, origin, c.Since, strings.Join(c.ACL(), " @"))
	for i := range c.Sub {
		c.Sub[i].markdown(text, heading+"#")
	}
}
