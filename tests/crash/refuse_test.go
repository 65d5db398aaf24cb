package crash

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// refusal starts a dtkv that must not start, and returns its one line of complaint.
func refusal(t *testing.T, o harness.Options) string {
	t.Helper()
	s := harness.Launch(t, o)
	if code := s.Wait(t); code <= 0 {
		t.Errorf("exit code %d, want a failure", code)
	}
	said := strings.TrimSpace(s.Log())
	if said == "" || strings.Count(said, "\n") > 0 || strings.Contains(said, "goroutine ") {
		t.Errorf("want one clear line, got:\n%s", said)
	}
	return said
}

func TestASecondProcessIsKeptOutOfTheDataDirectory(t *testing.T) {
	first := harness.Start(t, harness.Options{})
	if said := refusal(t, harness.Options{DataDir: first.DataDir}); !strings.Contains(said, first.DataDir) || !strings.Contains(said, "in use") {
		t.Errorf("refused with %q", said)
	}
	c := harness.Dial(t, first.Addr)
	c.Want(t, "+OK\r\n", "SET", "k", "v")

	// The lock does not outlive its process, however that ended.
	first.Kill()
	again := first.Restart(t)
	harness.Dial(t, again.Addr).Want(t, "$1\r\nv\r\n", "GET", "k")
}

func TestABusyPortIsOneClearLine(t *testing.T) {
	l, err := net.Listen("tcp", harness.Loopback(harness.Port(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	busy := l.Addr().String()
	for name, o := range map[string]harness.Options{
		"clients": {Addr: busy},
		"peers":   {PeerAddr: busy},
		"HTTP":    {HTTPAddr: busy},
	} {
		t.Run(name, func(t *testing.T) {
			said := refusal(t, o)
			if _, port, _ := net.SplitHostPort(busy); !strings.Contains(said, port) || !strings.Contains(said, "in use") {
				t.Errorf("refused with %q", said)
			}
		})
	}
}

func TestForeignDataDirectoriesAreLeftAlone(t *testing.T) {
	harness.Alone(t, "it is about a process that must not start")
	for _, tt := range []struct {
		name  string
		files map[string]string
	}{
		{"somebody else's files", map[string]string{"notes.txt": "mine"}},
		{"a Redis directory", map[string]string{"appendonlydir/appendonly.aof.1.base.rdb": "REDIS0010", "dump.rdb": "REDIS0010"}},
		{"garbage for metadata", map[string]string{"dtkv.json": "\x00\xff garbage"}},
		{"empty metadata", map[string]string{"dtkv.json": ""}},
		{"metadata of a newer release", map[string]string{"dtkv.json": `{"version":999,"cluster_id":"c","node_id":"n1","log_store":"wal"}`}},
		{"groups without metadata", map[string]string{"groups/0/mark": "x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range tt.files {
				path := filepath.Join(dir, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if said := refusal(t, harness.Options{DataDir: dir}); !strings.Contains(said, dir) {
				t.Errorf("refused with %q, which does not name the directory", said)
			}
			for name, content := range tt.files {
				got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
				if err != nil || string(got) != content {
					t.Errorf("%s was changed: %q, %v", name, got, err)
				}
			}
		})
	}
}

func TestAnotherNodesDataDirectoryIsRefused(t *testing.T) {
	harness.Alone(t, "it names the node in a flag")
	s := harness.Start(t, harness.Options{More: []string{"--node-id", "n1"}})
	harness.Dial(t, s.Addr).Want(t, "+OK\r\n", "SET", "k", "v")
	s.Stop(t)
	if said := refusal(t, harness.Options{DataDir: s.DataDir, More: []string{"--node-id", "n2"}}); !strings.Contains(said, "n1") {
		t.Errorf("another id: %q", said)
	}
	if said := refusal(t, harness.Options{DataDir: s.DataDir, LogStore: "bolt"}); !strings.Contains(said, "wal") {
		t.Errorf("another log store: %q", said)
	}
	// Neither attempt has done any harm.
	again := s.Restart(t)
	harness.Dial(t, again.Addr).Want(t, "$1\r\nv\r\n", "GET", "k")
}

func TestWrongOptionsAreOneClearLine(t *testing.T) {
	harness.Alone(t, "it is about a process that must not start")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		o    harness.Options
		want string
	}{
		{"an unknown flag", harness.Options{More: []string{"--nosuch"}}, "nosuch"},
		{"a bad sync mode", harness.Options{Sync: "sometimes"}, "sometimes"},
		{"a bad log store", harness.Options{LogStore: "paper"}, "paper"},
		{"a bad number", harness.Options{More: []string{"--snapshot-entries", "many"}}, "many"},
		{"a bad address", harness.Options{Addr: "here"}, "here"},
		{"an address other machines can reach", harness.Options{Addr: "0.0.0.0:" + harness.SplitPort(t, harness.Loopback(harness.Port(t)))}, "loopback"},
		{"an unknown sub-command", harness.Options{More: []string{"dance"}}, "dance"},
		{"a configuration file that is not there", harness.Options{More: []string{"--config", "/nosuch/dtkv.conf"}}, "/nosuch/dtkv.conf"},
		{"a bad variable", harness.Options{Env: []string{"DTKV_MAX_CLIENTS=lots"}}, "lots"},
		{"a data directory that is a file", harness.Options{DataDir: file}, file},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if said := refusal(t, tt.o); !strings.Contains(said, tt.want) {
				t.Errorf("no word of %q in %q", tt.want, said)
			}
		})
	}
}
