package main

import (
	"regexp"
	"testing"

	"github.com/dtkv/dtkv/fsm"
)

func TestInspectTellsOfLifetimesAndLocks(t *testing.T) {
	m := fsm.New()
	ops := []fsm.Op{
		&fsm.LeaderStart{Term: 1},
		&fsm.Set{Key: []byte("permanent")},
		&fsm.Set{Key: []byte("expiring"), TTL: fsm.TTL{Millis: 10}},
		&fsm.PutTemp{Key: []byte("temporary"), Millis: 20, Owner: fsm.Owner{1}},
		&fsm.AcquireLock{Key: []byte("lock"), Owner: fsm.Owner{1}, Lease: 30},
		&fsm.AcquireLock{Key: []byte("lock"), Owner: fsm.Owner{2}, Lease: 30, Wait: 40},
	}
	data := make([]byte, fsm.HeaderSize)
	for _, op := range ops {
		data = op.AppendTo(data)
	}
	fsm.SealEntry(data, fsm.Header{Term: 1}, len(ops))
	e, err := fsm.OpenEntry(data)
	if err != nil {
		t.Fatal(err)
	}
	e.Index, e.LogTerm = 1, 1
	if _, err := m.Apply(&e, nil); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"permanent": `^$`,
		"expiring":  `^ deadline 10$`,
		"temporary": `^ deadline 20 owner [0-9a-f]{8}$`,
		"lock":      `^ token 1 held by [0-9a-f]{8} until 30, [0-9a-f]{8} waits until 40$`,
	} {
		n, ok := m.View().Lookup([]byte(key))
		if !ok {
			t.Fatalf("%s is not there", key)
		}
		if got := lifetime(n); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: %q, want %s", key, got, want)
		}
	}
}
