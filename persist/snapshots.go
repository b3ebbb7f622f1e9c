package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/snapfile"
	"example.com/raftactor/persist/internal/vfs"
)

// Endings of the files in the directory of snapshots: of one that is complete, and of one that is being written.
const (
	snapshotEnding  = ".snap"
	temporaryEnding = ".tmp"
)

// snapshotDir is the directory in which the snapshots of all members are. It is safe for concurrent use. The
// handle of a snapshot is the name of its file, a string.
type snapshotDir struct {
	fs      vfs.FS
	dir     string
	storeID uint64
	// failed is told of every failed write, sync, creation and renaming. It may be nil.
	failed func(error)
	// random draws salts and the ends of names.
	random func() uint64
	// syncBytes is snapshotSyncBytes, or less in a test.
	syncBytes int64
}

// snapshotOwner says whose a snapshot is.
type snapshotOwner struct {
	Key   node.Incarnation
	Group string
	ID    node.ID
}

func (o snapshotOwner) String() string {
	return fmt.Sprintf("member %s in its life %x", MemberName{o.Group, o.ID}, uint64(o.Key))
}

func newSnapshotDir(fs vfs.FS, dir string, storeID uint64, failed func(error)) *snapshotDir {
	return &snapshotDir{
		fs: fs, dir: dir, storeID: storeID, failed: failed, random: rand.Uint64, syncBytes: snapshotSyncBytes,
	}
}

// init makes the directory, durably. It does nothing if there is one.
func (d *snapshotDir) init() error {
	if err := d.fs.MkdirAll(d.dir); err != nil {
		return d.fail("making the directory of snapshots", "", err)
	}
	return nil
}

// open opens a snapshot that is complete. It stays readable after [snapshotDir.remove]. What is damaged or not the
// snapshot that meta describes is a [*DamageError].
func (d *snapshotDir) open(owner snapshotOwner, meta node.SnapshotMeta) (node.SnapshotReader, error) {
	r, err := d.openOf(owner, meta)
	if err != nil {
		return nil, err // and no reader that is nil inside
	}
	return r, nil
}

// check tells whether open would do. The state itself is not read: that would take as long as it is large. A
// file that is missing is damage here.
func (d *snapshotDir) check(owner snapshotOwner, meta node.SnapshotMeta) error {
	r, err := d.openOf(owner, meta)
	if errors.Is(err, fs.ErrNotExist) {
		name, _ := meta.Handle.(string)
		return d.explain(name, &owner, &snapfile.Damage{Detail: fmt.Sprintf(
			"the file is missing, and it has the snapshot at %d", meta.Index)})
	}
	if err != nil {
		return err
	}
	return r.Close()
}

// verify reads all of a file. It needs no store that is open.
func (d *snapshotDir) verify(name string) error {
	r, err := d.openFile(name, nil)
	if err != nil {
		return err
	}
	defer r.Close()
	return d.explain(name, &r.owner, r.Reader.Verify())
}

// remove takes a snapshot away. That need not be durable: what comes back is swept up. It is no error if it is
// gone already. It may wait for a disk.
func (d *snapshotDir) remove(handle string) error {
	if err := isSnapshotName(handle); err != nil {
		return err
	}
	return d.unlink(handle)
}

