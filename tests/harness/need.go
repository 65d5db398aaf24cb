package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Environment of the doors through which a test may go without having run.
const (
	// envAll set to 1 makes a test that cannot run fail. CI=true means the same.
	envAll = "DTKV_REQUIRE_ALL"
	// envList names a file that takes one line for each test that did not run; make test prints it at the end.
	envList = "DTKV_NOT_RUN"
	// envAlone names a file that takes one line for each test that is about a node alone and so did not run through a
	// follower.
	envAlone = "DTKV_ALONE"
)

// Python is the interpreter that sees Debian's python3-redis; the first python3 of PATH often does not.
const Python = "/usr/bin/python3"

// Need ends the test as not run when one of the programs cannot be found, and counts it. Programs are looked up in PATH
// unless they are paths.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			NotRun(t, "needs "+p)
		}
	}
}

// NeedRedis ends the test as not run unless a Redis of the 7.0 series is installed, the yardstick of every reply.
func NeedRedis(t testing.TB) {
	t.Helper()
	Need(t, "redis-server", "redis-cli")
	out, err := exec.Command("redis-server", "--version").CombinedOutput()
	if err != nil {
		t.Fatalf("redis-server --version: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), " v=7.0.") {
		NotRun(t, "needs redis-server 7.0, has "+strings.TrimSpace(string(out)))
	}
}

// NeedNode ends the test as not run unless Node.js and the packages of tests/clients are there, and returns that folder.
func NeedNode(t testing.TB) string {
	t.Helper()
	Need(t, "node")
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "tests", "clients")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json")); err != nil {
		NotRun(t, "needs npm ci in tests/clients")
	}
	return dir
}

// NotRun is the door itself: it fails the test where everything must run, and else records and skips it.
func NotRun(t testing.TB, why string) {
	t.Helper()
	if os.Getenv(envAll) == "1" || os.Getenv("CI") == "true" {
		t.Fatalf("not run: %s", why)
	}
	if path := os.Getenv(envList); path != "" {
		line := fmt.Sprintf("%s: %s\n", t.Name(), why)
		if err := appendLine(path, line); err != nil {
			t.Fatalf("cannot record a test that does not run: %v", err)
		}
	}
	t.Skip("not run: " + why)
}

// Alone ends a test that is about a node which is a cluster by itself, where others run through a follower. It counts the
// test, with the reason.
func Alone(t testing.TB, why string) {
	t.Helper()
	if !ThroughFollower() {
		return
	}
	if path := os.Getenv(envAlone); path != "" {
		if err := appendLine(path, fmt.Sprintf("%s: %s\n", t.Name(), why)); err != nil {
			t.Fatalf("cannot record a test that does not run: %v", err)
		}
	}
	t.Skip("not through a follower: " + why)
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
