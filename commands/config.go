package commands

import (
	"slices"

	"github.com/dtkv/dtkv/resp"
)

const configFlags = Admin | NoScript | Loading | Stale

var configCommand = Command{
	Name: "config", Arity: -2,
	Group: "server", Since: "2.0.0", Complexity: "Depends on the subcommand",
	Summary: "A container of commands about the configuration",
	Sub: []Command{
		{
			Name: "config|get", Arity: -3, Flags: configFlags,
			Group: "server", Since: "2.0.0", Complexity: "O(P) in the number of parameters",
			Summary: "Answers the parameters whose names match any of the patterns, and their values",
			Syntax:  "parameter [parameter ...]",
			Plan:    planConfigGet,
		},
		helpOf("config", "server", "5.0.0"),
		{
			Name: "config|resetstat", Arity: 2, Flags: configFlags,
			Group: "server", Since: "2.0.0", Complexity: "O(1)",
			Summary: "Sets the counters of INFO to zero",
			Plan:    planConfigResetStat,
		},
		{
			Name: "config|set", Arity: -4, Flags: configFlags,
			Group: "server", Since: "2.0.0", Complexity: "O(P) in the number of parameters",
			Summary: "Changes parameters of this node, all or none",
			Syntax:  "parameter value [parameter value ...]",
			Secrets: []string{"requirepass"},
			Plan:    planConfigSet,
		},
	},
}

func planConfigGet(a *resp.Args, _ Settings) (Plan, error) {
	var patterns []*glob
	for a.More() {
		g, err := compileGlob(a.Bytes(), true)
		if err != nil {
			return Plan{}, err
		}
		patterns = append(patterns, g)
	}
	return local(func(w *resp.Writer, s Session) {
		var found []Parameter
		for _, p := range s.Parameters() {
			for _, g := range patterns {
				if g.matches(p.Name) {
					found = append(found, p)
					break
				}
			}
		}
		w.Map(len(found))
		for _, p := range found {
			field(w, p.Name, p.Value)
		}
	})
}

func planConfigSet(a *resp.Args, _ Settings) (Plan, error) {
	if a.Len()%2 != 0 {
		return Plan{}, resp.ErrSyntax
	}
	var params []Parameter
	for a.More() {
		params = append(params, Parameter{Name: a.Text(), Value: a.Text()})
	}
	return local(func(w *resp.Writer, s Session) {
		err := matchParameters(params, s.Parameters())
		if err == nil {
			err = s.SetParameters(params)
		}
		if err != nil {
			w.Error(err)
			return
		}
		w.OK()
	})
}

// matchParameters gives parameters the names they are known by, and refuses what is unknown, fixed or given twice.
func matchParameters(params, known []Parameter) error {
	seen := make(map[string]bool, len(params))
	for i := range params {
		p := &params[i]
		at := slices.IndexFunc(known, func(k Parameter) bool { return equalFold([]byte(p.Name), k.Name) })
		if at < 0 {
			return resp.Errorf("ERR", "Unknown option or number of arguments for CONFIG SET - '%s'", p.Name)
		}
		if known[at].Fixed {
			return &ParameterError{p.Name, "can't set immutable config"}
		}
		p.Name = known[at].Name
		if seen[p.Name] {
			return &ParameterError{p.Name, "duplicate parameter"}
		}
		seen[p.Name] = true
	}
	return nil
}

func planConfigResetStat(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, s Session) {
		s.ResetStats()
		w.OK()
	})
}
