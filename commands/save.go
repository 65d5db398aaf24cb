package commands

import "github.com/dtkv/dtkv/resp"

var bgsaveCommand = Command{
	Name: "bgsave", Arity: -1, Flags: Admin | NoScript,
	Group: "server", Since: "1.0.0", Complexity: "O(1)",
	Summary: "Has this node write a snapshot of the connection's database to its disk, and drop the log that this makes unnecessary",
	Syntax:  "[SCHEDULE]",
	Differs: "Nothing is safer for it: every acknowledged write is on disk. Snapshots are taken by themselves, too. SCHEDULE changes nothing.",
	Plan:    planBGSave,
}

// errSaving is Redis's text.
var errSaving = &resp.Error{Prefix: "ERR", Text: "Background save already in progress"}

func planBGSave(a *resp.Args, _ Settings) (Plan, error) {
	if words := a.Rest(); len(words) > 1 || len(words) == 1 && !equalFold(words[0], "schedule") {
		return Plan{}, resp.ErrSyntax
	}
	return local(func(w *resp.Writer, s Session) {
		begun, err := s.Save()
		switch {
		case err != nil:
			w.Error(err)
		case !begun:
			w.Error(errSaving)
		default:
			w.Simple("Background saving started")
		}
	})
}

var shutdownCommand = Command{
	Name: "shutdown", Arity: -1, Flags: Admin | NoScript | Loading | Stale | NoMulti | AllowBusy,
	Group: "server", Since: "1.0.0", Complexity: "O(1)",
	Summary: "Stops this node: it hands its leadership over, answers what it has been sent, and ends; there is no reply but the end of the connection",
	Syntax:  "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
	Differs: "The node stops as it does on SIGTERM. NOSAVE, SAVE, NOW and FORCE change nothing, since every acknowledged write is on disk, " +
		"and a stop cannot be aborted. A connection whose database lives on other nodes is refused: it would stop one of those.",
	Plan: planShutdown,
}

// errNoShutdown is Redis's text.
var errNoShutdown = &resp.Error{Prefix: "ERR", Text: "No shutdown in progress."}

func planShutdown(a *resp.Args, _ Settings) (Plan, error) {
	var save, nosave, abort, other bool
	for _, word := range a.Rest() {
		switch {
		case equalFold(word, "save"):
			save = true
		case equalFold(word, "nosave"):
			nosave = true
		case equalFold(word, "abort"):
			abort = true
		case equalFold(word, "now"), equalFold(word, "force"):
			other = true
		default:
			return Plan{}, resp.ErrSyntax
		}
	}
	switch {
	case save && nosave, abort && (save || nosave || other):
		return Plan{}, resp.ErrSyntax
	case abort:
		return Plan{}, errNoShutdown
	}
	return local(func(w *resp.Writer, s Session) {
		if err := s.Shutdown(); err != nil {
			w.Error(err)
		}
	})
}
