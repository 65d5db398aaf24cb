package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// raft-wal recovers its last segment by walking frame headers up to the first that it cannot read, and by checking
// only the last batch. So a flipped byte in a header silently drops all that follows, a flipped byte in the last batch
// silently drops that batch, both acknowledged, and what a torn batch leaves behind may be taken for data after the
// next crash. checkTail therefore reads the last segment before raft-wal does: it verifies every batch, refuses a
// segment that is damaged, and wipes what a torn, never acknowledged batch left.
//
// The format is that of raft-wal v0.4: a header of 32 bytes, then frames of 8 bytes plus a payload padded to 8: entry,
// index, or commit, which carries the CRC32C of all since the commit before it.
const (
	segmentHeaderSize = 32
	frameHeaderSize   = 8
	sectorSize        = 512 // what a disk writes as one
)

// checkTail checks the last segment of the raft-wal log in dir. A log without segments is fine.
func checkTail(dir string, logger *slog.Logger) error {
	info, ok, err := tailSegment(dir)
	if err != nil || !ok {
		return err
	}
	path := filepath.Join(dir, segment.FileName(info))
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the machine stopped between writing the metadata and creating the file
	}
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := readSized(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(data) < int(info.SizeLimit) {
		return fmt.Errorf("%s is %w: it is %d bytes long, shorter than the %d it was created with", path, errDamaged, len(data), info.SizeLimit)
	}
	end, rest := verifyBatches(data)
	if len(rest) == 0 {
		return nil
	}
	if why := damage(data, end, rest); why != "" {
		return fmt.Errorf("%s is %w after offset %d: %s", path, errDamaged, end, why)
	}
	logger.Warn("wiping a torn batch that was never acknowledged", "segment", path, "offset", end, "bytes", len(rest))
	if _, err := f.WriteAt(make([]byte, len(rest)), int64(end)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return f.Sync()
}

// readSized reads a file into a buffer of its size: a segment is 64 MiB, and growing to that would cost as much again.
func readSized(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data := make([]byte, info.Size())
	_, err = io.ReadFull(f, data)
	return data, err
}

// tailSegment returns the segment that raft-wal's metadata says is being written.
func tailSegment(dir string) (info types.SegmentInfo, ok bool, err error) {
	if _, err := os.Stat(filepath.Join(dir, metadb.FileName)); errors.Is(err, os.ErrNotExist) {
		return info, false, nil // a new log
	}
	var meta metadb.BoltMetaDB
	state, err := meta.Load(dir)
	if err != nil {
		return info, false, fmt.Errorf("%s: %w", dir, err)
	}
	if err := meta.Close(); err != nil {
		return info, false, fmt.Errorf("%s: %w", dir, err)
	}
	for _, s := range state.Segments {
		if s.SealTime.IsZero() {
			return s, true, nil
		}
	}
	return info, false, nil
}

// verifyBatches walks a segment as long as every batch is whole and matches its checksum. It returns where the last
// good batch ends and what lies between there and the last byte that is not zero.
func verifyBatches(data []byte) (end int, rest []byte) {
	for at := segmentHeaderSize; ; { // the first batch covers the file header too
		stop := claimedEnd(data, at)
		at = stop - frameHeaderSize
		if stop > len(data) || !isCommit(data[at:]) || crc32.Checksum(data[end:at], castagnoli) != binary.LittleEndian.Uint32(data[at+4:]) {
			return end, bytes.TrimRight(data[end:], "\x00")
		}
		at, end = stop, stop
	}
}

// damage says why what follows the last good batch cannot be the remains of a write that was cut short; it returns ""
// when it can. A write that was cut short is the newest one, so nothing whole may follow it; and since disks write
// sectors and system calls write pages, it lacks at least one whole sector, which is still zero (the rule is etcd's).
func damage(data []byte, end int, rest []byte) string {
	stop := end + len(rest)
	if at, ok := wholeBatch(data, end, stop); ok {
		return fmt.Sprintf("a whole batch follows at offset %d", at)
	}
	claimed := claimedEnd(data, end)
	if head := data[min(claimed, len(data))-frameHeaderSize:][:frameHeaderSize]; !isCommit(head) && !isZero(head) {
		return fmt.Sprintf("there is no frame at offset %d", claimed-frameHeaderSize)
	}
	if last := (stop - 1) &^ (frameHeaderSize - 1); !isCommit(data[last:]) {
		stop = claimed
	}
	for at := end; at < stop; {
		next := min(at/sectorSize*sectorSize+sectorSize, stop)
		if isZero(data[at:next]) {
			return ""
		}
		at = next
	}
	return "the batch is complete but does not match its checksum"
}

// wholeBatch looks for two commit frames that enclose a batch with the right checksum.
func wholeBatch(data []byte, end, stop int) (int, bool) {
	begin := -1
	for at := end; at+frameHeaderSize <= min(stop+frameHeaderSize, len(data)); at += frameHeaderSize {
		if !isCommit(data[at:]) {
			continue
		}
		if begin >= 0 && crc32.Checksum(data[begin:at], castagnoli) == binary.LittleEndian.Uint32(data[at+4:]) {
			return begin, true
		}
		begin = at + frameHeaderSize
	}
	return 0, false
}

// claimedEnd follows the frames of a batch as far as they can be read, and returns where it must at least have ended.
func claimedEnd(data []byte, at int) int {
	for at+frameHeaderSize <= len(data) {
		head := data[at:]
		if head[0] != segment.FrameEntry && head[0] != segment.FrameIndex || head[1]|head[2]|head[3] != 0 {
			return at + frameHeaderSize
		}
		at += frameHeaderSize + (int(binary.LittleEndian.Uint32(head[4:]))+7)&^7
	}
	return len(data)
}

func isCommit(head []byte) bool {
	return len(head) >= frameHeaderSize && head[0] == segment.FrameCommit && head[1]|head[2]|head[3] == 0
}

func isZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
