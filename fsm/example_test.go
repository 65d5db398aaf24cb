package fsm_test

import (
	"fmt"

	"github.com/dtkv/dtkv/fsm"
)

// Deadlines are in the log's clock. Five seconds pass in the log; nothing passes in this test.
func ExampleMachine_Events() {
	m := fsm.New()
	apply := func(clock int64, op fsm.Op) {
		entry := op.AppendTo(make([]byte, fsm.HeaderSize))
		fsm.SealEntry(entry, fsm.Header{Term: 1, ClusterMillis: clock}, 1)
		e, err := fsm.OpenEntry(entry)
		if err != nil {
			fmt.Println(err)
			return
		}
		e.Index, e.LogTerm = m.View().Index()+1, 1
		if _, err := m.Apply(&e, nil); err != nil {
			fmt.Println(err)
		}
		for _, event := range m.Events() {
			fmt.Println(clock, event.What, event.Key)
		}
	}
	apply(0, &fsm.LeaderStart{Term: 1})
	apply(1_000, &fsm.PutTemp{Key: []byte("worker"), Value: []byte("node-a"), Millis: 5_000, Owner: fsm.Owner{1}})
	apply(6_000, &fsm.ExpireDue{Limit: 100}) // its last millisecond may not be over
	apply(6_001, &fsm.ExpireDue{Limit: 100})
	// Output:
	// 1000 set worker
	// 1000 expire worker
	// 6001 expired worker
}

// A state machine is a fold over entries. Nothing else moves it.
func ExampleMachine_Apply() {
	// A leader writes the operations of many connections behind one header.
	ops := []fsm.Op{
		&fsm.MakeDir{Key: []byte("config")},
		&fsm.Set{Key: []byte("config.mode"), Value: []byte("fast")},
		&fsm.Set{Key: []byte("cache.size"), Value: []byte("1")},
	}
	entry := make([]byte, fsm.HeaderSize)
	for _, op := range ops {
		entry = op.AppendTo(entry)
	}
	fsm.SealEntry(entry, fsm.Header{Term: 1, WallMillis: 1_700_000_000_000}, len(ops))

	// Every node reads the same bytes at the same index, and comes to the same state and the same results.
	e, err := fsm.OpenEntry(entry)
	if err != nil {
		fmt.Println(err)
		return
	}
	e.Index, e.LogTerm = 1, 1
	m := fsm.New()
	results, err := m.Apply(&e, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range results {
		fmt.Println(r.Int, r.Err)
	}
	n, _ := m.View().Lookup([]byte("config.mode"))
	fmt.Println(n.Value, n.Created.Index)

	// Output:
	// 1 <nil>
	// 1 <nil>
	// 0 parent directory 'cache' does not exist
	// fast 1
}
