package commands

import "slices"

// flagNames are the words of COMMAND, in the order of the bits.
var flagNames = []struct {
	flag Flags
	name string
}{
	{Writes, "write"},
	{ReadOnly, "readonly"},
	{DenyOOM, "denyoom"},
	{Admin, "admin"},
	{PubSub, "pubsub"},
	{NoScript, "noscript"},
	{Blocking, "blocking"},
	{Loading, "loading"},
	{Stale, "stale"},
	{SkipSlowlog, "skip_slowlog"},
	{Fast, "fast"},
	{NoAuth, "no_auth"},
	{NoMulti, "no_multi"},
	{MovableKeys, "movablekeys"},
	{AllowBusy, "allow_busy"},
}

func (f Flags) names() []string {
	var names []string
	for _, n := range flagNames {
		if f.Has(n.flag) {
			names = append(names, n.name)
		}
	}
	return names
}

// categoryOrder is the order in which COMMAND prints ACL categories. "tree" is ours.
var categoryOrder = []string{
	"keyspace", "read", "write", "string", "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection",
	"transaction", "tree",
}

// ACL returns the command's ACL categories, without "@": those it declares, and those that follow from its flags.
func (c *Command) ACL() []string {
	speed := "slow"
	if c.Flags.Has(Fast) {
		speed = "fast"
	}
	in := append([]string{speed}, c.Categories...)
	if c.Flags.Has(Writes) {
		in = append(in, "write")
	}
	if c.Flags.Has(ReadOnly) {
		in = append(in, "read")
	}
	if c.Flags.Has(Blocking) {
		in = append(in, "blocking")
	}
	if c.Flags.Has(Admin) {
		in = append(in, "admin", "dangerous")
	}
	var ordered []string
	for _, name := range categoryOrder {
		if slices.Contains(in, name) {
			ordered = append(ordered, name)
		}
	}
	return ordered
}

func (c *Command) in(category []byte) bool {
	return slices.ContainsFunc(c.ACL(), func(name string) bool { return equalFold(category, name) })
}
