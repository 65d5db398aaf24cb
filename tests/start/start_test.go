package start

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// goal is what we want of a start on an idle machine. A test machine is not idle, so it is reported and not enforced.
const goal = 2 * time.Second

func TestANodeServesSoonAfterItsStart(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	t.Logf("new node: first read answered after %s; the goal is %s", s.Took.Round(time.Millisecond), goal)
	harness.Dial(t, s.Addr).Want(t, "+OK\r\n", "SET", "k", "v")
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	s = s.Restart(t)
	t.Logf("restarted node: first read answered after %s; the goal is %s", s.Took.Round(time.Millisecond), goal)
	harness.Dial(t, s.Addr).Want(t, "$1\r\nv\r\n", "GET", "k")
}

// firstBlock is the first block of shell commands in README.md.
var firstBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// The two commands of the README give a server and a value in it. They run as they stand there, only on free ports and with
// the data elsewhere.
func TestTheTwoCommandsOfTheReadme(t *testing.T) {
	harness.NeedRedis(t)
	harness.Alone(t, "the README starts a node alone")
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := firstBlock.FindStringSubmatch(string(readme))
	if block == nil {
		t.Fatal("README.md shows no commands")
	}
	lines := strings.Split(strings.TrimSpace(block[1]), "\n")
	if len(lines) != 2 {
		t.Fatalf("README.md begins with %d commands, want two:\n%s", len(lines), block[1])
	}
	serve, use := command(lines[0]), command(lines[1])
	if strings.Join(serve, " ") != "go run ./cmd/dtkv" || use[0] != "redis-cli" {
		t.Fatalf("README.md begins with %q and %q", serve, use)
	}

	addr := harness.Loopback(harness.Port(t))
	env := []string{
		"DTKV_ADDR=" + addr, "DTKV_PEER_ADDR=" + harness.Loopback(harness.Port(t)),
		"DTKV_HTTP_ADDR=" + harness.Loopback(harness.Port(t)), "DTKV_DATA_DIR=" + t.TempDir(),
	}
	p := harness.Run(t, root, env, serve[0], serve[1:]...)
	t.Cleanup(func() { endServer(t, addr, p) })
	if err := harness.Ready(addr, p); err != nil {
		t.Fatalf("%s: %v", lines[0], err)
	}
	client := append([]string{"-p", harness.SplitPort(t, addr)}, use[1:]...)
	if got := harness.Output(t, "", "", use[0], client...); got != "OK\n" {
		t.Errorf("%s: %q", lines[1], got)
	}
	harness.Dial(t, addr).Want(t, "$5\r\nworld\r\n", "GET", "hello")
}

func command(line string) []string {
	line, _, _ = strings.Cut(line, "#")
	return strings.Fields(line)
}

// endServer ends the server that go run started. It is go run's child, and would outlive it.
func endServer(t *testing.T, addr string, p *harness.Process) {
	t.Helper()
	info := harness.Dial(t, addr).Must(t, "INFO", "server")
	_, after, ok := strings.Cut(info, "\r\nprocess_id:")
	number, _, _ := strings.Cut(after, "\r\n")
	pid, err := strconv.Atoi(number)
	if !ok || err != nil || pid <= 1 {
		t.Fatalf("no process id in %q", info)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	p.Wait(t)
}
