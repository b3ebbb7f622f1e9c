package persist

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"example.com/raftactor/node"
)

var (
	// ErrLocked means that the directory is in use by another store, of this process or another one.
	ErrLocked = errors.New("persist: the directory is in use by another store; stop that one first")
	// ErrClosed means that the store has been closed.
	ErrClosed = errors.New("persist: the store is closed")
	// ErrDamaged matches every [*DamageError].
	ErrDamaged = errors.New("persist: damaged")
	// ErrNoStore means that a directory holds no store.
	ErrNoStore = errors.New("persist: no store is there")
	// ErrVersion means that a newer version has written the store. Nothing has been changed.
	ErrVersion = errors.New("persist: the store was written by a newer version; use that one")
	// ErrOtherCluster means that the store belongs to another cluster.
	ErrOtherCluster = errors.New("persist: the store belongs to another cluster")
)

// A MemberName names a member of a store.
type MemberName struct {
	Group string
	ID    node.ID
}

func (m MemberName) String() string { return fmt.Sprintf("%s/%d", m.Group, m.ID) }

func (m MemberName) compare(other MemberName) int {
	return cmp.Or(strings.Compare(m.Group, other.Group), cmp.Compare(m.ID, other.ID))
}

// DamageError says what is found to be damaged: it was durable once, and is not what was written any more.
type DamageError struct {
	// Dir is the directory of the store, and File the name in it.
	Dir, File string
	// Offset is where in the file the damage was found, in bytes.
	Offset int64
	// Detail says what is wrong there.
	Detail string
	// Members are those whose data was there, or may have been.
	Members []MemberName
}

func (e *DamageError) Error() string {
	names := make([]string, len(e.Members))
	for i, m := range e.Members {
		names[i] = m.String()
	}
	concerned := "which members it concerns is not known"
	if len(names) > 0 {
		concerned = "it concerns " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("persist: %s/%s is damaged at offset %d: %s; %s. Nothing has been changed. "+
		"See all of it with: raftctl wal verify %s. The way back: start with an empty directory in its place, "+
		"and have the members removed and added again", e.Dir, e.File, e.Offset, e.Detail, concerned, e.Dir)
}

// Is reports whether target is [ErrDamaged].
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }
