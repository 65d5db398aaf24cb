package server

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const helloNoAuth = "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> " +
	"option can be used to authenticate the client and select the RESP protocol version at the same time"

func TestAClientLogsIn(t *testing.T) {
	const noAuth, wrong = "-NOAUTH Authentication required.", "-WRONGPASS invalid username-password pair or user is disabled."
	tests := []struct {
		name string
		send []string
		want []string
	}{
		{"commands need it", []string{"PING", "GET k", "SET k 1", "CLIENT LIST", "INFO", "MULTI"}, []string{noAuth, noAuth, noAuth, noAuth, noAuth, noAuth}},
		{
			"what is no command is told first",
			[]string{"NOSUCH", "GET", "SET k v foo"},
			[]string{"-ERR unknown command 'NOSUCH', with args beginning with: ", "-ERR wrong number of arguments for 'get' command", noAuth},
		},
		{"the password opens", []string{"AUTH secret", "SET k 1", "GET k"}, []string{"+OK", "+OK", "$1", "1"}},
		{"so does the user with it", []string{"AUTH default secret", "GET k"}, []string{"+OK", "$-1"}},
		{"another password does not", []string{"AUTH x", "AUTH secre", "AUTH secretx", "GET k"}, []string{wrong, wrong, wrong, noAuth}},
		{"nor another user", []string{"AUTH nobody secret", "GET k"}, []string{wrong, noAuth}},
		{"a wrong password does not log out", []string{"AUTH secret", "AUTH x", "GET k"}, []string{"+OK", wrong, "$-1"}},
		{"HELLO needs it", []string{"HELLO 3", "HELLO 4", "GET k"}, []string{helloNoAuth, "-NOPROTO unsupported protocol version", noAuth}},
		{"RESET logs out", []string{"AUTH secret", "RESET", "GET k"}, []string{"+OK", "+RESET", noAuth}},
		{"RESET and QUIT need none", []string{"RESET", "QUIT"}, []string{"+RESET", "+OK"}},
		{
			"many arguments need it",
			[]string{"*11\r\n$4\r\nPING\r\n"},
			[]string{"-ERR Protocol error: unauthenticated multibulk length"},
		},
		{"long ones too", []string{"*2\r\n$4\r\nPING\r\n$16385\r\n"}, []string{"-ERR Protocol error: unauthenticated bulk length"}},
		{
			"not afterwards",
			[]string{"AUTH secret", "*12\r\n$3\r\nDEL" + strings.Repeat("\r\n$1\r\nk", 11)},
			[]string{"+OK", ":0"},
		},
		{"MULTI goes on to its end", []string{"AUTH secret", "MULTI", "AUTH x", "PING", "EXEC"}, []string{"+OK", "+OK", "+QUEUED", "+QUEUED", "*2", wrong, "+PONG"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, _ := startTestServer(t, func(c *Config) { c.RequirePass = "secret" })
			if got := talk(t, s, test.send...); got != crlf(test.want...) {
				t.Errorf("got  %q\nwant %q", got, crlf(test.want...))
			}
		})
	}
	t.Run("HELLO logs in", func(t *testing.T) {
		s, _ := startTestServer(t, func(c *Config) { c.RequirePass = "secret" })
		if got := talk(t, s, "HELLO 3 AUTH default secret", "GET k"); !strings.HasPrefix(got, "%7\r\n") || !strings.HasSuffix(got, "_\r\n") {
			t.Errorf("got %q", got)
		}
	})
}

func TestPasswordsAreNotShown(t *testing.T) {
	var log bytes.Buffer
	s, _ := startTestServer(t, func(c *Config) {
		c.RequirePass, c.Logger = "s3cr3t", slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	got := talk(t, s, "AUTH wr0ng", "AUTH s3cr3t", "CONFIG GET *", "INFO everything", "CLIENT LIST", "CONFIG SET requirepass x")
	s.stopClients()
	got += log.String()
	if strings.Contains(got, "s3cr3t") || strings.Contains(got, "wr0ng") || !strings.Contains(got, "allow-plaintext") {
		t.Errorf("a password is shown, or nothing is:\n%s", got)
	}
}

func TestPasswordsFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	cfg := Default()
	cfg.RequirePassFile, cfg.Logger = path, quiet
	refuse := func(why string) {
		t.Helper()
		if p, err := openPasswords(&cfg); err == nil || !strings.Contains(err.Error(), "requirepass-file") {
			t.Errorf("%s: %v, %v", why, p, err)
		}
	}
	refuse("no file")
	write("\n\r\n")
	refuse("no password")
	write(strings.Repeat("x", maxPasswordFile+1))
	refuse("too much")

	write("old one\r\nnew\n")
	p, err := openPasswords(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	want := func(password string, want bool) {
		t.Helper()
		if got := p.accept(password, now); got != want {
			t.Errorf("%q: %t, want %t", password, got, want)
		}
	}
	want("old one", true)
	want("new", true)
	want("", false)
	want("old", false)

	write("new\n")
	now = now.Add(lookEvery)
	want("old one", false)
	want("new", true)

	write("")
	now = now.Add(lookEvery)
	want("new", true) // rather than locking everybody out
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookEvery)
	want("new", true)
}

func TestClientsAreToldWhereOtherNodesAre(t *testing.T) {
	tests := []struct{ addr, advertise, want string }{
		{"127.0.0.1:0", "a.example:17000", "127.0.0.1"},
		{"0.0.0.0:0", "a.example:17000", "a.example"},
		{":0", "10.1.2.3:17000", "10.1.2.3"},
	}
	for _, test := range tests {
		c := Default()
		c.Addr, c.Advertise = test.addr, test.advertise
		l, err := listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		host, _, _ := strings.Cut(c.clientAddress(l.Addr()), ":")
		l.Close()
		if host != test.want {
			t.Errorf("%s, advertised at %s: clients are told %q, want %q", test.addr, test.advertise, host, test.want)
		}
	}
}
