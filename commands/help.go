package commands

import (
	"strings"

	"github.com/dtkv/dtkv/resp"
)

// helpOf is the HELP of a container, printed from its entries.
func helpOf(container, group, since string, categories ...string) Command {
	return Command{
		Name: container + "|help", Arity: 2, Flags: Loading | Stale,
		Group: group, Since: since, Complexity: "O(1)",
		Summary:    "Lists the subcommands",
		Categories: categories,
		Plan:       planHelp,
	}
}

func planHelp(*resp.Args, Settings) (Plan, error) { return Plan{describe: printHelp}, nil }

// printHelp prints lines for people, as Redis does: an array of statuses.
func printHelp(w *resp.Writer, _ []Command, container *Command) {
	w.Array(1 + 2*len(container.Sub))
	w.Simple(strings.ToUpper(container.Name) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, sub := range container.Sub {
		name := strings.ToUpper(sub.Name[len(container.Name)+1:])
		w.Simple(strings.TrimSuffix(name+" "+sub.Syntax, " "))
		w.Simple("    " + sub.Summary + ".")
	}
}
