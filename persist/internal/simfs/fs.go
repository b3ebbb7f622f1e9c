package simfs

import (
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"example.com/raftactor/persist/internal/vfs"
)

// An FS is a simulated file system. It is safe for concurrent use.
type FS struct {
	// ops is held for the whole of an operation that changes something, with its hooks. Taken before mu.
	ops sync.Mutex
	mu  sync.Mutex // guards all below

	owner   uint64
	boot    uint64
	allowed Outcome
	limit   int64 // in bytes, for all files. 0 is none
	origin  func() string

	dirs    []string  // sorted, and never changed, as images share it
	names   namespace // what there is
	durable namespace // what there is for certain after a power loss
	dirOps  []DirOp   // what lies between, in order. Never changed in place
	files   []*file   // by id
	nextID  uint64

	open   map[uint64]int  // how many handles a file has
	locked map[uint64]bool // the files with a lock

	hook   func(Op)
	inject func(Op) *Fault
	number int
	counts [kinds]int
}

var _ vfs.FS = (*FS)(nil)

// New makes a file system with nothing in it but the directories "." and "/".
func New() *FS {
	return &FS{owner: newOwner(), boot: 1, allowed: AllOutcomes, dirs: []string{".", "/"}, nextID: 1}
}

// SetOutcomes says what a power loss may make of an unsynced sector. Old and Newest are always among it. The
// default is [AllOutcomes]. Images inherit it.
func (f *FS) SetOutcomes(allowed Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.allowed = allowed
}

// SetLimit says how many bytes all files together may have, counting those that are removed and open. What
// does not fit fails with ENOSPC, after as much as does fit. Zero is no limit. Images inherit it.
func (f *FS) SetLimit(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = bytes
}

// BootID implements [vfs.FS]. A power loss changes it.
func (f *FS) BootID() string { return "boot-" + strconv.FormatUint(f.boot, 10) }

// MkdirAll implements [vfs.FS].
func (f *FS) MkdirAll(dir string) error {
	dir = clean(dir)
	op := Op{Kind: MkdirAll, Name: dir}
	_, err := f.do(op, func(fault *Fault) (int, error) {
		if fault != nil {
			return 0, op.failed(fault)
		}
		var made []string
		for d := dir; !f.isDir(d); d = filepath.Dir(d) {
			if _, isFile := f.names.lookup(d); isFile && d == dir {
				return 0, op.err(fs.ErrExist)
			} else if isFile {
				return 0, op.err(syscall.ENOTDIR)
			}
			made = append(made, d)
		}
		if len(made) > 0 {
			f.dirs = slices.Concat(f.dirs, made)
			slices.Sort(f.dirs)
		}
		return 0, nil
	})
	return err
}

