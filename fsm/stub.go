package fsm

import "io"

// This file holds the surface that is not filled in yet.

type View struct{ m *Machine }

func (v View) Index() uint64                                                           { return 0 }
func (v View) Term() uint64                                                            { return 0 }
func (v View) LeaderTerm() uint64                                                      { return 0 }
func (v View) ClusterMillis() int64                                                    { return 0 }
func (v View) Len() int                                                                { return 0 }
func (v View) Nodes() int                                                              { return 0 }
func (v View) Lookup(key []byte) (*Node, bool)                                         { return nil, false }
func (v View) Children(dir, after []byte, fn func(name string, n *Node) bool)          {}
func (v View) Ascend(fn func(*Node) bool)                                              {}
func (v View) Subtree(dir []byte, fn func(*Node) bool)                                 {}
func (v View) Scan(cursor uint64, count int, fn func(*Node)) (next uint64)             { return 0 }
func (v View) ScanKind(k Kind, cursor uint64, count int, fn func(*Node)) (next uint64) { return 0 }
func (v View) Random(seed uint64) (*Node, bool)                                        { return nil, false }
func (v View) Digest() [32]byte                                                        { return [32]byte{} }

// ValueDigest returns the XXH3-64 of a value as 16 hexadecimal characters in lower case, as DIGEST prints it.
func ValueDigest(value string) string { return "" }

// CheckDigest reports whether text may be compared with a ValueDigest: 16 hexadecimal characters, else ErrBadDigest.
func CheckDigest(text []byte) error { return nil }

func SealEntry(buf []byte, h Header, ops int)    {}
func OpenEntry(data []byte) (Entry, error)       { return Entry{}, nil }
func (e *Entry) Each(fn func(Op) error) error    { return nil }
func WriteSnapshot(w io.Writer, v View) error    { return nil }
func ReadSnapshot(r io.Reader) (*Machine, error) { return nil, nil }

// SnapshotInfo is the head of a snapshot and what its end says about it.
type SnapshotInfo struct {
	Version       int
	Index, Term   uint64
	LeaderTerm    uint64
	ClusterMillis int64
	Values, Nodes int
	SHA256        [32]byte
}

func InspectSnapshot(r io.Reader, fn func(*Node) error) (SnapshotInfo, error) {
	return SnapshotInfo{}, nil
}

func (o *LeaderStart) AppendTo(dst []byte) []byte { return dst }
func (o *LeaderStart) String() string             { return "" }
func (o *LeaderStart) apply(m *Machine) Result    { return Result{} }

func (o *Set) AppendTo(dst []byte) []byte { return dst }
func (o *Set) String() string             { return "" }
func (o *Set) apply(m *Machine) Result    { return Result{} }

func (o *SetMany) AppendTo(dst []byte) []byte { return dst }
func (o *SetMany) String() string             { return "" }
func (o *SetMany) apply(m *Machine) Result    { return Result{} }

func (o *Append) AppendTo(dst []byte) []byte { return dst }
func (o *Append) String() string             { return "" }
func (o *Append) apply(m *Machine) Result    { return Result{} }

func (o *SetRange) AppendTo(dst []byte) []byte { return dst }
func (o *SetRange) String() string             { return "" }
func (o *SetRange) apply(m *Machine) Result    { return Result{} }

func (o *GetDel) AppendTo(dst []byte) []byte { return dst }
func (o *GetDel) String() string             { return "" }
func (o *GetDel) apply(m *Machine) Result    { return Result{} }

func (o *Increment) AppendTo(dst []byte) []byte { return dst }
func (o *Increment) String() string             { return "" }
func (o *Increment) apply(m *Machine) Result    { return Result{} }

func (o *IncrementFloat) AppendTo(dst []byte) []byte { return dst }
func (o *IncrementFloat) String() string             { return "" }
func (o *IncrementFloat) apply(m *Machine) Result    { return Result{} }

func (o *Remove) AppendTo(dst []byte) []byte { return dst }
func (o *Remove) String() string             { return "" }
func (o *Remove) apply(m *Machine) Result    { return Result{} }

func (o *RemoveIf) AppendTo(dst []byte) []byte { return dst }
func (o *RemoveIf) String() string             { return "" }
func (o *RemoveIf) apply(m *Machine) Result    { return Result{} }

func (o *Rename) AppendTo(dst []byte) []byte { return dst }
func (o *Rename) String() string             { return "" }
func (o *Rename) apply(m *Machine) Result    { return Result{} }

func (o *Copy) AppendTo(dst []byte) []byte { return dst }
func (o *Copy) String() string             { return "" }
func (o *Copy) apply(m *Machine) Result    { return Result{} }

func (o *Flush) AppendTo(dst []byte) []byte { return dst }
func (o *Flush) String() string             { return "" }
func (o *Flush) apply(m *Machine) Result    { return Result{} }

func (o *MakeDir) AppendTo(dst []byte) []byte { return dst }
func (o *MakeDir) String() string             { return "" }
func (o *MakeDir) apply(m *Machine) Result    { return Result{} }

func (o *RemoveDir) AppendTo(dst []byte) []byte { return dst }
func (o *RemoveDir) String() string             { return "" }
func (o *RemoveDir) apply(m *Machine) Result    { return Result{} }

func (o *CompareAndSet) AppendTo(dst []byte) []byte { return dst }
func (o *CompareAndSet) String() string             { return "" }
func (o *CompareAndSet) apply(m *Machine) Result    { return Result{} }

func (o *Batch) AppendTo(dst []byte) []byte { return dst }
func (o *Batch) String() string             { return "" }
func (o *Batch) apply(m *Machine) Result    { return Result{} }

func (o *Txn) AppendTo(dst []byte) []byte { return dst }
func (o *Txn) String() string             { return "" }
func (o *Txn) apply(m *Machine) Result    { return Result{} }
