package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// image is what came of a Dockerfile: a tree of files, and how to run it.
type image struct {
	root       string // folder that is its /
	env        map[string]string
	user       string
	workdir    string
	entrypoint []string
	health     []string
	exposed    []string
	bases      []string // images that had to be there
}

// builder carries out a Dockerfile. It knows the instructions that ours has, and fails at others.
type builder struct {
	t       *testing.T
	context string // folder that COPY copies from
	args    map[string]string
	stages  map[string]*stage
	last    *stage
}

type stage struct {
	from  string
	steps []step
	built *image
	args  map[string]string
}

type step struct{ word, rest string }

var variable = regexp.MustCompile(`\$\{?([A-Z_]+)\}?`)

// expand replaces $NAME and ${NAME}.
func expand(text string, values map[string]string) string {
	return variable.ReplaceAllStringFunc(text, func(v string) string { return values[strings.Trim(v, "${}")] })
}

// parse reads the Dockerfile. Arguments before the first FROM are for FROM alone.
func (b *builder) parse(path string) {
	b.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	b.stages = map[string]*stage{}
	joined := strings.ReplaceAll(string(text), "\\\n", " ")
	for line := range strings.Lines(joined) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch {
		case word == "FROM":
			from, name, _ := strings.Cut(rest, " AS ")
			b.last = &stage{from: expand(from, b.args), args: maps.Clone(b.args)}
			if name != "" {
				b.stages[name] = b.last
			}
		case b.last == nil && word == "ARG":
			b.argument(b.args, rest)
		case b.last == nil:
			b.t.Fatalf("%s before FROM", word)
		default:
			b.last.steps = append(b.last.steps, step{word, rest})
		}
	}
}

// argument takes an ARG with its default, unless the build was given a value.
func (b *builder) argument(into map[string]string, rest string) {
	name, value, _ := strings.Cut(rest, "=")
	if _, given := b.args[name]; !given {
		into[name] = value
	}
}

// build makes a stage, and those that it needs, and no others.
func (b *builder) build(s *stage) *image {
	b.t.Helper()
	if s.built != nil {
		return s.built
	}
	i := &image{root: b.t.TempDir(), env: map[string]string{}, workdir: "/"}
	if err := os.Chmod(i.root, 0o755); err != nil {
		b.t.Fatal(err)
	}
	s.built = i
	switch base := b.stages[s.from]; {
	case base != nil:
		i.root, i.bases = b.build(base).root, base.built.bases
	case s.from != "scratch":
		i.bases = []string{s.from}
	}
	for _, x := range s.steps {
		b.step(s, i, x)
	}
	return i
}

func (b *builder) step(s *stage, i *image, x step) {
	b.t.Helper()
	switch x.word {
	case "ARG":
		b.argument(s.args, x.rest)
	case "ENV":
		for _, pair := range strings.Fields(x.rest) {
			name, value, ok := strings.Cut(pair, "=")
			if !ok {
				b.t.Fatalf("ENV %s", x.rest)
			}
			i.env[name] = value
		}
	case "USER":
		i.user = x.rest
	case "WORKDIR":
		i.workdir = x.rest
		b.must(os.MkdirAll(i.root+x.rest, 0o755))
		if uid, gid := 0, 0; i.user != "" && os.Getuid() == 0 { // BuildKit gives it to the user
			if _, err := fmt.Sscanf(i.user, "%d:%d", &uid, &gid); err != nil {
				b.t.Fatalf("USER %s: %v", i.user, err)
			}
			b.must(os.Chown(i.root+x.rest, uid, gid))
		}
	case "COPY":
		b.copy(s, i, x.rest)
	case "RUN":
		b.run(s, i, x.rest)
	case "ENTRYPOINT":
		b.must(json.Unmarshal([]byte(x.rest), &i.entrypoint))
	case "HEALTHCHECK":
		_, command, ok := strings.Cut(x.rest, "CMD ")
		if !ok {
			b.t.Fatalf("HEALTHCHECK %s", x.rest)
		}
		b.must(json.Unmarshal([]byte(command), &i.health))
	case "EXPOSE":
		i.exposed = strings.Fields(x.rest)
	case "VOLUME":
		if info, err := os.Stat(i.root + x.rest); err != nil || !info.IsDir() {
			b.t.Errorf("VOLUME %s: %v", x.rest, err)
		}
	default:
		b.t.Fatalf("what is %s?", x.word)
	}
}

func (b *builder) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// copy carries out COPY [--from=stage] source .. destination.
func (b *builder) copy(s *stage, i *image, rest string) {
	b.t.Helper()
	words := strings.Fields(expand(rest, s.args))
	from := b.context
	if name, ok := strings.CutPrefix(words[0], "--from="); ok {
		other := b.stages[name]
		if other == nil {
			b.t.Fatalf("COPY from %s, which is no stage", name)
		}
		built := b.build(other)
		i.bases = append(i.bases, built.bases...)
		from, words = built.root, words[1:]
	}
	to := words[len(words)-1]
	for _, source := range words[:len(words)-1] {
		target := to
		if !strings.HasPrefix(to, "/") {
			target = filepath.Join(i.workdir, to)
		}
		info, err := os.Stat(filepath.Join(from, source))
		b.must(err)
		switch {
		case info.IsDir():
			b.tree(filepath.Join(from, source), i.root+target)
		case strings.HasSuffix(to, "/"):
			b.file(filepath.Join(from, source), filepath.Join(i.root+target, filepath.Base(source)))
		default:
			b.file(filepath.Join(from, source), i.root+target)
		}
	}
}

