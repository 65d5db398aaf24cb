package commands

import (
	"slices"

	"github.com/dtkv/dtkv/resp"
)

// theUser is the one there is. It may do everything.
const theUser = "default"

var aclCommand = Command{
	Name: "acl", Arity: -2,
	Group: "server", Since: "6.0.0", Complexity: "Depends on the subcommand",
	Summary: "A container of commands about users and rights",
	Differs: "There is one user, default, who may do everything. Nothing changes that: passwords come from the node's configuration, and no " +
		"reply shows them, not even as a hash.",
	Sub: []Command{
		aclSub("cat", -2, 0, "6.0.0", "[category]", "Answers the categories of commands, or the commands of one", planACLCat),
		aclSub("getuser", 3, Admin, "6.0.0", "username", "Answers what a user may do, or null", planACLGetUser),
		helpOf("acl", "server", "6.0.0"),
		aclSub("list", 2, Admin, "6.0.0", "", "Answers the users and what they may do, as lines", planACLList),
		aclSub("users", 2, Admin, "6.0.0", "", "Answers the names of the users", planACLUsers),
		aclSub("whoami", 2, 0, "6.0.0", "", "Answers the user of the connection", planACLWhoAmI),
	},
}

func aclSub(name string, arity int, flags Flags, since, syntax, summary string, plan func(*resp.Args, Settings) (Plan, error)) Command {
	return Command{
		Name: "acl|" + name, Arity: arity, Flags: flags | NoScript | Loading | Stale,
		Group: "server", Since: since, Complexity: "O(N) in the number of commands",
		Summary: summary, Syntax: syntax, Plan: plan,
	}
}

func planACLWhoAmI(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, _ Session) { w.BulkString(theUser) })
}

func planACLUsers(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, _ Session) {
		w.Array(1)
		w.BulkString(theUser)
	})
}

// flagsOfUser are Redis's words for a user who is on, and needs no password if the node has none.
func flagsOfUser(s Session) []string {
	if s.PasswordRequired() {
		return []string{"on"}
	}
	return []string{"on", "nopass"}
}

func planACLList(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, s Session) {
		line := "user " + theUser
		for _, flag := range flagsOfUser(s) {
			line += " " + flag
		}
		w.Array(1)
		w.BulkString(line + " ~* &* +@all")
	})
}

func planACLGetUser(a *resp.Args, _ Settings) (Plan, error) {
	name := a.Text()
	return local(func(w *resp.Writer, s Session) {
		if name != theUser {
			w.Null()
			return
		}
		flags := flagsOfUser(s)
		w.Map(6)
		w.BulkString("flags")
		w.Set(len(flags))
		for _, flag := range flags {
			w.BulkString(flag)
		}
		w.BulkString("passwords")
		w.Array(0)
		field(w, "commands", "+@all")
		field(w, "keys", "~*")
		field(w, "channels", "&*")
		w.BulkString("selectors")
		w.Array(0)
	})
}

func planACLCat(a *resp.Args, _ Settings) (Plan, error) {
	words := a.Rest()
	switch len(words) {
	case 0:
		return local(func(w *resp.Writer, _ Session) {
			w.Array(len(categoryOrder))
			for _, c := range categoryOrder {
				w.BulkString(c)
			}
		})
	case 1:
		if !slices.ContainsFunc(categoryOrder, func(c string) bool { return equalFold(words[0], c) }) {
			return Plan{}, resp.Errorf("ERR", "Unknown category '%s'", words[0])
		}
		return planNames(func(c *Command) bool { return c.in(words[0]) })
	}
	return Plan{}, resp.Errorf("ERR", "unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP.")
}
