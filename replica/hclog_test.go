package replica

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLinesThatRepeatThemselvesAreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger := raftLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "component" {
				return slog.Attr{}
			}
			return a
		}})))
		wants := func(want string) {
			t.Helper()
			if got := out.String(); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			out.Reset()
		}
		for range 241 { // a minute
			logger.Error("failed to heartbeat to", "peer", "10.0.0.2:1", "error", "refused")
			logger.Warn("failed to heartbeat to", "peer", "10.0.0.3:1", "error", "refused")
			time.Sleep(250 * time.Millisecond)
		}
		wants("level=ERROR msg=\"failed to heartbeat to\" peer=10.0.0.2:1 error=refused\n" +
			"level=WARN msg=\"failed to heartbeat to\" peer=10.0.0.3:1 error=refused\n" +
			"level=ERROR msg=\"failed to heartbeat to\" peer=10.0.0.2:1 error=refused repeated=239\n" +
			"level=WARN msg=\"failed to heartbeat to\" peer=10.0.0.3:1 error=refused repeated=239\n")
		logger.Info("entering leader state")
		logger.Error("something else")
		wants("level=ERROR msg=\"something else\"\n")
		for i := range maxSaid {
			logger.Warn("of " + strconv.Itoa(i))
		}
		if n := strings.Count(out.String(), "\n"); n != maxSaid {
			t.Errorf("%d lines of %d that differ", n, maxSaid)
		}
		out.Reset()
		logger.Error("something else") // the bound was reached meanwhile
		wants("level=ERROR msg=\"something else\"\n")
	})
}