// tree copies a folder, without what .dockerignore names.
func (b *builder) tree(from, to string) {
	ignored := map[string]bool{}
	if text, err := os.ReadFile(filepath.Join(from, ".dockerignore")); err == nil {
		for _, name := range strings.Fields(string(text)) {
			ignored[filepath.Join(from, name)] = true
		}
	}
	b.must(filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ignored[name] && d.IsDir():
			return fs.SkipDir
		case ignored[name], !d.Type().IsRegular():
			return nil
		}
		b.file(name, filepath.Join(to, strings.TrimPrefix(name, from)))
		return nil
	}))
}

func (b *builder) file(from, to string) {
	b.t.Helper()
	data, err := os.ReadFile(from)
	b.must(err)
	info, err := os.Stat(from)
	b.must(err)
	b.must(os.MkdirAll(filepath.Dir(to), 0o755))
	b.must(os.WriteFile(to, data, info.Mode().Perm()))
	b.must(os.Chmod(to, info.Mode().Perm())) // whatever the mask
}

// run carries out RUN with this machine's tools, on the stage's files. The download of modules is left out: it is there to
// keep them in a layer, and the build that follows gets what it lacks.
func (b *builder) run(s *stage, i *image, rest string) {
	b.t.Helper()
	if rest == "go mod download" {
		return
	}
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(rest, " /", " "+i.root+"/"))
	cmd.Dir = i.root + i.workdir
	cmd.Env = os.Environ()
	for name, value := range s.args {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("RUN %s: %v\n%s", rest, err, out)
	}
}

// dockerfile builds the image with those arguments from that folder.
func dockerfile(t *testing.T, context string, args map[string]string) *image {
	t.Helper()
	b := &builder{t: t, context: context, args: args}
	b.parse(filepath.Join(root(t), "deploy", "Dockerfile"))
	return b.build(b.last)
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// The image is built as it says, and holds one file and one empty folder. It starts as process 1 of its container, as a user
// who may do nothing, in a file system with nothing else in it; serves, tells its health, and ends when it is told to.
func TestTheImage(t *testing.T) {
	i := dockerfile(t, root(t), map[string]string{"VERSION": "9.8.7"})
	if len(i.bases) != 1 || !strings.HasPrefix(i.bases[0], "golang:") {
		t.Errorf("it is built on %q", i.bases)
	}
	var files []string
	err := filepath.WalkDir(i.root, func(name string, _ fs.DirEntry, err error) error {
		files = append(files, strings.TrimPrefix(name, i.root))
		return err
	})
	if want := []string{"", "/data", "/dtkv"}; err != nil || fmt.Sprint(files) != fmt.Sprint(want) {
		t.Errorf("it holds %q, %v", files, err)
	}
	if strings.HasPrefix(i.user, "0") || i.user == "" {
		t.Errorf("it runs as %q", i.user)
	}

	closed := start(t, i, nil)
	if code := closed.Wait(t); code != 1 || !strings.Contains(closed.Log(), "requirepass") {
		t.Errorf("without a password it ends with %d:\n%s", code, closed.Log())
	}

	addr, http := harness.Loopback(harness.Port(t)), harness.Loopback(harness.Port(t))
	env := map[string]string{
		"DTKV_REQUIREPASS": "secret", "DTKV_ALLOW_PLAINTEXT": "yes", "DTKV_HTTP_ADDR": http, // as docker run -e
		"DTKV_ADDR": "0.0.0.0:" + harness.SplitPort(t, addr), "DTKV_PEER_ADDR": "0.0.0.0:" + harness.SplitPort(t, harness.Loopback(harness.Port(t))),
	}
	c := start(t, i, env)
	harness.Eventually(t, "it is ready", func() bool {
		if !c.Alive() {
			t.Fatal("it has ended")
		}
		_, err := c.exec(append(i.health, "--ready")...)
		return err == nil
	})
	if out, err := c.exec(i.health...); err != nil || out != "ok\n" {
		t.Errorf("health: %q, %v", out, err)
	}
	if out, err := c.exec("/dtkv", "version"); err != nil || !strings.HasPrefix(out, "dtkv 9.8.7 ") {
		t.Errorf("version: %q, %v", out, err)
	}
	c.checkInside()
	conn := harness.DialOut(t, addr)
	conn.Want(t, "+OK\r\n", "AUTH", "secret")
	conn.Want(t, "+OK\r\n", "SET", "k", "v")
	c.stop()
	if code := c.Wait(t); code != 0 {
		t.Errorf("it ends with %d:\n%s", code, c.Log())
	}
	if _, err := os.Stat(i.root + "/data/dtkv/dtkv.json"); err != nil {
		t.Error(err)
	}
	if out, err := c.exec(i.health...); err == nil {
		t.Errorf("it is well after its end: %s", out)
	}
}

// Around a binary that is there, the image needs no base.
func TestTheImageOfABinary(t *testing.T) {
	context := t.TempDir()
	if err := os.MkdirAll(filepath.Join(context, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	binary := []byte("this is the binary")
	if err := os.WriteFile(filepath.Join(context, "bin", "dtkv"), binary, 0o755); err != nil {
		t.Fatal(err)
	}
	i := dockerfile(t, context, map[string]string{"BINARY": "prebuilt"})
	if len(i.bases) > 0 {
		t.Errorf("it is built on %q", i.bases)
	}
	if got, err := os.ReadFile(i.root + "/dtkv"); !bytes.Equal(got, binary) {
		t.Errorf("it holds %q, %v", got, err)
	}
}
