package persist

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/snapfile"
)

// name is a new name for a snapshot's file, without an ending: GROUP-ID-KEY-INDEX-RANDOM. It tells a person, and a
// search, what is inside; what counts is in the file.
func (o snapshotOwner) name(index node.Index, random uint64) string {
	return fmt.Sprintf("%s-%d-%016x-%d-%016x", o.Group, o.ID, uint64(o.Key), index, random)
}

// parseSnapshotName returns the owner from the name of a complete snapshot. Only the group's name may have
// hyphens, so that it is read from the end.
func parseSnapshotName(name string) (snapshotOwner, bool) {
	rest, ok := strings.CutSuffix(name, snapshotEnding)
	var parts [4]uint64 // id, key, index, random
	bases := [...]int{10, 16, 10, 16}
	for i := len(parts) - 1; i >= 0; i-- {
		cut := strings.LastIndexByte(rest, '-')
		if !ok || cut < 0 {
			return snapshotOwner{}, false
		}
		var err error
		parts[i], err = strconv.ParseUint(rest[cut+1:], bases[i], 64)
		rest, ok = rest[:cut], err == nil
	}
	o := snapshotOwner{Key: node.Incarnation(parts[1]), Group: rest, ID: node.ID(parts[0])}
	return o, ok && snapfile.IsGroup(rest) && o.name(node.Index(parts[2]), parts[3])+snapshotEnding == name
}

// isSnapshotName refuses a handle that is not the plain name of a complete snapshot, as a damaged record might
// have.
func isSnapshotName(name string) error {
	if filepath.Base(name) != name || strings.ContainsAny(name, `/\`) || !strings.HasSuffix(name, snapshotEnding) {
		return fmt.Errorf("persist: %q is not the name of a snapshot", name)
	}
	return nil
}
