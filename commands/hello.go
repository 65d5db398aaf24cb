package commands

import (
	"bytes"

	"github.com/dtkv/dtkv/resp"
)

// RedisVersion is the version of Redis whose commands and replies this package follows, and which HELLO and INFO report.
// Clients decide by it what they may send: from 8.4 on, compare-and-set without scripts.
const RedisVersion = "8.4.0"

const defaultUser = "default"

var (
	errProtoVersion = resp.Errorf("ERR", "Protocol version is not an integer or out of range")
	errHelloNoAuth  = resp.Errorf("NOAUTH", "HELLO must be called with the client already authenticated, otherwise the "+
		"HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol "+
		"version at the same time")
	errNoPassword = resp.Errorf("ERR", "AUTH <password> called without any password configured for the default user. "+
		"Are you sure your configuration is correct?")
	errClientName = resp.Errorf("ERR", "Client names cannot contain spaces, newlines or special characters.")
)

var helloCommand = Command{
	Name: "hello", Arity: -1, Flags: NoScript | Loading | Stale | Fast | NoAuth | AllowBusy,
	Group: "connection", Since: "6.0.0", Complexity: "O(1)",
	Summary:    "Chooses the RESP version, and may log in and name the connection at the same time",
	Syntax:     "[protover [AUTH username password] [SETNAME clientname]]",
	Secrets:    []string{"auth"},
	Categories: []string{"connection"},
	Plan:       planHello,
}

// hello is what HELLO asks for; fields are empty or 0 when not asked for.
type hello struct {
	proto          int
	login          bool
	user, password string
	rename         bool
	name           string
}

func planHello(a *resp.Args, _ Settings) (Plan, error) {
	var h hello
	if a.More() {
		proto, ok := resp.ParseInt(a.Bytes())
		if !ok {
			return Plan{}, errProtoVersion
		}
		if proto != 2 && proto != 3 {
			return Plan{}, resp.ErrProtocolVersion
		}
		h.proto = int(proto)
	}
	for a.More() {
		option := a.Bytes()
		switch {
		case equalFold(option, "auth") && a.Len() >= 2:
			h.login, h.user, h.password = true, a.Text(), a.Text()
		case equalFold(option, "setname") && a.Len() >= 1:
			name := a.Bytes()
			if !plainText(name) {
				return Plan{}, errClientName
			}
			h.rename, h.name = true, string(name)
		default:
			return Plan{}, resp.Errorf("ERR", "Syntax error in HELLO option '%s'", option)
		}
	}
	return local(h.run)
}

func (h *hello) run(w *resp.Writer, s Session) {
	if h.login && !s.Authenticate(h.user, h.password) {
		w.Error(resp.ErrWrongPass)
		return
	}
	if !s.Authenticated() {
		w.Error(errHelloNoAuth)
		return
	}
	if h.rename {
		s.SetName(h.name)
	}
	if h.proto != 0 {
		w.Proto = h.proto
	}
	role := "replica"
	if s.Role().Leader {
		role = "master"
	}
	w.Map(7)
	field(w, "server", "redis") // clients that know no other word refuse to go on
	field(w, "version", RedisVersion)
	w.BulkString("proto")
	w.Int(int64(max(w.Proto, 2)))
	w.BulkString("id")
	w.Int(s.ID())
	field(w, "mode", "standalone")
	field(w, "role", role)
	w.BulkString("modules")
	w.Array(0)
}

// field prints one pair of a map.
func field(w *resp.Writer, name, value string) {
	w.BulkString(name)
	w.BulkString(value)
}

// plainText reports whether a name can be shown on one line of CLIENT LIST: no spaces, nothing unprintable.
func plainText(b []byte) bool {
	return bytes.IndexFunc(b, func(r rune) bool { return r < '!' || r > '~' }) < 0
}

var authCommand = Command{
	Name: "auth", Arity: -2, Flags: NoScript | Loading | Stale | Fast | NoAuth | AllowBusy,
	Group: "connection", Since: "1.0.0", Complexity: "O(1)",
	Summary:    "Logs the connection in",
	Syntax:     "[username] password",
	Secrets:    []string{""},
	Categories: []string{"connection"},
	Plan:       planAuth,
}

func planAuth(a *resp.Args, _ Settings) (Plan, error) {
	user, named := defaultUser, a.Len() == 2
	if named {
		user = a.Text()
	}
	password := a.Text()
	return local(func(w *resp.Writer, s Session) {
		switch {
		case !named && !s.PasswordRequired():
			w.Error(errNoPassword)
		case !s.Authenticate(user, password):
			w.Error(resp.ErrWrongPass)
		default:
			w.OK()
		}
	})
}
