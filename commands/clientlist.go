package commands

import (
	"fmt"
	"strings"

	"github.com/dtkv/dtkv/resp"
)

const (
	clientListSyntax = "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]"
	clientKillSyntax = "<ip:port | [ID client-id] [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [USER username] [ADDR ip:port] " +
		"[LADDR ip:port] [MAXAGE maxage] [SKIPME <YES | NO>]>"
)

// String is the line that CLIENT LIST prints about a connection, without its line end. Fields that this server does not
// count are 0.
func (c Client) String() string {
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d "+
		"watch=%d qbuf=%d qbuf-free=%d argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=%d oll=0 omem=%d tot-mem=%d events=r cmd=%s "+
		"user=%s redir=-1 resp=%d lib-name=%s lib-ver=%s tot-net-in=%d tot-net-out=%d tot-cmds=%d",
		c.ID, c.Addr, c.LocalAddr, c.FD, c.Name, c.Age, c.Idle, c.Flags, c.DB, c.Sub, c.PSub, c.SSub, c.Multi,
		c.Watch, c.QueryBuf, c.QueryFree, c.OutputMem, c.OutputMem, c.TotalMem, c.Command,
		c.User, c.Proto, c.LibName, c.LibVer, c.NetIn, c.NetOut, c.CommandsExecuted)
}

// kind is what CLIENT LIST TYPE asks for. Replicas do not connect here as clients.
func (c Client) kind() string {
	if c.Sub+c.PSub+c.SSub > 0 {
		return "pubsub"
	}
	return "normal"
}

// clientKind reads a TYPE argument; "slave" is the old word for replica.
func clientKind(a *resp.Args) string {
	sent := a.Bytes()
	switch kind := strings.ToLower(string(sent)); kind {
	case "normal", "master", "replica", "slave", "pubsub":
		return kind
	}
	a.Fail(resp.Errorf("ERR", "Unknown client type '%s'", sent))
	return ""
}

func planClientInfo(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, s Session) { w.Verbatim("txt", s.Self().String()+"\n") })
}

var errClientID = resp.Errorf("ERR", "Invalid client ID")

func planClientList(a *resp.Args, _ Settings) (Plan, error) {
	want := func(Client) bool { return true }
	if a.More() {
		switch a.Keyword() {
		case "TYPE":
			kind := clientKind(a)
			want = func(c Client) bool { return c.kind() == kind }
		case "ID":
			if !a.More() {
				return Plan{}, resp.ErrSyntax
			}
			ids := make(map[int64]bool)
			for a.More() {
				id, ok := resp.ParseInt(a.Bytes())
				if !ok || id < 1 {
					return Plan{}, errClientID
				}
				ids[id] = true
			}
			want = func(c Client) bool { return ids[c.ID] }
		default:
			return Plan{}, resp.ErrSyntax
		}
	}
	return local(func(w *resp.Writer, s Session) {
		var text strings.Builder
		for _, c := range s.Clients() {
			if want(c) {
				text.WriteString(c.String())
				text.WriteByte('\n')
			}
		}
		w.Verbatim("txt", text.String())
	})
}

var (
	errKillID     = resp.Errorf("ERR", "client-id should be greater than 0")
	errKillMaxAge = resp.Errorf("ERR", "maxage is not an integer or out of range")
	errNoClient   = resp.Errorf("ERR", "No such client")
)

func planClientKill(a *resp.Args, _ Settings) (Plan, error) {
	if a.Len() == 1 {
		return planKillAddress(a.Text())
	}
	var k killFilter
	skipMe := true
	for a.More() {
		k.read(a, &skipMe)
	}
	return local(func(w *resp.Writer, s Session) {
		me, killed := s.ID(), int64(0)
		for _, c := range s.Clients() {
			if k.matches(c) && !(skipMe && c.ID == me) && s.Kill(c.ID) {
				killed++
			}
		}
		w.Int(killed)
	})
}

// planKillAddress is the old form, which answers OK and also kills the one who asks.
func planKillAddress(addr string) (Plan, error) {
	return local(func(w *resp.Writer, s Session) {
		for _, c := range s.Clients() {
			if c.Addr == addr && s.Kill(c.ID) {
				w.OK()
				return
			}
		}
		w.Error(errNoClient)
	})
}

// killFilter holds the conditions of CLIENT KILL, all of which must hold; zero ones were not given.
type killFilter struct {
	id                      int64
	kind, addr, laddr, user string
	maxAge                  int64
}

func (k *killFilter) read(a *resp.Args, skipMe *bool) {
	switch a.Keyword() {
	case "ID":
		id, ok := resp.ParseInt(a.Bytes())
		if !ok || id < 1 {
			a.Fail(errKillID)
		}
		k.id = id
	case "TYPE":
		k.kind = clientKind(a)
	case "ADDR":
		k.addr = a.Text()
	case "LADDR":
		k.laddr = a.Text()
	case "USER":
		k.user = a.Text()
	case "MAXAGE":
		age, ok := resp.ParseInt(a.Bytes())
		if !ok || age < 1 {
			a.Fail(errKillMaxAge)
		}
		k.maxAge = age
	case "SKIPME":
		switch a.Keyword() {
		case "YES":
			*skipMe = true
		case "NO":
			*skipMe = false
		default:
			a.Fail(resp.ErrSyntax)
		}
	default:
		a.Fail(resp.ErrSyntax)
	}
}

func (k *killFilter) matches(c Client) bool {
	return (k.id == 0 || k.id == c.ID) && (k.kind == "" || k.kind == c.kind()) && (k.addr == "" || k.addr == c.Addr) &&
		(k.laddr == "" || k.laddr == c.LocalAddr) && (k.user == "" || k.user == c.User) && (k.maxAge == 0 || c.Age >= k.maxAge)
}
