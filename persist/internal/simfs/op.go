package simfs

import (
	"fmt"
	"io/fs"
)

// A Kind is a kind of operation.
type Kind uint8

// Kinds of operations. All but Open, Read and ReadDir change something, and the hook is told of them.
const (
	MkdirAll Kind = iota
	Create
	Write
	Truncate
	Sync
	Rename
	Remove
	SyncDir
	Lock
	Open // for reading, or for reading and writing
	Read
	ReadDir
	kinds
)

var kindNames = [kinds]string{
	"mkdir", "create", "write", "truncate", "sync", "rename", "remove", "syncdir", "lock", "open", "read", "readdir",
}

func (k Kind) String() string { return kindNames[k] }

// An Op is an operation on a file system, about to happen or done.
type Op struct {
	Kind Kind
	// Number counts the operations that change something, from 1. It is 0 for the others.
	Number int
	// OfKind counts those of this kind, from 1.
	OfKind int
	// Name is the path. That of a file operation is the one under which the file was opened.
	Name string
	// To is the new path in a Rename.
	To string
	// Offset and Length are the place in a Write or a Read. Length is the new one in a Truncate.
	Offset, Length int64
	// Data is what a Write is given. It is valid until the hook returns.
	Data []byte

	// Done is whether the operation has been carried out. Written and Err are its result.
	Done    bool
	Written int
	Err     error

	file uint64
}

func (op Op) String() string {
	text := fmt.Sprintf("op %d: %s %d: %s", op.Number, op.Kind, op.OfKind, op.Name)
	switch op.Kind {
	case Rename:
		text += " to " + op.To
	case Write, Read:
		text += fmt.Sprintf(" [%d+%d]", op.Offset, op.Length)
	case Truncate:
		text += fmt.Sprintf(" to %d", op.Length)
	}
	if op.Err != nil {
		text += ": " + op.Err.Error()
	}
	return text
}

// changes reports whether the operation may change something.
func (k Kind) changes() bool { return k < Open }

// A Fault is what goes wrong with an operation.
type Fault struct {
	// Err is what the operation returns, in an *fs.PathError. A sync that fails marks the pages as clean.
	Err error
	// Written is how many bytes a Write that fails has written.
	Written int
	// Lie makes a Sync or a SyncDir return nil and do nothing.
	Lie bool
}

// OnOperation has a hook called before and after each operation that changes something. It may read the file
// system and make images of it, and must not change it. Operations that change something wait for each other
// while there is a hook. A nil hook ends that. Images have no hook.
func (f *FS) OnOperation(hook func(Op)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// Inject has each operation, also one that changes nothing, looked at before it happens: it fails with the
// fault that is returned, if any. The function must not use the file system. A nil function ends that. Images
// have none.
func (f *FS) Inject(inject func(Op) *Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inject = inject
}

// FailNth is for [FS.Inject]: it fails the nth operation of a kind, counted from 1 since the file system was
// made.
func FailNth(kind Kind, n int, fault Fault) func(Op) *Fault {
	return func(op Op) *Fault {
		if op.Kind == kind && op.OfKind == n {
			return &fault
		}
		return nil
	}
}

// FailFrom is for [FS.Inject]: it fails the nth operation of a kind and all of the kind behind it.
func FailFrom(kind Kind, n int, fault Fault) func(Op) *Fault {
	return func(op Op) *Fault {
		if op.Kind == kind && op.OfKind >= n {
			return &fault
		}
		return nil
	}
}

// Operations is how many operations of a kind there have been.
func (f *FS) Operations(kind Kind) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[kind]
}

// do carries out an operation, with what hooks and faults make of it. act is called with mu held.
func (f *FS) do(op Op, act func(fault *Fault) (int, error)) (int, error) {
	if op.Kind.changes() {
		f.ops.Lock()
		defer f.ops.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[op.Kind]++
	op.OfKind = f.counts[op.Kind]
	hook := f.hook
	if op.Kind.changes() {
		f.number++
		op.Number = f.number
	} else {
		hook = nil
	}
	f.tell(hook, op)
	var fault *Fault
	if f.inject != nil {
		fault = f.inject(op)
	}
	n, err := act(fault)
	op.Done, op.Written, op.Err = true, n, err
	f.tell(hook, op)
	return n, err
}

// tell calls the hook without mu, so that it can make images.
func (f *FS) tell(hook func(Op), op Op) {
	if hook == nil {
		return
	}
	f.mu.Unlock()
	defer f.mu.Lock()
	hook(op)
}

// failed is the error of an operation that has a fault.
func (op Op) failed(fault *Fault) error { return op.err(fault.Err) }

func (op Op) err(err error) error {
	return &fs.PathError{Op: op.Kind.String(), Path: op.Name, Err: err}
}
