package fsm

import (
	"crypto/sha256"
	"encoding/binary"
)

// Digest returns the SHA-256 of the whole state: leader term, cluster clock, token counter, catalogue and every node with its
// stamps, encoded as in a snapshot. Nodes that have applied the same entries have the same digest. The index is not part of
// it, so an entry that changed nothing leaves it as it was. It reads every byte of the state: run it on a frozen View.
func (v View) Digest() [32]byte {
	sum := sha256.New()
	buf := make([]byte, 0, 2*chunkSize)
	buf = append(buf, snapshotVersion)
	buf = binary.LittleEndian.AppendUint64(buf, v.s.leaderTerm)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(v.s.clusterMillis))
	buf = binary.LittleEndian.AppendUint64(buf, v.s.tokens)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(v.s.catalog.records()))
	v.s.catalog.each(func(record []byte) { buf = append(buf, record...) })
	buf = appendRecord(buf, v.s.root)
	v.Ascend(func(n *Node) bool {
		buf = appendRecord(buf, n)
		if len(buf) >= chunkSize {
			sum.Write(buf)
			buf = buf[:0]
		}
		return true
	})
	sum.Write(buf)
	return [32]byte(sum.Sum(nil))
}
