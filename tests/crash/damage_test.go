package crash

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// damaged is one kind of file of a data directory, and how often it is harmed.
type damaged struct {
	name      string
	glob      string // below the data directory; the newest match is harmed
	flips     int
	truncates int
}

// images are the data directories that are harmed: of each log store, ended by SIGTERM and by kill -9.
var images = []struct {
	store  string
	killed bool
	files  []damaged
}{
	{"wal", false, []damaged{
		{"log segment", "groups/0/wal/*.wal", 40, 12},
		{"log metadata", "groups/0/wal/wal-meta.db", 12, 4},
		{"snapshot", "groups/0/snapshots/*/state.bin", 40, 12},
		{"snapshot metadata", "groups/0/snapshots/*/meta.json", 12, 4},
		{"term and vote", "groups/0/stable.db", 12, 4},
		{"high-water mark", "groups/0/mark", 8, 2},
		{"node metadata", "dtkv.json", 8, 2},
	}},
	{"wal", true, []damaged{{"log segment", "groups/0/wal/*.wal", 40, 12}}},
	{"bolt", false, []damaged{{"log", "groups/0/log.db", 40, 12}}},
	{"bolt", true, []damaged{{"log", "groups/0/log.db", 40, 12}}},
}

const damagedKeys = 300

var harms = flag.Int("harms", 1, "times so many flips and cuts of each file")

// A node whose files were harmed while it was down refuses to start and says which file, or serves every acknowledged
// write. It never starts without some of them.
func TestDamagedFilesAreNeverASilentLoss(t *testing.T) {
	harness.Alone(t, "it is about the files of one node")
	for _, image := range images {
		dir, want := written(t, image.store, image.killed)
		end := " after SIGTERM "
		if image.killed {
			end = " after kill -9 "
		}
		for _, d := range image.files {
			t.Run(image.store+end+d.name, func(t *testing.T) {
				t.Parallel()
				harm(t, image.store, dir, want, d)
			})
		}
	}
}

// written makes a data directory with a snapshot and a log behind it. It returns what was acknowledged.
func written(t *testing.T, store string, kill bool) (dir string, want map[string]string) {
	t.Helper()
	dir, want = t.TempDir(), map[string]string{}
	s := harness.Start(t, harness.Options{DataDir: dir, LogStore: store, SnapshotEntries: 500})
	c := harness.Dial(t, s.Addr)
	set := func(i int) {
		key, value := fmt.Sprintf("k%d", i%damagedKeys), fmt.Sprintf("%d:%s", i, strings.Repeat("v", 80+i%50))
		c.Want(t, "+OK\r\n", "SET", key, value)
		want[key] = value
	}
	for i := range 550 {
		set(i)
	}
	harness.Eventually(t, "a finished snapshot", func() bool {
		done, err := filepath.Glob(filepath.Join(dir, "groups", "0", "snapshots", "*", "state.bin"))
		return err == nil && len(done) > 0 && !strings.Contains(done[0], ".tmp") && !writingSnapshot(t, dir)
	})
	for i := range 100 {
		set(1000 + i)
	}
	if kill {
		s.Kill()
	} else if code := s.Stop(t); code != 0 {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, s.Log())
	}
	return dir, want
}

func harm(t *testing.T, store, dir string, want map[string]string, d damaged) {
	random := rand.New(rand.NewPCG(*seed, 1))
	matches, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(d.glob)))
	if err != nil || len(matches) == 0 {
		t.Fatalf("no file %s: %v", d.glob, err)
	}
	file, err := filepath.Rel(dir, matches[len(matches)-1])
	if err != nil {
		t.Fatal(err)
	}
	used := usedBytes(t, filepath.Join(dir, file))
	counts := map[outcome]int{}
	count := func(harm string, change func(path string) error) {
		t.Run(harm, func(t *testing.T) { counts[start(t, store, dir, file, want, change)]++ })
	}
	flips, truncates := d.flips**harms, d.truncates**harms
	for i := range flips {
		offset := pick(random, i, flips, used)
		bit := random.IntN(8)
		count(fmt.Sprintf("bit %d of byte %d flipped", bit, offset), func(path string) error { return flip(path, offset, 1<<bit) })
	}
	for i := range truncates {
		size := pick(random, i, truncates, used)
		count(fmt.Sprintf("cut to %d bytes", size), func(path string) error { return os.Truncate(path, size) })
	}
	t.Logf("%s, %d bytes in use: refused %d, served everything %d", file, used, counts[refused], counts[served])
}

// pick spreads n choices over the bytes in use, with the first and the last of them always among them.
func pick(random *rand.Rand, i, n int, used int64) int64 {
	switch i {
	case 0:
		return 0
	case n - 1:
		return used - 1
	}
	low, high := used*int64(i)/int64(n), used*int64(i+1)/int64(n)
	return low + random.Int64N(max(high-low, 1))
}

// outcome is how a start on damaged files ended without a silent loss.
type outcome int

const (
	refused outcome = iota // with a message that names the file
	served                 // all that was acknowledged
)

// start harms a copy of the data directory and starts a node on it.
func start(t *testing.T, store, dir, file string, want map[string]string, change func(path string) error) outcome {
	t.Helper()
	scratch := t.TempDir()
	if err := copyTree(dir, scratch); err != nil {
		t.Fatal(err)
	}
	if err := change(filepath.Join(scratch, file)); err != nil {
		t.Fatal(err)
	}
	s := harness.Launch(t, harness.Options{DataDir: scratch, LogStore: store})
	defer s.Kill()
	if err := harness.Ready(s.Addr, s.Process); err != nil {
		if s.Alive() {
			t.Fatalf("neither refused nor served: %v", err)
		}
		code, said := s.Wait(t), s.Log()
		if code <= 0 || !strings.Contains(said, scratch) || strings.Contains(said, "goroutine ") {
			t.Errorf("refused with exit code %d, and no clear message that names the file", code)
		}
		return refused
	}
	c := harness.Dial(t, s.Addr)
	defer c.Close()
	lost := 0
	for k, v := range want {
		if get(t, c, k) != v {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged writes are silently lost", lost, len(want))
	}
	return served
}

func flip(path string, offset int64, bit byte) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var b [1]byte
	if _, err = f.ReadAt(b[:], offset); err == nil {
		b[0] ^= bit
		_, err = f.WriteAt(b[:], offset)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// usedBytes is the length of a file without the zeros at its end: log segments are allocated in advance.
func usedBytes(t *testing.T, path string) int64 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := len(data)
	for n > 1 && data[n-1] == 0 {
		n--
	}
	return int64(n)
}

// copyTree copies a data directory and leaves holes where there are only zeros, so that a segment of 64 MiB is cheap.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	buf := make([]byte, 64<<10)
	var at int64
	for {
		n, err := io.ReadFull(in, buf)
		if n > 0 && strings.Trim(string(buf[:n]), "\x00") != "" {
			if _, err := out.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return out.Truncate(at)
		}
		if err != nil {
			return err
		}
	}
}
