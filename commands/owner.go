package commands

import (
	"crypto/sha256"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var ownerCommand = Command{
	Name: "dtkv.owner", Arity: -1, Flags: Loading | Stale | Fast | NoMulti,
	Group: "dtkv", Since: "0.1.0", Complexity: "O(1)",
	Summary: "Declares who the connection is: the owner of the temporary nodes and locks it makes from then on. Without an id it " +
		"answers a digest of the owner, as DTKV.STAT and DTKV.LOCKINFO show it",
	Syntax:     "[owner]",
	Secrets:    []string{""},
	Categories: []string{"connection", "tree"},
	Differs: "An id is a secret: whoever knows it is the owner. Until one is declared, and again after RESET, a connection is an " +
		"owner of its own, whom nobody else can be.",
	Plan: planOwner,
}

func planOwner(a *resp.Args, _ Settings) (Plan, error) {
	if !a.More() {
		return local(func(w *resp.Writer, s Session) { w.BulkString(s.Owner().Digest()) })
	}
	owner := ownerID(a)
	return local(func(w *resp.Writer, s Session) {
		s.SetOwner(owner)
		w.OK()
	})
}

// OwnerOf is the owner whom an id names. Neither the log nor a snapshot holds the id itself, so that nobody who reads
// them can pass for its owner.
func OwnerOf(id []byte) fsm.Owner {
	h := sha256.New()
	h.Write([]byte("dtkv owner\x00"))
	h.Write(id)
	var o fsm.Owner
	copy(o[:], h.Sum(nil))
	return o
}

var errNoOwner = resp.Errorf("ERR", "an owner id has at least one byte")

// ownerID reads the id of an owner.
func ownerID(a *resp.Args) fsm.Owner {
	id := a.Bytes()
	if len(id) == 0 {
		a.Fail(errNoOwner)
	}
	return OwnerOf(id)
}

// ownerOption reads what is left, which may be OWNER id: who a command speaks for, else the owner of the connection.
func ownerOption(a *resp.Args, s Settings) fsm.Owner {
	owner := s.Owner
	for a.More() {
		if a.Keyword() != "OWNER" {
			a.Fail(resp.ErrSyntax)
			break
		}
		owner = ownerID(a)
	}
	return owner
}
