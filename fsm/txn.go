package fsm

// Batch carries out operations in order, each with a result of its own and none undone (BATCHPUT, BATCHREMOVE).
// Result: List has one result per operation. A Batch may not hold a LeaderStart, a Txn or another Batch.
type Batch struct {
	Ops []Op

	packed packed // how Apply meets the operations; Ops is then nil
}

func (o *Batch) apply(m *Machine) Result {
	return Result{List: m.run(o.packed, classBatch, nil)}
}

// Watch is a key and the version a client saw: Updated.Index of its node, 0 when it was absent.
type Watch struct {
	Key     []byte
	Version uint64
}

// Txn carries out operations in order if no watched key has changed, each with a result of its own and none undone
// (EXEC). Result: Found says whether it was carried out, List has one result per operation. A Txn may not hold a
// LeaderStart or another Txn.
type Txn struct {
	Watches []Watch
	Ops     []Op

	packed packed // how Apply meets the operations; Ops is then nil
}

func (o *Txn) apply(m *Machine) Result {
	for _, w := range o.Watches {
		var version uint64
		if n, ok := m.View().Lookup(w.Key); ok {
			version = n.Updated.Index
		}
		if version != w.Version {
			return nothing
		}
	}
	return Result{Found: true, List: m.run(o.packed, classTxn, m.see)}
}

// packed is a run of encoded operations, decoded one at a time as they are applied.
type packed struct {
	data  []byte
	count int
}

// run applies operations that verify has looked at, and shows see the state before each and after the last.
func (m *Machine) run(ops packed, limit class, see func(op, pos int, v View)) []Result {
	list := make([]Result, 0, ops.count)
	d := decoder{data: ops.data, scratch: &m.scratch}
	for i := range ops.count {
		if see != nil {
			see(m.pos, i, m.View())
		}
		list = append(list, d.op(limit).apply(m))
	}
	if see != nil {
		see(m.pos, ops.count, m.View())
	}
	return list
}
