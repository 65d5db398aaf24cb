package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// unit reads a unit of systemd: sections, and the values of each key in order.
func unit(t *testing.T, text string) map[string][]string {
	t.Helper()
	values, section := map[string][]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok {
				t.Fatalf("what is %q?", line)
			}
			values[section+"."+key] = append(values[section+"."+key], value)
		}
	}
	return values
}

// The unit is one that systemd accepts and calls well shut in, and what it starts runs, and ends when it is told to.
func TestTheUnit(t *testing.T) {
	text := read(t, "systemd", "dtkv.service")
	u := unit(t, text)
	for key, want := range map[string]string{
		"Unit.StartLimitBurst": "5", "Service.Restart": "on-failure", "Service.RestartPreventExitStatus": "2",
		"Service.KillSignal": "SIGTERM", "Service.User": "dtkv", "Service.StateDirectory": "dtkv", "Service.ProtectSystem": "strict",
	} {
		if got := strings.Join(u[key], "|"); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	words := strings.Fields(u["Service.ExecStart"][0])
	if words[0] != "/usr/local/bin/dtkv" || words[2] != "--config" || words[3] != "/etc/dtkv/dtkv.conf" {
		t.Fatalf("it starts %q", words)
	}
	binary, dir := harness.Binary(t), t.TempDir()
	checkUnit(t, strings.ReplaceAll(text, words[0], binary))

	conf := read(t, "systemd", "dtkv.conf")
	if !strings.Contains(conf, "\ndata-dir /var/lib/"+u["Service.StateDirectory"][0]+"\n") {
		t.Errorf("the data is not in the directory of the unit:\n%s", conf)
	}
	addr, peer, data := harness.Loopback(harness.Port(t)), harness.Loopback(harness.Port(t)), filepath.Join(dir, "data")
	conf = strings.ReplaceAll(conf, "/var/lib/dtkv", data) + "addr " + addr + "\npeer-addr " + peer + "\nhttp-addr\n"
	words[0], words[3] = binary, filepath.Join(dir, "dtkv.conf")
	if err := os.WriteFile(words[3], []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	p := harness.Run(t, dir, nil, words[0], words[1:]...)
	if err := harness.Ready(addr, p); err != nil {
		t.Fatal(err)
	}
	p.Signal(t, syscall.SIGTERM)
	if code := p.Wait(t); code != 0 {
		t.Errorf("it ends with %d", code)
	}

	// The lines that the file proposes are options, and make a node that may be reached.
	proposed := strings.ReplaceAll(read(t, "systemd", "dtkv.conf"), "\n# ", "\n")
	options := 0
	for line := range strings.Lines(proposed) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != "#" && (strings.HasPrefix(value, "/") || strings.Contains(value, "10.0.0.1") || name == "node-id") {
			out, err := harness.TryOutput("", "", binary, "serve", "--"+name, value, "--max-clients", "0") // which it refuses
			if options++; err == nil || !strings.Contains(out, "max-clients") {
				t.Errorf("%s: %s", line, out)
			}
		}
	}
	if options != 8 {
		t.Errorf("%d options in\n%s", options, proposed)
	}
}

// checkUnit lets systemd judge, where it is installed.
func checkUnit(t *testing.T, text string) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Log("no systemd-analyze here")
		return
	}
	path := filepath.Join(t.TempDir(), "dtkv.service")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := harness.TryOutput("", "", "systemd-analyze", "verify", path); err != nil || strings.Contains(out, "dtkv.service") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := harness.TryOutput("", "", "systemd-analyze", "security", "--offline=true", "--threshold=20", path); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
