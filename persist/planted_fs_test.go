package persist

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/simfs"
	"example.com/raftactor/persist/internal/vfs"
)

// Mistakes that a file system makes for the store: it does not do what it is asked for, or shows something else, as if the
// store had not asked, or had not looked.

// A plantedFS is a file system with mistakes. What is nil is done as it should be.
type plantedFS struct {
	*simfs.FS
	syncDir func(dir string) error
	rename  func(old, new string) error
	// write, sync and read are of files. A write that returns nothing has been done.
	write func(f vfs.File, name string, p []byte, offset int64) error
	sync  func(f vfs.File, name string) error
	read  func(f vfs.File, name string, p []byte, offset int64)
}

func (p *plantedFS) SyncDir(dir string) error {
	if p.syncDir == nil {
		return p.FS.SyncDir(dir)
	}
	return p.syncDir(dir)
}

func (p *plantedFS) Rename(old, new string) error {
	if p.rename == nil {
		return p.FS.Rename(old, new)
	}
	return p.rename(old, new)
}

func (p *plantedFS) Create(name string) (vfs.File, error) { return p.file(name, p.FS.Create) }

func (p *plantedFS) Open(name string) (vfs.File, error) { return p.file(name, p.FS.Open) }

func (p *plantedFS) OpenWritable(name string) (vfs.File, error) {
	return p.file(name, p.FS.OpenWritable)
}

func (p *plantedFS) file(name string, open func(string) (vfs.File, error)) (vfs.File, error) {
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	return &plantedFile{f, p, name}, nil
}

type plantedFile struct {
	vfs.File
	fs   *plantedFS
	name string
}

func (f *plantedFile) WriteAt(b []byte, offset int64) (int, error) {
	if f.fs.write == nil {
		return f.File.WriteAt(b, offset)
	}
	return len(b), f.fs.write(f.File, f.name, b, offset)
}

func (f *plantedFile) Sync() error {
	if f.fs.sync == nil {
		return f.File.Sync()
	}
	return f.fs.sync(f.File, f.name)
}

func (f *plantedFile) ReadAt(b []byte, offset int64) (int, error) {
	n, err := f.File.ReadAt(b, offset)
	if f.fs.read != nil {
		f.fs.read(f.File, f.name, b[:n], offset)
	}
	return n, err
}

func isSegmentPath(name string) bool { return strings.HasSuffix(name, segmentSuffix) }

func isSnapshotPath(name string) bool { return filepath.Base(filepath.Dir(name)) == snapshotsDir }

// withoutDirectorySync never syncs a directory.
func withoutDirectorySync(disk *simfs.FS) vfs.FS {
	return &plantedFS{FS: disk, syncDir: func(string) error { return nil }}
}

// withoutHeaderSync does not sync the header of a segment before the first batch is written.
func withoutHeaderSync(disk *simfs.FS) vfs.FS {
	last := map[string]int64{} // where each file was written to
	p := &plantedFS{FS: disk}
	p.write = func(f vfs.File, name string, b []byte, offset int64) error {
		last[name] = offset
		_, err := f.WriteAt(b, offset)
		return err
	}
	p.sync = func(f vfs.File, name string) error {
		if isSegmentPath(name) && last[name] == 0 {
			return nil
		}
		return f.Sync()
	}
	return p
}

// withLateSync syncs a batch when the next one is about to be written.
func withLateSync(disk *simfs.FS) vfs.FS {
	var waiting []vfs.File
	p := &plantedFS{FS: disk}
	p.sync = func(f vfs.File, name string) error {
		if !isSegmentPath(name) {
			return f.Sync()
		}
		waiting = append(waiting, f)
		return nil
	}
	p.write = func(f vfs.File, name string, b []byte, offset int64) error {
		for _, w := range waiting {
			if err := w.Sync(); err != nil {
				return err
			}
		}
		waiting = nil
		_, err := f.WriteAt(b, offset)
		return err
	}
	return p
}

// withRetry syncs again when a sync has failed, and believes it.
func withRetry(disk *simfs.FS) vfs.FS {
	return &plantedFS{FS: disk, sync: func(f vfs.File, _ string) error {
		if f.Sync() == nil {
			return nil
		}
		return f.Sync()
	}}
}

// withoutZeroing fills spares with rubbish.
func withoutZeroing(disk *simfs.FS) vfs.FS {
	random := rand.New(rand.NewPCG(1, 2))
	return &plantedFS{FS: disk, write: func(f vfs.File, name string, b []byte, offset int64) error {
		if strings.HasSuffix(name, spareTmpEnding) && !isSnapshotPath(name) {
			b = bytes.Clone(b)
			fillRandom(random, b)
		}
		_, err := f.WriteAt(b, offset)
		return err
	}}
}

