package commands

import (
	"strings"

	"github.com/dtkv/dtkv/resp"
)

// The flags that the harmless and the powerful subcommands of CLIENT share.
const (
	clientFlags = NoScript | Loading | Stale
	clientAdmin = clientFlags | Admin
)

var clientCommand = Command{
	Name: "client", Arity: -2,
	Group: "connection", Since: "2.4.0", Complexity: "Depends on the subcommand",
	Summary: "A container of commands about connections",
	Sub: []Command{
		clientSub("caching", 3, clientFlags, "6.0.0", "<YES | NO>", "Refused: there is no client-side caching yet", planClientCaching),
		clientSub("capa", -3, clientFlags, "8.0.0", "capability [capability ...]", "Tells what the client can do; answers OK", planClientCapa),
		clientSub("getname", 2, clientFlags, "2.6.9", "", "Answers the name of the connection, or null", planClientGetName),
		clientSub("getredir", 2, clientFlags, "6.0.0", "", "Answers -1: there is no client-side caching yet", planClientGetRedir),
		helpOf("client", "connection", "5.0.0", "connection"),
		clientSub("id", 2, clientFlags, "5.0.0", "", "Answers the number of the connection", planClientID),
		clientSub("info", 2, clientFlags, "6.2.0", "", "Describes the connection", planClientInfo),
		clientSub("kill", -3, clientAdmin, "2.4.0", clientKillSyntax, "Closes connections", planClientKill),
		clientSub("list", -2, clientAdmin, "2.4.0", clientListSyntax, "Describes connections, one a line", planClientList),
		clientSub("no-evict", 3, clientAdmin, "7.0.0", "<ON | OFF>", "Keeps the connection when clients take too much memory", planClientNoEvict),
		clientSub("no-touch", 3, clientFlags, "7.2.0", "<ON | OFF>", "Answers OK: reads leave no trace anyway", planClientNoTouch),
		clientSub("reply", 3, clientFlags, "3.2.0", "<ON | OFF | SKIP>", "Chooses which replies the connection gets", planClientReply),
		clientSub("setinfo", 4, clientFlags, "7.2.0", "<LIB-NAME libname | LIB-VER libver>", "Tells the client library and its version", planClientSetInfo),
		clientSub("setname", 3, clientFlags, "2.6.9", "connection-name", "Names the connection", planClientSetName),
		clientSub("tracking", -3, clientFlags, "6.0.0", "<ON | OFF> [option [option ...]]", "Refused when ON: there is no client-side caching yet", planClientTracking),
		clientSub("trackinginfo", 2, clientFlags, "6.2.0", "", "Answers that client-side caching is off", planClientTrackingInfo),
	},
}

func clientSub(name string, arity int, flags Flags, since, syntax, summary string, plan func(*resp.Args, Settings) (Plan, error)) Command {
	return Command{
		Name: "client|" + name, Arity: arity, Flags: flags,
		Group: "connection", Since: since, Complexity: "O(1)",
		Summary: summary, Syntax: syntax,
		Categories: []string{"connection"},
		Plan:       plan,
	}
}

func planClientID(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, s Session) { w.Int(s.ID()) })
}

func planClientGetName(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, s Session) {
		name := s.Name()
		if name == "" {
			w.Null()
			return
		}
		w.BulkString(name)
	})
}

func planClientSetName(a *resp.Args, _ Settings) (Plan, error) {
	name := a.Bytes()
	if !plainText(name) {
		return Plan{}, errClientName
	}
	return local(func(w *resp.Writer, s Session) {
		s.SetName(string(name))
		w.OK()
	})
}

func planClientSetInfo(a *resp.Args, _ Settings) (Plan, error) {
	sent, value := a.Bytes(), a.Bytes()
	attribute := strings.ToLower(string(sent))
	if attribute != "lib-name" && attribute != "lib-ver" {
		return Plan{}, resp.Errorf("ERR", "Unrecognized option '%s'", sent)
	}
	if !plainText(value) {
		return Plan{}, resp.Errorf("ERR", "%s cannot contain spaces, newlines or special characters.", attribute)
	}
	return local(func(w *resp.Writer, s Session) {
		s.SetLibrary(attribute, string(value))
		w.OK()
	})
}

func planClientReply(a *resp.Args, _ Settings) (Plan, error) {
	switch a.Keyword() {
	case "ON":
		return local(func(w *resp.Writer, s Session) {
			s.SetReply(ReplyOn)
			w.OK()
		})
	case "OFF":
		return local(func(_ *resp.Writer, s Session) { s.SetReply(ReplyOff) })
	case "SKIP":
		return local(func(_ *resp.Writer, s Session) { s.SetReply(ReplySkip) })
	}
	return Plan{}, resp.ErrSyntax
}

// onOff reads the switch that several commands take.
func onOff(a *resp.Args) (on bool) {
	switch a.Keyword() {
	case "ON":
		return true
	case "OFF":
	default:
		a.Fail(resp.ErrSyntax)
	}
	return false
}

func planClientNoEvict(a *resp.Args, _ Settings) (Plan, error) {
	on := onOff(a)
	return local(func(w *resp.Writer, s Session) {
		s.SetNoEvict(on)
		w.OK()
	})
}

func planClientNoTouch(a *resp.Args, _ Settings) (Plan, error) {
	on := onOff(a)
	return local(func(w *resp.Writer, s Session) {
		s.SetNoTouch(on)
		w.OK()
	})
}

func planClientCapa(a *resp.Args, s Settings) (Plan, error) {
	a.Rest() // whatever the client can do, this server does not ask it to
	return localOK(a, s)
}

// planClientTracking refuses what cannot be kept yet. An OK would make clients serve stale values from their caches.
func planClientTracking(a *resp.Args, s Settings) (Plan, error) {
	on := onOff(a)
	if a.Rest(); on {
		return Plan{}, notYet("CLIENT TRACKING", "watch channels tell of changes")
	}
	return localOK(a, s)
}

var errCaching = resp.Errorf("ERR", "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "+
	"OPTOUT mode enabled")

func planClientCaching(*resp.Args, Settings) (Plan, error) { return Plan{}, errCaching }

func planClientGetRedir(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, _ Session) { w.Int(-1) })
}

func planClientTrackingInfo(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, _ Session) {
		w.Map(3)
		w.BulkString("flags")
		w.Set(1)
		w.BulkString("off")
		w.BulkString("redirect")
		w.Int(-1)
		w.BulkString("prefixes")
		w.Array(0)
	})
}
