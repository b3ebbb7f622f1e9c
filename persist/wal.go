package persist

import (
	"fmt"
	"sync"

	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/vfs"
)

// A logSegment is a file of the log that can be read from.
type logSegment struct {
	number uint64
	name   string
	size   int64
	// before is the size of all segments that stood in front of it.
	before int64

	mu sync.RWMutex
	// file is nil once the segment has been released. Readers hold mu. Guarded by mu.
	file vfs.File
}

// release closes the file when the last reader has finished.
func (g *logSegment) release() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.file == nil {
		return nil
	}
	err := g.file.Close()
	g.file = nil
	return err
}

// wal writes the log, batch by batch: one write and one sync each. It belongs to the writer.
type wal struct {
	fs      vfs.FS
	dir     string
	storeID uint64
	bootID  string
	spares  *spares
	draw    func() uint64

	// segments are those that are there, oldest first. The last one is being written.
	segments []*logSegment
	// number is that of the next segment. None is used twice.
	number uint64
	// fresh is the next segment, where something is known to be in it already, or nil.
	fresh *logSegment
	// salt and offset are those of the last segment, and position is behind the newest batch, which is durable.
	salt     uint64
	offset   int64
	position format.Position
	// cargo is the batch that is being made.
	cargo
}

// begin starts a segment with room for a batch of that many bytes. It names the segment in front of it and where that
// ends. Name and header are durable before the first batch is written.
func (w *wal) begin(predecessor uint64, end format.Position, room int64) error {
	number := w.number
	w.number++
	size := max(w.spares.size, format.BlockBytes+room)
	name := segmentName(number)
	file, err := w.spares.take(name, size)
	if err != nil {
		return fmt.Errorf("persist: making the segment %s: %w", name, err)
	}
	g := &logSegment{number: number, name: name}
	if w.fresh != nil {
		g, w.fresh = w.fresh, nil
	}
	g.size, g.file = size, file
	w.addSegment(g)
	w.salt, w.offset, w.position = w.draw(), format.BlockBytes, end
	header := format.SegmentHeader{
		StoreID: w.storeID, Segment: number, Salt: w.salt, Predecessor: predecessor, End: end, BootID: w.bootID,
		Bytes: uint64(size),
	}
	block := header.Append(make([]byte, 0, format.BlockBytes))[:format.BlockBytes]
	if _, err := file.WriteAt(block, 0); err != nil {
		return fmt.Errorf("persist: writing the header of %s: %w", name, err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("persist: syncing the header of %s: %w", name, err)
	}
	if err := w.fs.SyncDir(w.dir); err != nil {
		return fmt.Errorf("persist: syncing the directory %s: %w", w.dir, err)
	}
	return nil
}

// addSegment puts a segment behind the others.
func (w *wal) addSegment(g *logSegment) {
	if len(w.segments) > 0 {
		g.before = w.newest().before + w.newest().size
	}
	w.segments = append(w.segments, g)
}

// put begins a batch with what is in it already.
func (w *wal) put(c cargo) {
	giveBack(w.buffer)
	w.cargo = c
	w.reserve(0) // there may be no record
}

// bytes is what the batch takes in a segment.
func (w *wal) bytes() int64 { return format.BatchBytes(int64(len(w.buffer)) - format.BatchHeaderBytes) }

// fits tells whether the batch has room in the segment.
func (w *wal) fits() bool { return w.offset+w.bytes() <= w.newest().size }

func (w *wal) newest() *logSegment { return w.segments[len(w.segments)-1] }

// write writes the batch and makes it durable. It returns where it begins.
func (w *wal) write() (place, error) {
	at := place{w.newest(), w.offset}
	header := format.BatchHeader{
		PayloadBytes: uint32(len(w.records())), PayloadChecksum: w.checksum(),
		Sequence: w.position.Sequence + 1, Segment: at.segment.number, Offset: uint64(at.offset),
		Durable: w.position.Sequence, Previous: w.position.Chain, Records: w.count,
	}
	chain := header.Put(w.buffer, w.salt)
	w.buffer = append(w.buffer, zeros[:w.bytes()-int64(len(w.buffer))]...)
	header.PutFooter(w.buffer[len(w.buffer)-format.BatchFooterBytes:], w.salt)
	if _, err := at.segment.file.WriteAt(w.buffer, at.offset); err != nil {
		return at, fmt.Errorf("persist: writing %d bytes to %s at offset %d: %w", len(w.buffer), at.segment.name, at.offset, err)
	}
	if err := at.segment.file.Sync(); err != nil {
		return at, fmt.Errorf("persist: syncing %s: %w", at.segment.name, err)
	}
	w.offset += int64(len(w.buffer))
	w.position = format.Position{Sequence: header.Sequence, Chain: chain}
	return at, nil
}

// release takes out the segments in front of the one with that number, and returns them.
func (w *wal) release(oldest uint64) []*logSegment {
	n := 0
	for n < len(w.segments)-1 && w.segments[n].number < oldest {
		n++
	}
	gone := append([]*logSegment(nil), w.segments[:n]...)
	w.segments = append(w.segments[:0], w.segments[n:]...)
	clear(w.segments[len(w.segments):cap(w.segments)])
	return gone
}
