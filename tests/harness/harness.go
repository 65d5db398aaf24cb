// Package harness runs the real programs that the black box tests talk to: the dtkv binary, Redis, and raw connections to
// both.
//
// It promises that nothing outlives a test: whatever a test starts is ended by its process id when the test ends, and dies
// with the test process if that is killed. Every wait has a deadline, every port is one nobody else will be given, and a
// test that lacks a tool goes through one door, [Need], which counts it. Only tests may import this package, and each of
// their packages must hand its TestMain to [Main].
package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// Patience bounds every single wait of the harness: for a server to be ready, a reply to come, a process to end. It is
// far above what a healthy machine needs, so it decides only how long a broken test takes to say so.
const Patience = 30 * time.Second

// built is the binary under test, built at most once in a test process.
var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// Main runs the tests of a package and removes the binary that they shared.
func Main(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, "harness: leaves its binary behind:", err)
		}
	}
	os.Exit(code)
}

// Binary returns the path of the dtkv binary, built from the tree that the test belongs to.
func Binary(t testing.TB) string {
	t.Helper()
	built.once.Do(func() { built.err = build() })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func build() error {
	root, err := Root()
	if err != nil {
		return err
	}
	if built.dir, err = os.MkdirTemp("", "dtkv-test-bin-"); err != nil {
		return err
	}
	built.path = filepath.Join(built.dir, "dtkv")
	args := []string{"build", "-o", built.path}
	if racing {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/dtkv")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./cmd/dtkv: %w\n%s", err, out)
	}
	return nil
}

// Root returns the folder that holds go.mod, found upwards from the source of this file.
func Root() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("harness: the build carries no file names")
	}
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		return "", fmt.Errorf("harness: no module around %s: %w", file, err)
	}
	return root, nil
}

// Eventually polls until done says so, and fails the test with what when [Patience] runs out first.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, Patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
