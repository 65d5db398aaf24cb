package commands

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestTheConnection(t *testing.T) {
	runTranscripts(t, []transcript{
		{"PING and ECHO answer", `
			> PING
			< +PONG
			> ping hello
			< $5
			< hello
			> PING a b
			< -ERR wrong number of arguments for 'ping' command
			> ECHO hi
			< $2
			< hi`},
		{"HELLO reports and changes the protocol", `
			> HELLO
			< *14
			< $6
			< server
			< $5
			< redis
			< $7
			< version
			< $5
			< 8.4.0
			< $5
			< proto
			< :2
			< $2
			< id
			< :7
			< $4
			< mode
			< $10
			< standalone
			< $4
			< role
			< $6
			< master
			< $7
			< modules
			< *0
			> HELLO 3 SETNAME me
			< %7
			< $6
			< server
			< $5
			< redis
			< $7
			< version
			< $5
			< 8.4.0
			< $5
			< proto
			< :3
			< $2
			< id
			< :7
			< $4
			< mode
			< $10
			< standalone
			< $4
			< role
			< $6
			< master
			< $7
			< modules
			< *0
			> CLIENT GETNAME
			< $2
			< me
			> GET missing
			< _`},
		{"HELLO refuses what it cannot do", `
			> HELLO 4
			< -NOPROTO unsupported protocol version
			> HELLO x
			< -ERR Protocol version is not an integer or out of range
			> HELLO 3 FOO
			< -ERR Syntax error in HELLO option 'FOO'
			> HELLO 3 AUTH default
			< -ERR Syntax error in HELLO option 'AUTH'
			> HELLO 3 SETNAME "a b"
			< -ERR Client names cannot contain spaces, newlines or special characters.
			> HELLO 3 AUTH nobody x
			< -WRONGPASS invalid username-password pair or user is disabled.
			> GET missing
			< $-1`},
		{"AUTH without a password says what Redis says", `
			> AUTH x
			< -ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?
			> AUTH default x
			< +OK
			> AUTH nobody x
			< -WRONGPASS invalid username-password pair or user is disabled.
			> AUTH a b c
			< -ERR syntax error`},
		{"SELECT knows the databases there are", `
			> SELECT 0
			< +OK
			> SELECT 1
			< -ERR DB index is out of range
			> SELECT -1
			< -ERR DB index is out of range
			> SELECT x
			< -ERR value is not an integer or out of range
			> SELECT 99999999999
			< -ERR value is out of range, value must between -2147483648 and 2147483647`},
		{"cluster words are answered", `
			> READONLY
			< +OK
			> READWRITE
			< +OK
			> ASKING
			< +OK`},
		{"RESET makes the connection new", `
			@ resp3
			> CLIENT SETNAME me
			< +OK
			> RESET
			< +RESET
			> CLIENT GETNAME
			< $-1`},
		{"unknown commands are quoted", `
			> NOSUCH a "b c"
			< -ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b c'\x20
			> CLUSTER INFO
			< -ERR unknown command 'CLUSTER', with args beginning with: 'INFO'\x20
			> CLIENT
			< -ERR wrong number of arguments for 'client' command
			> CLIENT FOO
			< -ERR unknown subcommand 'FOO'. Try CLIENT HELP.
			> CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type none
			< -ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.
			> client getname x
			< -ERR wrong number of arguments for 'client|getname' command
			> aVeryLongNameThatIsLongerThanAnyCommandThereIs
			< -ERR unknown command 'aVeryLongNameThatIsLongerThanAnyCommandThereIs', with args beginning with:\x20`},
	})
}

