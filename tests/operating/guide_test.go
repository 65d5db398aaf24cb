package operating

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// guide is the page as somebody has it before him who does what it says: block after block, in the order of the page.
type guide struct {
	t      *testing.T
	blocks []block
	dir    string                      // where the shell stands
	places *strings.Replacer           // directories of the machine, and what stands for them here
	nodes  map[string]*harness.Process // that were started, by client address
}

// block is one block of shell commands.
type block struct {
	commands []string
	section  string // the text under the same heading
}

var (
	fenced  = regexp.MustCompile("(?s)```sh\n(.*?)```")
	serving = regexp.MustCompile(`^dtkv --(?:.*--)?addr (\S+)`)
	failed  = regexp.MustCompile(`^[A-Z]{3,} `) // how redis-cli prints an error where there is no terminal
)

func open(t *testing.T) *guide {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	etc, backup := t.TempDir(), t.TempDir()
	g := &guide{
		t: t, dir: t.TempDir(), places: strings.NewReplacer("/etc/dtkv", etc, "/backup", backup),
		nodes: map[string]*harness.Process{},
	}
	for section := range strings.SplitSeq(string(page), "\n## ") {
		for _, found := range fenced.FindAllStringSubmatch(section, -1) {
			b := block{section: section}
			for line := range strings.Lines(strings.ReplaceAll(found[1], "\\\n", "")) {
				if line = strings.TrimSpace(line); line != "" {
					b.commands = append(b.commands, line)
				}
			}
			g.blocks = append(g.blocks, b)
		}
	}
	t.Setenv("PATH", filepath.Dir(harness.Binary(t))+string(os.PathListSeparator)+os.Getenv("PATH"))
	return g
}

// take turns to the next block, which begins so.
func (g *guide) take(begins string) block {
	g.t.Helper()
	if len(g.blocks) == 0 || !strings.HasPrefix(g.blocks[0].commands[0], begins) {
		g.t.Fatalf("the page goes on with %q, the test with %q", g.blocks, begins)
	}
	b := g.blocks[0]
	g.blocks = g.blocks[1:]
	return b
}

// leave passes over a block that cannot be carried out here, and for which its section names a test.
func (g *guide) leave(begins, test string) {
	g.t.Helper()
	if b := g.take(begins); !strings.Contains(b.section, "`"+test+"`") {
		g.t.Errorf("%q: its section does not name %s", begins, test)
	}
}

// follow carries the next block out. What serves is left running, and waited for once the whole block has begun. It returns
// what the other commands print.
func (g *guide) follow(begins string) (printed []string) {
	g.t.Helper()
	begun := map[string]*harness.Process{}
	for _, command := range g.take(begins).commands {
		line := g.places.Replace(command)
		if m := serving.FindStringSubmatch(command); m != nil {
			begun[m[1]] = harness.Run(g.t, g.dir, nil, "sh", "-c", "exec "+line)
			continue
		}
		out, err := harness.TryOutput(g.dir, "", "sh", "-c", line)
		asked := strings.HasPrefix(command, "redis-cli ")
		if err != nil && !strings.HasPrefix(command, "dtkv doctor ") || asked && failed.MatchString(out) {
			g.t.Fatalf("%s: %v\n%s", command, err, out)
		}
		printed = append(printed, out)
	}
	for addr, p := range begun {
		g.nodes[addr] = p
		if strings.HasPrefix(addr, "10.") { // it has a password, and perhaps TLS: whoever asks has to say more
			continue
		}
		if err := harness.Ready(addr, p); err != nil {
			g.t.Fatalf("%s: %v", begins, err)
		}
	}
	return printed
}

// again starts a node that was stopped as it was formed, without what only a first start needs.
func (g *guide) again(id, port string) {
	g.t.Helper()
	addr := "127.0.0.1:" + port
	g.nodes[addr] = harness.Run(g.t, g.dir, nil, "dtkv", "--node-id", id, "--addr", addr, "--data-dir", "d"+id[1:], "--http-addr", "")
	if err := harness.Ready(addr, g.nodes[addr]); err != nil {
		g.t.Fatal(err)
	}
}

// well waits until so many nodes vote, and dtkv status says of all groups that they are ok.
func (g *guide) well(port, voters string) {
	g.t.Helper()
	harness.Eventually(g.t, voters+" voters, and all is well", func() bool {
		s := harness.Server{Options: harness.Options{Addr: "127.0.0.1:" + port}}
		status, err := s.Status()
		if err != nil || status["voters"] != voters {
			return false
		}
		said, err := harness.TryOutput("", "", "dtkv", "status", "--addr", s.Addr)
		return err == nil && strings.Contains(said, ": ok\n")
	})
}

// cured holds the doctor to have found nothing but what is the machine's.
func (g *guide) cured(said string) {
	g.t.Helper()
	machine := regexp.MustCompile(`(?m)^\d+\. (the disk of|the clocks of|\S+ may open only|\S+ takes \d+ clients)`)
	if all := regexp.MustCompile(`(?m)^\d+\. `); len(all.FindAllString(said, -1)) > len(machine.FindAllString(said, -1)) || !strings.Contains(said, ": ok, ") {
		g.t.Errorf("the doctor finds:\n%s", said)
	}
}

func (g *guide) ask(port string, command ...string) string {
	g.t.Helper()
	return harness.Dial(g.t, "127.0.0.1:"+port).Must(g.t, command...)
}

func (g *guide) want(port, reply string, command ...string) {
	g.t.Helper()
	if got := g.ask(port, command...); got != reply {
		g.t.Errorf("%q at %s is answered %q, want %q", command, port, got, reply)
	}
}
