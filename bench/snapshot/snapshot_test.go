package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

func TestWritesAreSortedBySnapshot(t *testing.T) {
	at := func(seconds float64) time.Time {
		return time.Unix(0, 0).Add(time.Duration(seconds * float64(time.Second)))
	}
	seen := &snapshots{spans: []span{{at(10), at(12), 5 << 20}, {at(20), at(21), 6 << 20}}}
	r := report{Keys: 1}
	var samples []load.Sample
	for i, due := range []float64{9, 9.8, 11, 12.3, 15, 20.5, 22} {
		samples = append(samples, load.Sample{At: at(due), Took: time.Duration(i + 1)})
	}
	r.split(samples, seen)
	if r.Quiet.Count != 3 || r.Quiet.Largest != 7 || r.During.Count != 4 || r.During.Largest != 6 {
		t.Errorf("quiet %+v, during %+v", r.Quiet, r.During)
	}
	if len(r.Snapshots) != 2 || r.Snapshots[0] != 2 || r.Size != 6<<20 {
		t.Errorf("snapshots %v of %d bytes", r.Snapshots, r.Size)
	}
}

func TestSnapshotsAreSeenOnDisk(t *testing.T) {
	dir := t.TempDir()
	store := filepath.Join(dir, "groups", "0", "snapshots")
	seen := &snapshots{dir: dir}
	if busy, bytes := seen.look(); busy || bytes != 0 {
		t.Errorf("an empty directory: %v, %d bytes", busy, bytes)
	}
	if err := os.MkdirAll(filepath.Join(store, "1-2-3"+unfinished), 0o700); err != nil {
		t.Fatal(err)
	}
	if busy, _ := seen.look(); !busy {
		t.Error("a snapshot in the making was overlooked")
	}
	if err := os.Rename(filepath.Join(store, "1-2-3"+unfinished), filepath.Join(store, "1-2-3")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(store, "1-2-3", "state.bin"), make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if busy, bytes := seen.look(); busy || bytes != 100 {
		t.Errorf("a finished snapshot: %v, %d bytes; want 100", busy, bytes)
	}
}

func TestASnapshotIsNotBlamedForABusyMachine(t *testing.T) {
	const slow, quick = mustWrite + 1, mustWrite
	for _, tt := range []struct {
		quiet, during time.Duration
		want          string
	}{{quick, quick, "reached"}, {slow, quick, "reached"}, {quick, slow, "MISSED"}, {slow, slow, "UNCLEAR"}} {
		r := report{Quiet: load.Latencies{P999: tt.quiet}, During: load.Latencies{P999: tt.during}}
		if got := r.writeVerdict(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("outside %v, during %v: %s, want %s", tt.quiet, tt.during, got, tt.want)
		}
	}
}

func TestReportSaysWhatWasMissed(t *testing.T) {
	r := report{Keys: 1000, Restart: 2, During: load.Latencies{Count: 9, P999: 51 * time.Millisecond}}
	r.Memory.Filled, r.Memory.Redis = memory{Resident: 500_000}, memory{Resident: 400_000}
	if r.Met() {
		t.Error("51 ms were accepted where 50 ms are due")
	}
	var out strings.Builder
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"51.00 ms during a snapshot, must be at most 50ms: MISSED", "2.00 s until the first read, must be at most 10 s: reached", "resident 500 0 0 400"} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}
