package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// composition is what we use of a compose file.
type composition struct {
	Node        any                `yaml:"x-node"`
	Environment any                `yaml:"x-environment"`
	Services    map[string]service `yaml:"services"`
	Volumes     map[string]any     `yaml:"volumes"`
}

type service struct {
	Image string `yaml:"image"`
	Build struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"build"`
	Restart         string            `yaml:"restart"`
	StopGracePeriod string            `yaml:"stop_grace_period"`
	ReadOnly        bool              `yaml:"read_only"`
	CapDrop         []string          `yaml:"cap_drop"`
	SecurityOpt     []string          `yaml:"security_opt"`
	Environment     map[string]string `yaml:"environment"`
	Ports           []string          `yaml:"ports"`
	Volumes         []string          `yaml:"volumes"`
}

// The three services of the compose file are a cluster that asks for the password.
func TestCompose(t *testing.T) {
	var c composition
	decode(t, read(t, "compose.yaml"), &c)
	context := filepath.Join(root(t), "deploy", c.Services["n1"].Build.Context)
	image := dockerfileEnv(t, filepath.Join(context, c.Services["n1"].Build.Dockerfile))
	hosts := map[string]string{}
	pods := map[string]*pod{}
	var ports []string
	for name, s := range c.Services {
		pods[name] = newPod(t, name)
		hosts[name+":16379"] = pods[name].peer
		host, port, _ := strings.Cut(s.Ports[0], ":")
		ports = append(ports, port)
		if volume, at, _ := strings.Cut(s.Volumes[0], ":"); host != "127.0.0.1" || at != "/data" || len(s.Ports)+len(s.Volumes) != 2 {
			t.Errorf("%s: ports %q, volumes %q", name, s.Ports, s.Volumes)
		} else if _, declared := c.Volumes[volume]; !declared || volume != name {
			t.Errorf("%s keeps its data in %s, declared: %t", name, volume, declared)
		}
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || !strings.HasPrefix(s.Restart, "on-failure:") {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if slices.Sort(ports); fmt.Sprint(ports) != "[7001:6379 7002:6379 7003:6379]" {
		t.Errorf("ports %q", ports)
	}
	for name, s := range c.Services {
		env := map[string]string{}
		for k, v := range image {
			env[k] = v
		}
		for k, v := range s.Environment {
			if k == "DTKV_REQUIREPASS" {
				if !strings.HasPrefix(v, "${DTKV_PASSWORD:?") || !strings.HasSuffix(v, "}") {
					t.Errorf("the password is %s", v)
				}
				v = "secret"
			}
			env[k] = v
		}
		pods[name].run(env, hosts)
	}
	for _, p := range pods {
		p.ready()
	}
	for i, cmd := range [][]string{{"SET", "hello", "world"}, {"GET", "hello"}, {"GET", "hello"}} {
		conn := harness.DialOut(t, pods[fmt.Sprintf("n%d", i+1)].addr)
		conn.Want(t, "-NOAUTH Authentication required.\r\n", cmd...)
		conn.Want(t, "+OK\r\n", "AUTH", "secret")
		if got := conn.Must(t, cmd...); got != "+OK\r\n" && got != "$5\r\nworld\r\n" {
			t.Errorf("%q answers %q", cmd, got)
		}
	}
}

// dockerfileEnv is the environment of the image, read from its last stage.
func dockerfileEnv(t *testing.T, path string) map[string]string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	b := &builder{t: t, args: map[string]string{}}
	b.parse(path)
	i := &image{env: map[string]string{}}
	for _, x := range b.last.steps {
		if x.word == "ENV" {
			b.step(b.last, i, x)
		}
	}
	return i.env
}
