package start

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

// The bench does what it is told, says how it went, and leaves nothing behind. How fast it was is nobody's business here.
func TestTheBench(t *testing.T) {
	s := harness.Start(t, harness.Options{Password: "of the bench"})
	t.Setenv("DTKV_PASSWORD", "of the bench")
	bench := func(args ...string) (string, error) {
		return harness.TryOutput("", "", harness.Binary(t), append([]string{"bench", "--addr", s.Addr}, args...)...)
	}
	c := harness.Dial(t, s.Addr)
	out, err := bench("--for", "300ms", "--clients", "4", "--pipeline", "8", "--keys", "150", "--size", "10")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, row := range []string{`set +4 +8 `, `get +4 +8 `, `lock +4 +1 `} {
		if !regexp.MustCompile(`(?m)^ *` + row + ` +[1-9]\d* +\S+s +\S+s +\S+s +0$`).MatchString(out) {
			t.Errorf("no row like %q in\n%s", row, out)
		}
	}
	c.Want(t, "*0\r\n", "DTKV.LIST", "")

	// Requests that fail are counted, and the command fails.
	broken := make(chan string)
	go func() {
		out, err := bench("--for", "2s", "--clients", "2", "--loads", "set")
		if err == nil {
			out = "no error; " + out
		}
		broken <- out
	}()
	harness.Eventually(t, "the bench to begin", func() bool { return c.Must(t, "DBSIZE") != ":0\r\n" })
	s.Kill()
	select {
	case out := <-broken:
		if !strings.Contains(out, "requests failed, one of them with: ") || !strings.Contains(out, "is left behind") {
			t.Errorf("a node that dies: %s", out)
		}
	case <-time.After(harness.Patience):
		t.Error("the bench does not end")
	}
}
