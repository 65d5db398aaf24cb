package commands

import (
	"strconv"
	"strings"

	"github.com/dtkv/dtkv/resp"
)

var infoCommand = Command{
	Name: "info", Arity: -1, Flags: Loading | Stale,
	Group: "server", Since: "1.0.0", Complexity: "O(1)",
	Summary:    "Describes the server, by default or the named sections",
	Syntax:     "[section [section ...]]",
	Categories: []string{"dangerous"},
	Differs:    "Has a section Raft, and dtkv_version in the section Server.",
	Plan:       planInfo,
}

func planInfo(a *resp.Args, _ Settings) (Plan, error) {
	sections := infoSections(a.Rest())
	return local(func(w *resp.Writer, s Session) {
		var text strings.Builder
		for i, section := range s.Info(sections) {
			if i > 0 {
				text.WriteString("\r\n")
			}
			text.WriteString("# " + section.Name + "\r\n")
			for _, f := range section.Fields {
				text.WriteString(f.Name + ":" + f.Value + "\r\n")
			}
		}
		w.Verbatim("txt", text.String())
	})
}

// infoSections reads section names as [Node.Info] takes them.
func infoSections(names [][]byte) []string {
	var sections []string
	defaults := false
	for _, b := range names {
		switch name := strings.ToLower(string(b)); name {
		case "all", "everything":
			return []string{"all"}
		case "default":
			defaults = true
		default:
			sections = append(sections, name)
		}
	}
	if defaults {
		return nil
	}
	return sections
}

var roleCommand = Command{
	Name: "role", Arity: 1, Flags: NoScript | Loading | Stale | Fast,
	Group: "server", Since: "2.8.12", Complexity: "O(1)",
	Summary:    "Answers whether this node leads the group of the database, and who follows or leads it",
	Categories: []string{"admin", "dangerous"},
	Plan:       planRole,
}

func planRole(*resp.Args, Settings) (Plan, error) { return local(printRole) }

func printRole(w *resp.Writer, s Session) {
	r := s.Role()
	if !r.Leader {
		w.Array(5)
		w.BulkString("slave")
		w.BulkString(r.Host)
		w.Int(int64(r.Port))
		w.BulkString(r.Link)
		w.Int(r.Offset)
		return
	}
	w.Array(3)
	w.BulkString("master")
	w.Int(r.Offset)
	w.Array(len(r.Replicas))
	for _, f := range r.Replicas {
		w.Array(3)
		w.BulkString(f.Host)
		w.BulkString(strconv.Itoa(f.Port))
		w.BulkString(strconv.FormatInt(f.Offset, 10))
	}
}

var timeCommand = Command{
	Name: "time", Arity: 1, Flags: Loading | Stale | Fast,
	Group: "server", Since: "2.6.0", Complexity: "O(1)",
	Summary: "Answers this node's wall clock in seconds, and microseconds within the second",
	Plan:    planTime,
}

func planTime(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, s Session) {
		now := s.UnixMicro()
		w.Array(2)
		w.BulkString(strconv.FormatInt(now/1e6, 10))
		w.BulkString(strconv.FormatInt(now%1e6, 10))
	})
}

var lastsaveCommand = Command{
	Name: "lastsave", Arity: 1, Flags: Loading | Stale | Fast,
	Group: "server", Since: "1.0.0", Complexity: "O(1)",
	Summary:    "Answers when this node finished its last snapshot, in seconds since 1970",
	Categories: []string{"admin", "dangerous"},
	Plan:       planLastSave,
}

func planLastSave(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, s Session) { w.Int(s.LastSave()) })
}

var moduleCommand = Command{
	Name: "module", Arity: -2,
	Group: "server", Since: "4.0.0", Complexity: "O(1)",
	Summary: "A container of commands about modules, of which there are none",
	Sub: []Command{
		helpOf("module", "server", "5.0.0"),
		{
			Name: "module|list", Arity: 2, Flags: Admin | NoScript,
			Group: "server", Since: "4.0.0", Complexity: "O(1)",
			Summary: "Answers an empty array",
			Plan:    planModuleList,
		},
	},
}

func planModuleList(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, _ Session) { w.Array(0) })
}
