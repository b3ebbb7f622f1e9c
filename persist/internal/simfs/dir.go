package simfs

import (
	"path/filepath"
	"slices"
	"strings"
)

// An entry gives a name, which is a whole path, to a file.
type entry struct {
	name string
	id   uint64
}

// A namespace is all entries, by name. It is never changed, so that images share it.
type namespace []entry

func (ns namespace) find(name string) (int, bool) {
	return slices.BinarySearchFunc(ns, name, func(e entry, name string) int { return strings.Compare(e.name, name) })
}

// lookup is the file with a name.
func (ns namespace) lookup(name string) (id uint64, ok bool) {
	if i, found := ns.find(name); found {
		return ns[i].id, true
	}
	return 0, false
}

// set is the namespace in which the file has the name.
func (ns namespace) set(name string, id uint64) namespace {
	i, found := ns.find(name)
	if found {
		ns = slices.Clone(ns)
		ns[i].id = id
		return ns
	}
	changed := make(namespace, 0, len(ns)+1)
	changed = append(changed, ns[:i]...)
	changed = append(changed, entry{name, id})
	return append(changed, ns[i:]...)
}

// delete is the namespace without the name.
func (ns namespace) delete(name string) namespace {
	i, found := ns.find(name)
	if !found {
		return ns
	}
	return slices.Concat(ns[:i], ns[i+1:])
}

// A DirOp is an operation on directories that is not durable yet.
type DirOp struct {
	// Kind is Create, Rename or Remove. A lock that makes its file is a Create.
	Kind Kind
	// Name is what was created, removed, or renamed, and To the new name in a Rename.
	Name, To string

	id uint64
	// clean says that a SyncDir has failed since.
	clean bool
}

func (op *DirOp) touches(name string) bool {
	return op.Name == name || op.Kind == Rename && op.To == name
}

func (op *DirOp) touchesDir(dir string) bool {
	return filepath.Dir(op.Name) == dir || op.Kind == Rename && filepath.Dir(op.To) == dir
}

// follows reports whether the operation can only be there if an earlier one is: they share a name.
func (op *DirOp) follows(earlier *DirOp) bool {
	return op.touches(earlier.Name) || earlier.Kind == Rename && op.touches(earlier.To)
}

// apply carries the operation out.
func (op *DirOp) apply(ns namespace) namespace {
	switch op.Kind {
	case Create:
		return ns.set(op.Name, op.id)
	case Rename:
		return ns.delete(op.Name).set(op.To, op.id)
	default:
		return ns.delete(op.Name)
	}
}

// syncDir makes durable what has been done in a directory, with whatever that needs to be there before.
func (f *FS) syncDir(dir string) {
	durable := make([]bool, len(f.dirOps))
	for i := len(f.dirOps) - 1; i >= 0; i-- {
		op := &f.dirOps[i]
		durable[i] = durable[i] || op.touchesDir(dir) && !op.clean
		for j := 0; durable[i] && j < i; j++ {
			durable[j] = durable[j] || op.follows(&f.dirOps[j])
		}
	}
	var left []DirOp
	for i := range f.dirOps {
		if durable[i] {
			f.durable = f.dirOps[i].apply(f.durable)
		} else {
			left = append(left, f.dirOps[i])
		}
	}
	f.dirOps = left
	f.sweep()
}

// failSyncDir marks what has been done in a directory as clean, and makes nothing durable.
func (f *FS) failSyncDir(dir string) {
	f.dirOps = slices.Clone(f.dirOps) // images share it
	for i := range f.dirOps {
		f.dirOps[i].clean = f.dirOps[i].clean || f.dirOps[i].touchesDir(dir)
	}
}

// perform carries an operation out and keeps it as not durable.
func (f *FS) perform(op DirOp) {
	f.names = op.apply(f.names)
	f.dirOps = append(slices.Clip(f.dirOps), op) // images share it
}

// sweep forgets the files that have no name, and cannot have one after a crash either, and are not open.
func (f *FS) sweep() {
	used := make(map[uint64]bool, len(f.files))
	for _, e := range f.names {
		used[e.id] = true
	}
	for _, e := range f.durable {
		used[e.id] = true
	}
	for i := range f.dirOps {
		used[f.dirOps[i].id] = true
	}
	var left []*file
	for _, file := range f.files {
		if used[file.id] || f.open[file.id] > 0 {
			left = append(left, file)
		}
	}
	f.files = left
}

// namespacesMax bounds how many namespaces a power loss may lead to.
const namespacesMax = 1024

// namespaces are the distinct ones that a power loss may leave, the durable one first. Not all are told when
// there are more than namespacesMax; then complete is false.
func (f *FS) namespaces() (all []namespace, complete bool) {
	if len(f.dirOps) == 0 {
		return []namespace{f.durable}, true
	}
	seen := map[string]bool{}
	add := func(done []bool) {
		ns := f.durable
		for i := range done {
			if done[i] {
				ns = f.dirOps[i].apply(ns)
			}
		}
		if key := ns.key(); !seen[key] {
			seen[key] = true
			all = append(all, ns)
		}
	}
	// The prefixes come first, so that they are there in any case.
	for n := 0; n <= len(f.dirOps); n++ {
		done := make([]bool, len(f.dirOps))
		for i := range n {
			done[i] = true
		}
		add(done)
	}
	complete = f.eachSubset(make([]bool, 0, len(f.dirOps)), func(done []bool) bool {
		add(done)
		return len(all) < namespacesMax
	})
	return all, complete
}

// eachSubset calls visit with every set of operations that contains whatever its members follow, until that
// returns false.
func (f *FS) eachSubset(done []bool, visit func([]bool) bool) bool {
	n := len(done)
	if n == len(f.dirOps) {
		return visit(done)
	}
	if !f.eachSubset(append(done, false), visit) {
		return false
	}
	for i := range n {
		if !done[i] && f.dirOps[n].follows(&f.dirOps[i]) {
			return true
		}
	}
	return f.eachSubset(append(done, true), visit)
}

// key tells namespaces apart.
func (ns namespace) key() string {
	var key []byte
	for _, e := range ns {
		key = append(append(key, e.name...), 0)
		for id := e.id; id > 0; id >>= 7 {
			key = append(key, byte(id)|0x80)
		}
		key = append(key, 0)
	}
	return string(key)
}

// clean is [filepath.Clean], which is nothing to do for most names.
func clean(name string) string {
	if strings.Contains(name, "//") || strings.Contains(name, "/.") || strings.HasSuffix(name, "/") || strings.HasPrefix(name, ".") {
		return filepath.Clean(name)
	}
	return name
}
