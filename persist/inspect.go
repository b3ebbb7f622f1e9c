package persist

import (
	"fmt"
	"slices"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/vfs"
)

// An Inspection is what the directory of a store holds.
type Inspection struct {
	Dir     string
	StoreID uint64
	// Cluster is the cluster that the store belongs to. It is empty if none has claimed it.
	Cluster string
	// Segments are all there are, by number.
	Segments []SegmentInfo
	// Members are those that live, by name.
	Members []MemberInfo
	// Snapshots are the files in the directory of snapshots, by name.
	Snapshots []SnapshotInfo
	// Batches, Records and Bytes are what was read of the log.
	Batches, Records, Bytes int64
	// Tail is what is behind the newest whole batch, or nil.
	Tail *TailInfo
	// Damages is all that was found damaged, in the order of reading. Behind it reading goes on, so what else is
	// said here is as much as can be told.
	Damages []*DamageError
	// Unreadable is what could not be read.
	Unreadable []error
}

// Sound reports whether nothing is damaged or unreadable. A torn tail is sound: nobody was told that it is
// durable.
func (i *Inspection) Sound() bool { return len(i.Damages) == 0 && len(i.Unreadable) == 0 }

// SegmentInfo is what is known of one segment.
type SegmentInfo struct {
	Number uint64
	// File is its name, and Bytes its size.
	File  string
	Bytes int64
	// Used is how many of them the log takes, header and padding included.
	Used int64
	// First and Last are the sequences of its first and last batch. Zero if it has none that belongs to the log.
	First, Last uint64
	// BootID is that of the machine when it was begun.
	BootID string
	// Void is whether it does not belong to the log: what it holds has no effect, and the next to open the
	// store removes it.
	Void bool
}

// MemberInfo is what the log says of one member.
type MemberInfo struct {
	MemberName
	Incarnation node.Incarnation
	Term        node.Term
	// Vote is whom it has voted for in the term, or zero.
	Vote node.ID
	// First and Last are the first and the last entry. Without entries First is Last+1.
	First, Last node.Index
	// Snapshot is the index that the newest snapshot covers, or zero, and SnapshotFile its name.
	Snapshot     node.Index
	SnapshotFile string
	// Bytes is what its records take in the log.
	Bytes int64
}

// SnapshotInfo is one file in the directory of snapshots.
type SnapshotInfo struct {
	File  string
	Bytes int64
	// Member is whose newest snapshot it is, or nil. Others are removed by the next to open the store.
	Member *MemberName
}

// TailInfo is a newest batch that is not whole. If the store is in use, it is being written at this moment.
type TailInfo struct {
	File string
	// Offset is where it begins, and Bytes how long it is, as far as that can be told.
	Offset, Bytes int64
	Sequence      uint64
	// SameBoot is whether the machine has been running since. Then a kill has cut it off, or a failed write.
	// Otherwise it was a power loss, or that cannot be told.
	SameBoot bool
}

// RecordInfo is one record of the log.
type RecordInfo struct {
	// File and Offset say where it begins, and Sequence is that of its batch.
	File     string
	Segment  uint64
	Offset   int64
	Sequence uint64
	// Kind is what it is: entry, truncate, hard-state and so on.
	Kind string
	// Member is whom it is about. It is the zero value for those of the store, and where the record that names the
	// member could not be read. Incarnation is the life of the member, or zero.
	Member      MemberName
	Incarnation node.Incarnation
	// Index and Term are those of an entry, of the end of a truncation or a release, or of a snapshot. Zero
	// if there are none.
	Index node.Index
	Term  node.Term
	// Bytes is the length of the record's body: with an entry that of its data, which is not shown.
	Bytes int
	// Detail says more about some kinds.
	Detail string
}

// Inspect reads the directory of a store, all of it, and says what it holds. It takes no lock and changes
// nothing. It also works on a copy, on a damaged store, and on one that is in use. In that case what is being
// written may look like a torn tail; what looks damaged is looked at again, since a segment may have been
// released meanwhile.
//
// Whether a tail is torn or damaged depends on whether the machine has been restarted: on the machine of the
// store that is told better than elsewhere.
func Inspect(dir string) (*Inspection, error) {
	return inspect(vfs.OS{}, dir)
}

// Dump is Inspect, and visits all records of the log in order. An error of visit ends it. What a running
// store does meanwhile may look like damage.
func Dump(dir string, visit func(*RecordInfo) error) (*Inspection, error) {
	return survey(vfs.OS{}, dir, visit)
}

// roundsMax is how often a store is looked at that looks damaged, and every time somewhere else.
const roundsMax = 5

func inspect(fs vfs.FS, dir string) (*Inspection, error) {
	var before []string
	for round := 1; ; round++ {
		i, err := survey(fs, dir, nil)
		if err != nil || i.Sound() {
			return i, err
		}
		now := i.problems()
		lasting := func(problem string) bool { return slices.Contains(before, problem) }
		switch {
		case !slices.ContainsFunc(now, func(p string) bool { return !lasting(p) }):
			return i, nil
		case round == roundsMax:
			i.Damages = slices.DeleteFunc(i.Damages, func(d *DamageError) bool { return !lasting(problem(d)) })
			i.Unreadable = slices.DeleteFunc(i.Unreadable, func(err error) bool { return !lasting(err.Error()) })
			return i, nil
		}
		before = now
	}
}

// problems are all that is wrong, to be compared.
func (i *Inspection) problems() []string {
	var all []string
	for _, d := range i.Damages {
		all = append(all, problem(d))
	}
	for _, err := range i.Unreadable {
		all = append(all, err.Error())
	}
	return all
}

func problem(d *DamageError) string { return fmt.Sprintf("%s %d %s", d.File, d.Offset, d.Detail) }