// withEarlyRename gives a snapshot its name, and then syncs it.
func withEarlyRename(disk *simfs.FS) vfs.FS {
	var waiting vfs.File
	p := &plantedFS{FS: disk}
	p.sync = func(f vfs.File, name string) error {
		if isSnapshotPath(name) {
			return nil
		}
		return f.Sync()
	}
	p.rename = func(old, new string) error {
		err := disk.Rename(old, new)
		if err == nil && isSnapshotPath(new) {
			if waiting, err = disk.OpenWritable(new); err == nil {
				err = waiting.Sync()
				waiting.Close()
			}
		}
		return err
	}
	return p
}

// withLateSnapshot syncs a snapshot when a batch has been written behind it.
func withLateSnapshot(disk *simfs.FS) vfs.FS {
	var waiting []vfs.File
	p := &plantedFS{FS: disk}
	p.syncDir = func(dir string) error {
		if filepath.Base(dir) == snapshotsDir {
			return nil
		}
		return disk.SyncDir(dir)
	}
	p.sync = func(f vfs.File, name string) error {
		if isSnapshotPath(name) {
			late, err := disk.OpenWritable(name)
			waiting = append(waiting, late)
			return err
		}
		if err := f.Sync(); err != nil || !isSegmentPath(name) {
			return err
		}
		for _, late := range waiting {
			if err := late.Sync(); err != nil {
				return err
			}
		}
		if len(waiting) > 0 {
			waiting = nil
			return disk.SyncDir(filepath.Join(storeDir, snapshotsDir))
		}
		return nil
	}
	return p
}

// showing shows the batches of a segment as mend leaves them. b begins with a segment's header.
func showing(disk *simfs.FS, mend func(b []byte, salt uint64)) vfs.FS {
	return &plantedFS{FS: disk, read: func(f vfs.File, name string, b []byte, offset int64) {
		if !isSegmentPath(name) || offset%format.BlockBytes != 0 {
			return
		}
		size, _ := f.Size()
		whole := make([]byte, size)
		if _, err := f.ReadAt(whole, 0); err != nil {
			return
		}
		if h, err := format.ParseSegmentHeader(whole); err == nil {
			mend(whole[format.BlockBytes:], h.Salt)
			copy(b, whole[offset:])
		}
	}}
}

// eachBatch visits the batches at the start of b, header and payload.
func eachBatch(b []byte, salt uint64, visit func(h format.BatchHeader, sum uint32, b []byte)) (rest []byte) {
	for len(b) > 0 {
		h, sum, err := format.ParseBatchHeader(b, salt)
		length := format.BatchBytes(int64(h.PayloadBytes))
		if err != nil || length > int64(len(b)) {
			break
		}
		visit(h, sum, b[:format.BatchHeaderBytes+int(h.PayloadBytes)])
		b = b[length:]
	}
	return b
}

// withoutPayloadChecksum believes the records of a batch as they are.
func withoutPayloadChecksum(disk *simfs.FS) vfs.FS {
	return showing(disk, func(b []byte, salt uint64) {
		eachBatch(b, salt, func(h format.BatchHeader, _ uint32, b []byte) {
			h.PayloadChecksum = format.Checksum(b[format.BatchHeaderBytes:])
			h.Put(b, salt)
		})
	})
}

// withoutChain believes that a batch goes on from the one in front of it.
func withoutChain(disk *simfs.FS) vfs.FS {
	return showing(disk, func(b []byte, salt uint64) {
		var before uint32
		eachBatch(b, salt, func(h format.BatchHeader, sum uint32, b []byte) {
			if before != 0 && h.Previous != before {
				h.Previous = before
				sum = h.Put(b, salt)
			}
			before = sum
		})
	})
}

// trustingThePageCache believes that what can be read is durable: as if another batch vouched for the newest one.
func trustingThePageCache(disk *simfs.FS) vfs.FS {
	return showing(disk, func(b []byte, salt uint64) {
		var last format.BatchHeader
		var chain uint32
		rest := eachBatch(b, salt, func(h format.BatchHeader, sum uint32, b []byte) {
			if format.Checksum(b[format.BatchHeaderBytes:]) == h.PayloadChecksum {
				last, chain = h, sum
			}
		})
		if last.Sequence == 0 || len(rest) < format.BlockBytes {
			return
		}
		next := format.BatchHeader{
			Sequence: last.Sequence + 1, Durable: last.Sequence, Previous: chain, Segment: last.Segment,
			Offset: last.Offset + uint64(format.BatchBytes(int64(last.PayloadBytes))), PayloadChecksum: format.Checksum(nil),
		}
		next.Put(rest, salt)
	})
}

// withoutRecordChecksum believes a record as it is, where it is read for its entry.
func withoutRecordChecksum(disk *simfs.FS) vfs.FS {
	return &plantedFS{FS: disk, read: func(_ vfs.File, name string, b []byte, offset int64) {
		if !isSegmentPath(name) || offset%format.BlockBytes == 0 {
			return
		}
		for {
			length, ok := format.RecordBytes(b)
			if !ok || length > int64(len(b)) {
				return
			}
			binary.LittleEndian.PutUint32(b, format.Checksum(b[4:length]))
			b = b[length:]
		}
	}}
}