func TestLoggingIn(t *testing.T) {
	r := newRig(t, 2)
	r.session.needPassword, r.session.authenticated = true, false
	steps := []struct {
		argv []string
		want string
	}{
		{[]string{"HELLO", "3"}, "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> " +
			"option can be used to authenticate the client and select the RESP protocol version at the same time\r\n"},
		{[]string{"AUTH", "wrong"}, "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
		{[]string{"HELLO", "3", "AUTH", "default", "wrong"}, "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
		{[]string{"AUTH", "secret"}, "+OK\r\n"},
	}
	for _, s := range steps {
		if got := r.do(s.argv...); got != s.want {
			t.Errorf("%q: got %q, want %q", s.argv, got, s.want)
		}
	}
	for _, argv := range [][]string{{"ACL", "LIST"}, {"ACL", "GETUSER", "default"}} {
		if got := r.do(argv...); strings.Contains(got, "nopass") || !strings.Contains(got, "+@all") {
			t.Errorf("%q where there is a password: %q", argv, got)
		}
	}
	if got := r.do("HELLO", "3", "AUTH", "default", "secret"); !strings.HasPrefix(got, "%7\r\n") {
		t.Errorf("HELLO with the password: %q", got)
	}
}

func TestFlagsThatTheServerDependsOn(t *testing.T) {
	sets := map[string]Flags{
		"auth hello quit reset":               Flags(NoAuth),
		"multi exec discard watch quit reset": Flags(Unqueued),
		"dtkv.list dtkv.stat":                 Flags(RootKey),
		"dtkv.batchput dtkv.batchremove":      Flags(EachKey),
	}
	for names, flag := range sets {
		want := strings.Fields(names)
		slices.Sort(want)
		var got []string
		for _, c := range Table {
			if c.Flags.Has(flag) {
				got = append(got, c.Name)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("flag %#x: got %q, want %q", uint32(flag), got, want)
		}
	}
	if _, plan, _ := Prepare([][]byte{[]byte("QUIT"), []byte("now")}, Settings{}); !plan.Close {
		t.Error("QUIT does not close")
	}
}

func TestClientCommands(t *testing.T) {
	runTranscripts(t, []transcript{
		{"names and libraries", `
			> CLIENT ID
			< :7
			> CLIENT GETNAME
			< $-1
			> CLIENT SETNAME me
			< +OK
			> CLIENT SETNAME "a b"
			< -ERR Client names cannot contain spaces, newlines or special characters.
			> CLIENT SETINFO LIB-NAME go-redis(,go1.26)
			< +OK
			> CLIENT SETINFO lib-ver 9.23.0
			< +OK
			> CLIENT SETINFO LIB-NAME "a b"
			< -ERR lib-name cannot contain spaces, newlines or special characters.
			> CLIENT SETINFO FOO x
			< -ERR Unrecognized option 'FOO'`},
		{"switches", `
			> CLIENT NO-EVICT ON
			< +OK
			> CLIENT NO-TOUCH off
			< +OK
			> CLIENT NO-EVICT x
			< -ERR syntax error
			> CLIENT REPLY x
			< -ERR syntax error
			> CLIENT REPLY OFF
			> CLIENT REPLY ON
			< +OK
			> CLIENT CAPA redirect
			< +OK`},
		{"client-side caching is off, and says so", `
			> CLIENT TRACKING ON OPTIN
			< -ERR CLIENT TRACKING is not supported yet: watch channels tell of changes
			> CLIENT TRACKING OFF
			< +OK
			> CLIENT TRACKING x
			< -ERR syntax error
			> CLIENT CACHING YES
			< -ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
			> CLIENT GETREDIR
			< :-1
			> CLIENT TRACKINGINFO
			< *6
			< $5
			< flags
			< *1
			< $3
			< off
			< $8
			< redirect
			< :-1
			< $8
			< prefixes
			< *0`},
		{"lists refuse what they do not know", `
			> CLIENT LIST TYPE foo
			< -ERR Unknown client type 'foo'
			> CLIENT LIST ID x
			< -ERR Invalid client ID
			> CLIENT LIST ID
			< -ERR syntax error
			> CLIENT LIST foo
			< -ERR syntax error
			> CLIENT KILL ID x
			< -ERR client-id should be greater than 0
			> CLIENT KILL a
			< -ERR No such client
			> CLIENT KILL TYPE x
			< -ERR Unknown client type 'x'
			> CLIENT KILL FOO x
			< -ERR syntax error
			> CLIENT KILL ID 1 SKIPME x
			< -ERR syntax error
			> CLIENT KILL ID 1 ADDR
			< -ERR syntax error`},
	})
}

func TestClientReplyReachesTheSession(t *testing.T) {
	r := newRig(t, 2)
	for word, want := range map[string]ReplyMode{"OFF": ReplyOff, "skip": ReplySkip, "ON": ReplyOn} {
		r.do("CLIENT", "REPLY", word)
		if r.session.reply != want {
			t.Errorf("CLIENT REPLY %s: mode %d, want %d", word, r.session.reply, want)
		}
	}
	r.do("CLIENT", "SETINFO", "LIB-NAME", "lib")
	r.do("CLIENT", "NO-EVICT", "on")
	r.do("CLIENT", "NO-TOUCH", "on")
	r.do("READONLY")
	if !maps.Equal(r.session.library, map[string]string{"lib-name": "lib"}) || !r.session.noEvict || !r.session.noTouch || !r.session.readOnly {
		t.Errorf("the session was not told: %+v", r.session)
	}
}

func TestClientListPrintsOneLineEach(t *testing.T) {
	r := newRig(t, 3)
	r.session.others = []Client{{ID: 9, Addr: "127.0.0.1:5001", Flags: "P", Sub: 1, Multi: -1, Command: "get", User: "default", Proto: 3}}
	const me = "id=7 addr=127.0.0.1:5000 laddr=127.0.0.1:6379 fd=-1 name= age=3 idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 watch=0 " +
		"qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=client|info user=default redir=-1 " +
		"resp=2 lib-name= lib-ver= tot-net-in=0 tot-net-out=0 tot-cmds=0\n"
	if got, want := r.do("CLIENT", "INFO"), "=319\r\ntxt:"+me+"\r\n"; got != want {
		t.Errorf("CLIENT INFO:\ngot  %q\nwant %q", got, want)
	}
	r.w.Proto = 2
	for _, test := range []struct {
		args []string
		ids  string
	}{
		{nil, "7 9"},
		{[]string{"ID", "9"}, "9"},
		{[]string{"ID", "7", "8", "9"}, "7 9"},
		{[]string{"TYPE", "normal"}, "7"},
		{[]string{"TYPE", "PUBSUB"}, "9"},
		{[]string{"TYPE", "replica"}, ""},
	} {
		var ids []string
		for _, line := range strings.Split(r.do(append([]string{"CLIENT", "LIST"}, test.args...)...), "\n") {
			if rest, ok := strings.CutPrefix(line, "id="); ok {
				id, _, _ := strings.Cut(rest, " ")
				ids = append(ids, id)
			}
		}
		if got := strings.Join(ids, " "); got != test.ids {
			t.Errorf("CLIENT LIST %q: got %q, want %q", test.args, got, test.ids)
		}
	}
}

func TestClientKillChoosesByAllConditions(t *testing.T) {
	tests := []struct {
		name, line string
		reply      string
		killed     []int64
	}{
		{"an address, in the old form, even the own one", "127.0.0.1:5000", "+OK\r\n", []int64{7}},
		{"an id", "ID 9", ":1\r\n", []int64{9}},
		{"not the one who asks", "ID 7", ":0\r\n", nil},
		{"unless told so", "ID 7 SKIPME no", ":1\r\n", []int64{7}},
		{"a type", "TYPE pubsub", ":1\r\n", []int64{9}},
		{"an address", "ADDR 127.0.0.1:5002", ":1\r\n", []int64{10}},
		{"a local address", "LADDR 127.0.0.1:6379 SKIPME NO", ":1\r\n", []int64{7}},
		{"a user", "USER default", ":2\r\n", []int64{9, 10}},
		{"a user nobody is", "USER nobody", ":0\r\n", nil},
		{"an age", "MAXAGE 100", ":1\r\n", []int64{10}},
		{"all conditions must hold", "ID 9 TYPE normal", ":0\r\n", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, 2)
			r.session.others = []Client{
				{ID: 9, Addr: "127.0.0.1:5001", Sub: 1, User: "default"},
				{ID: 10, Addr: "127.0.0.1:5002", User: "default", Age: 100},
			}
			got := r.do(append([]string{"CLIENT", "KILL"}, strings.Fields(test.line)...)...)
			if got != test.reply || !slices.Equal(r.session.killed, test.killed) {
				t.Errorf("got %q and killed %d, want %q and %d", got, r.session.killed, test.reply, test.killed)
			}
		})
	}
}