func (d *snapshotDir) unlink(name string) error {
	err := d.fs.Remove(filepath.Join(d.dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("persist: removing the snapshot %s: %w", filepath.Join(d.dir, name), err)
	}
	return nil
}

// sweep removes what was left over when an earlier store ended: snapshots that were being written, and those that
// are not in keep. Nothing may be written meanwhile. It leaves files alone that have other endings.
func (d *snapshotDir) sweep(keep map[string]bool) error {
	names, err := d.list()
	for _, name := range names {
		left := strings.HasSuffix(name, temporaryEnding) || strings.HasSuffix(name, snapshotEnding) && !keep[name]
		if left && err == nil {
			err = d.unlink(name)
		}
	}
	return err
}

// list returns the names in the directory, and none if it has not been made.
func (d *snapshotDir) list() ([]string, error) {
	names, err := d.fs.ReadDir(d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("persist: listing the snapshots in %s: %w", d.dir, err)
	}
	return names, nil
}

// openOf opens the file that meta names, and compares what it says with what it should.
func (d *snapshotDir) openOf(owner snapshotOwner, meta node.SnapshotMeta) (*snapshotReader, error) {
	name, ok := meta.Handle.(string)
	if !ok {
		return nil, fmt.Errorf("persist: opening the snapshot at %d: %v is no handle of this store",
			meta.Index, meta.Handle)
	}
	r, err := d.openFile(name, &owner)
	if err != nil {
		return nil, err
	}
	if got := r.Header().Meta; got.Index != meta.Index || got.Term != meta.Term ||
		got.ConfigurationIndex != meta.ConfigurationIndex || !got.Configuration.Equal(meta.Configuration) {
		r.Close()
		return nil, d.explain(name, &owner, &snapfile.Damage{Detail: fmt.Sprintf(
			"it covers index %d of term %d under %v of index %d, and should cover index %d of term %d under %v of index %d",
			got.Index, got.Term, got.Configuration, got.ConfigurationIndex,
			meta.Index, meta.Term, meta.Configuration, meta.ConfigurationIndex)})
	}
	return r, nil
}

// openFile opens a file. If the owner is known, it must be the file's.
func (d *snapshotDir) openFile(name string, owner *snapshotOwner) (*snapshotReader, error) {
	if err := isSnapshotName(name); err != nil {
		return nil, err
	}
	file, err := d.fs.Open(filepath.Join(d.dir, name))
	if err != nil {
		return nil, fmt.Errorf("persist: opening a snapshot: %w", err)
	}
	r, err := snapfile.Open(file)
	if err != nil {
		file.Close()
		return nil, d.explain(name, owner, err)
	}
	h := r.Header()
	found := snapshotOwner{h.Key, h.Group, h.Member}
	if owner == nil {
		return &snapshotReader{Reader: r, dir: d, name: name, owner: found}, nil
	}
	if h.StoreID != d.storeID || found != *owner {
		r.Close()
		return nil, d.explain(name, owner, &snapfile.Damage{Detail: fmt.Sprintf(
			"it is a snapshot of %v in the store %x, and should be of %v in the store %x",
			found, h.StoreID, *owner, d.storeID)})
	}
	return &snapshotReader{Reader: r, dir: d, name: name, owner: found}, nil
}

// explain makes a [*DamageError] of damage, and says of other errors which file they are about. An owner that is
// not known is taken from the file's name.
func (d *snapshotDir) explain(name string, owner *snapshotOwner, err error) error {
	if err == nil {
		return nil
	}
	var damage *snapfile.Damage
	switch {
	case errors.Is(err, snapfile.ErrVersion):
		return fmt.Errorf("%w: %s: %w", ErrVersion, filepath.Join(d.dir, name), err)
	case !errors.As(err, &damage):
		return fmt.Errorf("persist: snapshot %s: %w", filepath.Join(d.dir, name), err)
	}
	var members []MemberName
	if named, ok := parseSnapshotName(name); owner != nil {
		members = []MemberName{{owner.Group, owner.ID}}
	} else if ok {
		members = []MemberName{{named.Group, named.ID}}
	}
	return &DamageError{
		Dir: filepath.Dir(d.dir), File: filepath.Join(filepath.Base(d.dir), name),
		Offset: damage.Offset, Detail: damage.Detail, Members: members,
	}
}

// fail tells the store of a failed write, and says what it was.
func (d *snapshotDir) fail(doing, name string, err error) error {
	err = fmt.Errorf("persist: %s %s: %w", doing, filepath.Join(d.dir, name), err)
	if d.failed != nil {
		d.failed(err)
	}
	return err
}

// snapshotReader is a reader that says which file is damaged.
type snapshotReader struct {
	*snapfile.Reader
	dir   *snapshotDir
	name  string
	owner snapshotOwner
}

// ReadAt implements [node.SnapshotReader].
func (r *snapshotReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.Reader.ReadAt(p, off)
	var damage *snapfile.Damage
	if err != nil && errors.As(err, &damage) {
		err = r.dir.explain(r.name, &r.owner, err)
	}
	return n, err
}
