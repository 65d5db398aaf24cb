package start

import (
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

const noAuth = "-NOAUTH Authentication required.\r\n"

// A node that listens on every address serves those who know the password, and nobody else.
func TestANodeBeyondLoopback(t *testing.T) {
	harness.Alone(t, "it names the address in a flag, and three nodes cannot share it")
	addr := harness.Loopback(harness.Port(t))
	everywhere := []string{"--addr", "0.0.0.0:" + harness.SplitPort(t, addr)}
	for _, test := range []struct {
		more []string
		want string
	}{
		{nil, "set requirepass-file or requirepass"},
		{[]string{"--requirepass", "secret"}, "allow-plaintext"},
		{[]string{"--allow-plaintext", "yes"}, "set requirepass-file or requirepass"},
	} {
		s := harness.Launch(t, harness.Options{More: append(test.more, everywhere...)})
		if code := s.Wait(t); code != 1 || !strings.Contains(s.Log(), test.want) {
			t.Errorf("%q: ended with code %d:\n%s", test.more, code, s.Log())
		}
	}
	harness.Start(t, harness.Options{Addr: addr, Password: "s3cret word", More: append([]string{"--allow-plaintext", "yes"}, everywhere...)})
	c := harness.DialOut(t, addr)
	c.Want(t, noAuth, "GET", "k")
	c.Want(t, noAuth, "SET", "k", "1")
	c.Want(t, "+OK\r\n", "AUTH", "default", "s3cret word")
	c.Want(t, "+OK\r\n", "SET", "k", "1")
	c.Want(t, "$1\r\n1\r\n", "GET", "k")
}
