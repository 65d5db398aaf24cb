package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtkv/dtkv/fsm"
)

func bothStores(t *testing.T, test func(t *testing.T, store LogStore)) {
	for _, store := range []LogStore{StoreWAL, StoreBolt} {
		t.Run(string(store), func(t *testing.T) { test(t, store) })
	}
}

func TestWritesSurviveARestart(t *testing.T) {
	bothStores(t, func(t *testing.T, store LogStore) {
		cfg := Config{DataDir: t.TempDir(), LogStore: store}
		n, g := openSingle(t, cfg)
		for i := range 50 {
			mustSet(t, g, fmt.Sprint("k", i), fmt.Sprint("v", i))
		}
		want := contents(g)
		closeNode(t, n)

		n, g = openSingle(t, cfg)
		defer closeNode(t, n)
		if got := get(t, g, "k49"); got != "v49" {
			t.Fatalf("after the restart: %s", got)
		}
		if contents(g) != want {
			t.Fatal("the state differs after the restart")
		}
	})
}

func TestSnapshotsCutTheLogAndSurviveARestart(t *testing.T) {
	bothStores(t, func(t *testing.T, store LogStore) {
		cfg := Config{DataDir: t.TempDir(), LogStore: store, SnapshotEntries: 100}
		n, g := openSingle(t, cfg)
		for i := range 300 {
			mustSet(t, g, fmt.Sprint("k", i%7), fmt.Sprint("v", i))
		}
		eventually(t, "automatic snapshot", func() bool { return g.Status().Snapshots > 0 })
		mustSet(t, g, "last", "one")
		want := contents(g)
		closeNode(t, n)

		n, g = openSingle(t, cfg)
		defer closeNode(t, n)
		if contents(g) != want {
			t.Fatal("the state differs after the restart")
		}
	})
}