// Create implements [vfs.FS].
func (f *FS) Create(name string) (vfs.File, error) {
	op := Op{Kind: Create, Name: clean(name)}
	var h *handle
	_, err := f.do(op, func(fault *Fault) (int, error) {
		if fault != nil {
			return 0, op.failed(fault)
		}
		id, err := f.create(op)
		if err == nil {
			h = f.handle(id, op.Name, true)
		}
		return 0, err
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// create makes an empty file.
func (f *FS) create(op Op) (id uint64, err error) {
	if _, exists := f.names.lookup(op.Name); exists || f.isDir(op.Name) {
		return 0, op.err(fs.ErrExist)
	}
	if err := f.checkParent(op.Name); err != nil {
		return 0, op.err(err)
	}
	id = f.nextID
	f.nextID++
	f.files = append(f.files, &file{owner: f.owner, id: id})
	f.perform(DirOp{Kind: Create, Name: op.Name, id: id})
	return id, nil
}

// OpenWritable implements [vfs.FS].
func (f *FS) OpenWritable(name string) (vfs.File, error) { return f.openFile(name, true) }

// Open implements [vfs.FS].
func (f *FS) Open(name string) (vfs.File, error) { return f.openFile(name, false) }

func (f *FS) openFile(name string, writable bool) (vfs.File, error) {
	op := Op{Kind: Open, Name: clean(name)}
	var h *handle
	_, err := f.do(op, func(fault *Fault) (int, error) {
		if fault != nil {
			return 0, op.failed(fault)
		}
		id, err := f.lookup(op.Name)
		if err != nil {
			return 0, op.err(err)
		}
		h = f.handle(id, op.Name, writable)
		return 0, nil
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Rename implements [vfs.FS]. It renames files only.
func (f *FS) Rename(old, new string) error {
	op := Op{Kind: Rename, Name: clean(old), To: clean(new)}
	_, err := f.do(op, func(fault *Fault) (int, error) {
		if fault != nil {
			return 0, op.failed(fault)
		}
		// In the order in which systems look at them, so that the error is the same.
		for _, name := range []string{op.Name, op.To} {
			if err := f.checkParent(name); err != nil {
				return 0, op.err(err)
			}
		}
		id, err := f.lookup(op.Name)
		switch {
		case err != nil:
			return 0, op.err(err)
		case f.isDir(op.To):
			return 0, op.err(fs.ErrExist)
		case op.Name == op.To:
			return 0, nil
		}
		f.perform(DirOp{Kind: Rename, Name: op.Name, To: op.To, id: id})
		return 0, nil
	})
	return err
}

// Remove implements [vfs.FS]. It removes files only.
func (f *FS) Remove(name string) error {
	op := Op{Kind: Remove, Name: clean(name)}
	_, err := f.do(op, func(fault *Fault) (int, error) {
		if fault != nil {
			return 0, op.failed(fault)
		}
		id, err := f.lookup(op.Name)
		if err != nil {
			return 0, op.err(err)
		}
		f.perform(DirOp{Kind: Remove, Name: op.Name, id: id})
		return 0, nil
	})
	return err
}

// ReadDir implements [vfs.FS].
func (f *FS) ReadDir(dir string) (names []string, err error) {
	op := Op{Kind: ReadDir, Name: clean(dir)}
	_, err = f.do(op, func(fault *Fault) (int, error) {
		if fault != nil {
			return 0, op.failed(fault)
		}
		if err := f.checkDir(op.Name); err != nil {
			return 0, op.err(err)
		}
		for _, e := range f.names {
			if filepath.Dir(e.name) == op.Name {
				names = append(names, filepath.Base(e.name))
			}
		}
		for _, d := range f.dirs {
			if d != op.Name && filepath.Dir(d) == op.Name {
				names = append(names, filepath.Base(d))
			}
		}
		slices.Sort(names)
		return 0, nil
	})
	return names, err
}

// SyncDir implements [vfs.FS].
func (f *FS) SyncDir(dir string) error {
	op := Op{Kind: SyncDir, Name: clean(dir)}
	_, err := f.do(op, func(fault *Fault) (int, error) {
		if err := f.checkDir(op.Name); err != nil {
			return 0, op.err(err)
		}
		switch {
		case fault == nil:
			f.syncDir(op.Name)
		case !fault.Lie:
			f.failSyncDir(op.Name)
			return 0, op.failed(fault)
		}
		return 0, nil
	})
	return err
}

// Lock implements [vfs.FS]. It holds for this file system only: an image has no locks.
func (f *FS) Lock(name string) (io.Closer, error) {
	op := Op{Kind: Lock, Name: clean(name)}
	var h *handle
	_, err := f.do(op, func(fault *Fault) (int, error) {
		if fault != nil {
			return 0, op.failed(fault)
		}
		id, exists := f.names.lookup(op.Name)
		if !exists {
			var err error
			if id, err = f.create(op); err != nil {
				return 0, err
			}
		}
		if f.locked[id] {
			return 0, vfs.ErrLocked
		}
		if f.locked == nil {
			f.locked = map[uint64]bool{}
		}
		f.locked[id] = true
		h = f.handle(id, op.Name, true)
		h.lock = true
		return 0, nil
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (f *FS) isDir(name string) bool {
	_, found := slices.BinarySearch(f.dirs, name)
	return found
}

// checkDir says what is wrong with a directory that is needed.
func (f *FS) checkDir(dir string) error {
	if f.isDir(dir) {
		return nil
	}
	for d := dir; !f.isDir(d); d = filepath.Dir(d) {
		if _, isFile := f.names.lookup(d); isFile {
			return syscall.ENOTDIR
		}
	}
	return fs.ErrNotExist
}

func (f *FS) checkParent(name string) error { return f.checkDir(filepath.Dir(name)) }

// lookup is the file with a name.
func (f *FS) lookup(name string) (uint64, error) {
	if id, ok := f.names.lookup(name); ok {
		return id, nil
	}
	if f.isDir(name) {
		return 0, syscall.EISDIR
	}
	if err := f.checkParent(name); err != nil {
		return 0, err
	}
	return 0, fs.ErrNotExist
}

// file is the file with an id, to look at, or nil if it is gone.
func (f *FS) file(id uint64) *file {
	if i, found := f.place(id); found {
		return f.files[i]
	}
	return nil
}

// writable is the file with an id, to change.
func (f *FS) writable(id uint64) *file {
	i, _ := f.place(id)
	if f.files[i].owner != f.owner {
		f.files[i] = f.files[i].own(f.owner)
	}
	return f.files[i]
}

func (f *FS) place(id uint64) (int, bool) {
	return slices.BinarySearchFunc(f.files, id, func(file *file, id uint64) int {
		if file.id < id {
			return -1
		}
		return int(min(file.id-id, 1))
	})
}

// used is how many bytes all files have.
func (f *FS) used() (bytes int64) {
	for _, file := range f.files {
		if f.open[file.id] > 0 || slices.ContainsFunc(f.names, func(e entry) bool { return e.id == file.id }) {
			bytes += file.size
		}
	}
	return bytes
}

// Info is what [FS.Files] tells of a file.
type Info struct {
	Name string
	Size int64
}

// Files lists all files, by path.
func (f *FS) Files() []Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	files := make([]Info, len(f.names))
	for i, e := range f.names {
		files[i] = Info{e.name, f.file(e.id).size}
	}
	return files
}

// String lists the files with their sizes, for the messages of tests.
func (f *FS) String() string {
	var text strings.Builder
	for _, file := range f.Files() {
		text.WriteString(file.Name + " " + strconv.FormatInt(file.Size, 10) + "\n")
	}
	return text.String()
}
