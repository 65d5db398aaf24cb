package deploy

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/dtkv/dtkv/tests/harness"
)

// decode reads one YAML document; a field that into lacks is an error.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root(t), "deploy"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pod is a container of a manifest, run as a process of this machine with the variables that it would have, and no others.
// Only what a machine shares is put elsewhere: addresses and folders.
type pod struct {
	*harness.Process
	t                *testing.T
	name             string
	addr, peer, http string
	dir              string // holds the container's folders
	env              map[string]string
}

// newPod prepares a container whose peers call it host. DTKV_HTTP_ADDR, where it is set, is put on a port of this machine.
func newPod(t *testing.T, name string) *pod {
	t.Helper()
	p := &pod{t: t, name: name, dir: t.TempDir()}
	for _, addr := range []*string{&p.addr, &p.peer, &p.http} {
		*addr = harness.Loopback(harness.Port(t))
	}
	return p
}

// run starts the container with the variables of its manifest. The hosts map says which address stands for which.
func (p *pod) run(env map[string]string, hosts map[string]string) {
	p.t.Helper()
	everywhere := func(addr string) string { return "0.0.0.0:" + harness.SplitPort(p.t, addr) }
	if !strings.HasPrefix(env["DTKV_ADDR"], "0.0.0.0:") {
		p.t.Errorf("%s listens on %s", p.name, env["DTKV_ADDR"])
	}
	args := []string{"-i"}
	p.env = map[string]string{"DTKV_PEER_ADDR": everywhere(p.peer), "DTKV_HTTP_ADDR": p.http}
	for name, value := range env {
		for host, addr := range hosts {
			value = strings.ReplaceAll(value, host, addr)
		}
		switch {
		case name == "DTKV_ADDR":
			value = everywhere(p.addr)
		case name == "DTKV_HTTP_ADDR":
			value = everywhere(p.http)
		case strings.HasPrefix(value, "/"):
			value = p.dir + value
		}
		p.env[name] = value
	}
	for name, value := range p.env {
		args = append(args, name+"="+value)
	}
	if err := os.MkdirAll(p.dir+"/data", 0o755); err != nil { // the volume
		p.t.Fatal(err)
	}
	p.Process = harness.Run(p.t, "", nil, "/usr/bin/env", append(args, harness.Binary(p.t))...)
}

// place puts a file where the container finds it.
func (p *pod) place(path, from string) {
	p.t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(p.dir+path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(p.dir+path, data, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// probe is what a GET of the health checks says.
func (p *pod) probe(path string) bool {
	reply, err := http.Get("http://" + p.http + path)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, reply.Body)
	reply.Body.Close()
	return reply.StatusCode == http.StatusOK
}

func (p *pod) ready() {
	p.t.Helper()
	harness.Eventually(p.t, p.name+" to be ready", func() bool {
		if !p.Alive() {
			p.t.Fatalf("%s has ended:\n%s", p.name, p.Log())
		}
		return p.probe("/readyz")
	})
}

// reference finds $(NAME).
func reference(value string, env map[string]string) string {
	for name, v := range env {
		value = strings.ReplaceAll(value, "$("+name+")", v)
	}
	return value
}