func TestOneProposalIsOneEntry(t *testing.T) {
	n, g := openSingle(t, Config{})
	defer closeNode(t, n)
	p := proposal(setTo("a", "1"), &fsm.Increment{Key: []byte("a"), By: 4}, &fsm.MakeDir{Key: []byte("d")})
	if err := g.Propose(testContext(t), p); err != nil {
		t.Fatal(err)
	}
	if len(p.Results) != 3 || p.Results[1].Int != 5 || p.Results[2].Int != 1 {
		t.Fatalf("results: %+v", p.Results)
	}
	err := g.Read(testContext(t), func(v fsm.View) {
		a, _ := v.Lookup([]byte("a"))
		d, _ := v.Lookup([]byte("d"))
		if a.Updated.Index != d.Created.Index {
			t.Errorf("indexes %d and %d", a.Updated.Index, d.Created.Index)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentProposalsGetTheirOwnResults(t *testing.T) {
	n, g := openSingle(t, Config{})
	defer closeNode(t, n)
	var wg sync.WaitGroup
	for c := range 20 {
		wg.Go(func() {
			p := &Proposal{}
			for i := range 50 {
				p.Ops, p.N = p.Ops[:0], 0
				for range 1 + i%3 {
					p.Ops = (&fsm.Increment{Key: fmt.Append(nil, "c", c), By: 1}).AppendTo(p.Ops)
					p.N++
				}
				before := int64(0)
				if i > 0 {
					before = p.Results[len(p.Results)-1].Int
				}
				if err := g.Propose(testContext(t), p); err != nil {
					t.Error(err)
					return
				}
				for j, r := range p.Results {
					if r.Int != before+int64(j)+1 {
						t.Errorf("client %d round %d: got %d, want %d", c, i, r.Int, before+int64(j)+1)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestFrozenViewsDoNotChange(t *testing.T) {
	n, g := openSingle(t, Config{})
	defer closeNode(t, n)
	mustSet(t, g, "k", "before")
	v, err := g.Frozen(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	mustSet(t, g, "k", "after")
	if n, _ := v.Lookup([]byte("k")); n.Value != "before" {
		t.Fatalf("the frozen value is %q", n.Value)
	}
}

func TestObserversSeeTheirOwnTransaction(t *testing.T) {
	n, g := openSingle(t, Config{})
	defer closeNode(t, n)
	p := proposal(setTo("k", "0"), &fsm.Txn{Ops: []fsm.Op{setTo("k", "1"), setTo("k", "2")}})
	var seen []string
	p.See = func(op, pos int, v fsm.View) {
		n, _ := v.Lookup([]byte("k"))
		seen = append(seen, fmt.Sprintf("%d/%d=%s", op, pos, n.Value))
	}
	if err := g.Propose(testContext(t), p); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(seen, " "); got != "1/0=0 1/1=1 1/2=2" {
		t.Fatalf("seen %q", got)
	}
}

func TestProposalsAreBounded(t *testing.T) {
	stall := newStallPoint()
	n, g := openSingle(t, Config{stall: stall, DiskStall: time.Hour})
	g.proposals.limit = 10_000
	if err := g.Propose(testContext(t), &Proposal{Ops: make([]byte, MaxProposal+1), N: 1}); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("a proposal above the limit: %v", err)
	}
	stall.on.Store(true)
	var wg sync.WaitGroup
	answers := make(chan error, 40)
	for i := range 40 {
		wg.Go(func() { answers <- g.Propose(testContext(t), proposal(setTo(fmt.Sprint("k", i), text(1000)))) })
	}
	busy, done := 0, 0
	for range 40 - 11 { // one in flight and nine waiting at most
		if err := <-answers; !errors.Is(err, ErrBusy) {
			t.Fatalf("at the bound: got %v, want ErrBusy", err)
		}
		busy++
	}
	stall.on.Store(false)
	close(stall.released)
	for range 11 {
		switch err := <-answers; {
		case err == nil:
			done++
		case errors.Is(err, ErrBusy):
			busy++
		default:
			t.Fatal(err)
		}
	}
	wg.Wait()
	if done == 0 || done+busy != 40 {
		t.Fatalf("%d done, %d busy", done, busy)
	}
	closeNode(t, n)
}

func TestAHungDiskIsFatal(t *testing.T) {
	stall := newStallPoint()
	n, g := openSingle(t, Config{DiskStall: 100 * time.Millisecond})
	g.stores.log.LogStore = hangingLog{g.stores.log.LogStore, stall}
	stall.on.Store(true)
	go g.Propose(context.Background(), proposal(setTo("k", "v")))
	select {
	case err := <-n.Fatal():
		if !strings.Contains(err.Error(), "disk") {
			t.Fatalf("reason: %v", err)
		}
	case <-time.After(testTimeout):
		t.Fatal("no fatal reason")
	}
	stall.on.Store(false)
	close(stall.released)
	closeNode(t, n)
}

func TestADiskErrorIsFatalAndTheWriteInDoubt(t *testing.T) {
	n, g := openSingle(t, Config{})
	g.stores.log.LogStore = failingLog{g.stores.log.LogStore}
	answer := make(chan error, 1)
	go func() { answer <- g.Propose(context.Background(), proposal(setTo("k", "v"))) }()
	select {
	case err := <-n.Fatal():
		if !errors.Is(err, errDisk) {
			t.Fatalf("reason: %v", err)
		}
	case <-time.After(testTimeout):
		t.Fatal("no fatal reason")
	}
	n.Close()
	if err := <-answer; !errors.Is(err, ErrInDoubt) {
		t.Fatalf("the write: %v, want ErrInDoubt", err)
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		n, g := openSingle(t, Config{})
		mustSet(t, g, "k", "v")
		closeNode(t, n)
		if err := g.Propose(testContext(t), proposal(setTo("k", "v"))); !errors.Is(err, ErrClosed) && !errors.Is(err, ErrNoLeader) {
			t.Fatalf("after close: %v", err)
		}
	}
	// raft-wal's rotation goroutine ends only with the process: one for each log opened.
	eventually(t, "return to the former number of goroutines", func() bool { return runtime.NumGoroutine() <= before+3 })
}

func TestDamagedStoresAreRefused(t *testing.T) {
	bothStores(t, func(t *testing.T, store LogStore) {
		cfg := Config{DataDir: t.TempDir(), LogStore: store, SnapshotEntries: 40}
		n, g := openSingle(t, cfg)
		for i := range 60 {
			mustSet(t, g, fmt.Sprint("key", i), text(500))
		}
		eventually(t, "automatic snapshot", func() bool { return g.Status().SnapshotIndex > 0 })
		want, members := contents(g), g.Status().Members
		closeNode(t, n)
		dir := filepath.Join(cfg.DataDir, groupDir, "0")
		states, err := filepath.Glob(filepath.Join(dir, snapshotDir, "*", "*"))
		if err != nil || len(states) < 2 {
			t.Fatalf("snapshot files: %v, %v", states, err)
		}
		for _, path := range states {
			good := read(t, path)
			for at := 0; at < len(good); at += max(len(good)/40, 1) {
				bad := append([]byte(nil), good...)
				bad[at] ^= 0x20
				write(t, path, bad)
				cfg := cfg
				cfg.PeerAddr, cfg.Logger, cfg.heartbeat = "127.0.0.1:0", quietLogger(), 50*time.Millisecond
				n, err := Open(cfg)
				if err != nil {
					continue
				}
				// What is accepted must not matter: JSON has blanks, and fields that nobody reads.
				g, _ := n.Group(0)
				if err := g.Ready(testContext(t)); err != nil {
					t.Fatal(err)
				}
				if got := g.Status(); contents(g) != want || fmt.Sprint(got.Members) != fmt.Sprint(members) {
					t.Errorf("%s with a flipped byte at %d was accepted", filepath.Base(path), at)
				}
				n.Close()
			}
			write(t, path, good)
		}
		n, _ = openSingle(t, cfg)
		closeNode(t, n)
	})
}

func TestALostTailIsRefused(t *testing.T) {
	cfg := Config{DataDir: t.TempDir()}
	n, g := openSingle(t, cfg)
	mustSet(t, g, "k", "old")
	closeNode(t, n)
	old := t.TempDir()
	if err := os.CopyFS(old, os.DirFS(cfg.DataDir)); err != nil {
		t.Fatal(err)
	}
	n, g = openSingle(t, cfg)
	mustSet(t, g, "k", "new")
	closeNode(t, n)

	// Somebody puts an old image of the log back, but not of the mark.
	walPath := filepath.Join(cfg.DataDir, groupDir, "0", walDir)
	if err := os.RemoveAll(walPath); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(walPath, os.DirFS(filepath.Join(old, groupDir, "0", walDir))); err != nil {
		t.Fatal(err)
	}
	cfg.PeerAddr, cfg.Logger = "127.0.0.1:0", quietLogger()
	if n, err := Open(cfg); err == nil {
		n.Close()
		t.Fatal("a log without its tail was accepted")
	} else if !strings.Contains(err.Error(), "lost committed entries") {
		t.Fatalf("reason: %v", err)
	}
}

func TestDataDirectories(t *testing.T) {
	open := func(cfg Config) error {
		cfg.PeerAddr, cfg.Logger = "127.0.0.1:0", quietLogger()
		n, err := Open(cfg)
		if err == nil {
			n.Close()
		}
		return err
	}
	mine := t.TempDir()
	n, _ := openSingle(t, Config{DataDir: mine, NodeID: "a"})
	if err := open(Config{DataDir: mine}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a locked directory: %v", err)
	}
	closeNode(t, n)

	foreign := t.TempDir()
	write(t, filepath.Join(foreign, "thesis.tex"), []byte("..."))
	damaged := t.TempDir()
	write(t, filepath.Join(damaged, metaFile), []byte("{"))
	newer := t.TempDir()
	write(t, filepath.Join(newer, metaFile), []byte(`{"version": 99, "node_id": "n1", "cluster_id": "x"}`))
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"a directory with other files is refused", Config{DataDir: foreign}, "not a dtkv data directory"},
		{"damaged metadata is refused", Config{DataDir: damaged}, "damaged"},
		{"a directory of a newer release is refused", Config{DataDir: newer}, "newer release"},
		{"another node's directory is refused", Config{DataDir: mine, NodeID: "b"}, `belongs to node "a"`},
		{"another log store is refused", Config{DataDir: mine, LogStore: StoreBolt}, "--log-store wal"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := open(test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestSubmittedProposalsLearnTheirFate(t *testing.T) {
	n, g := openSingle(t, Config{})
	fates := make(chan error, 3)
	var list []*Proposal
	for i := range 3 {
		p := proposal(setTo(fmt.Sprint("k", i), "v"))
		p.Done = func(err error) { fates <- err }
		list = append(list, p)
	}
	if !g.Submit(list) {
		t.Fatal("a leader refused")
	}
	for range list {
		if err := <-fates; err != nil {
			t.Fatal(err)
		}
	}
	if len(list[2].Results) != 1 || get(t, g, "k2") != "v" {
		t.Fatalf("results %+v", list[2].Results)
	}
	closeNode(t, n)
	if g.Submit(list) {
		t.Fatal("a closed group took proposals")
	}
}

func TestSubmittedProposalsThatNobodyDecidesAreInDoubt(t *testing.T) {
	n, g := openSingle(t, Config{})
	g.stores.log.LogStore = failingLog{g.stores.log.LogStore}
	fate := make(chan error, 1)
	p := proposal(setTo("k", "v"))
	p.Done = func(err error) { fate <- err }
	if !g.Submit([]*Proposal{p}) {
		t.Fatal("a leader refused")
	}
	<-n.Fatal()
	n.Close()
	if err := <-fate; !errors.Is(err, ErrInDoubt) {
		t.Fatalf("the write: %v, want ErrInDoubt", err)
	}
}
