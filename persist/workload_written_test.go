package persist

import "example.com/raftactor/node"

// Workloads that are written by hand, each for something that must not go wrong.

var writtenWorkloads = map[string]func(w *workload){
	"a member lives twice":                      livesTwice,
	"votes while segments go round":             votesWhileSegmentsGoRound,
	"entries are overwritten in other segments": overwrittenElsewhere,
	"a batch is larger than a segment":          largerThanASegment,
	"snapshots follow each other":               snapshotsFollow,
	"kills, one after the other":                killsInARow,
	"a sync fails, and then the next one":       syncsFailInARow,
	"a store that does nothing":                 doesNothing,
	"the cluster is claimed last":               claimedLast,
	"more is handed over than a batch takes":    severalBatches,
}

var (
	one = MemberName{"one", 1}
	two = MemberName{"two", 7}
)

// livesTwice: what a deleted member had does not come back in its next life.
func livesTwice(w *workload) {
	for term := range node.Term(3) {
		w.create(one)
		w.found(one, node.Voters(1, 2, 3))
		w.vote(one, node.HardState{Term: term + 1, Vote: 2})
		w.append(one, term+1, 10, 20, 30)
		w.syncs(one)
		w.delete(one)
	}
	w.create(one)
	w.restart()
}

// votesWhileSegmentsGoRound: the segments in which a member has voted go, since it has no entries there.
func votesWhileSegmentsGoRound(w *workload) {
	w.create(one)
	w.create(two)
	w.vote(two, node.HardState{Term: 8, Vote: 3, VoteIncarnation: 77, Commit: 0})
	w.meet(two, node.Acquaintance{ID: 3, Incarnation: 77})
	w.syncs(two)
	for term := range node.Term(12) {
		w.vote(one, node.HardState{Term: term + 1, Vote: node.ID(term%3 + 1)})
		w.syncs(one)
	}
	w.meet(two, node.Acquaintance{ID: 3})
	w.syncs(two)
	w.restart()
}

// overwrittenElsewhere: entries of an old term lie in older segments than those that took their place.
func overwrittenElsewhere(w *workload) {
	w.create(one)
	for term := node.Term(1); term <= 5; term++ {
		w.append(one, term, 100, 0, 100, 3000)
		w.syncs(one)
		w.truncate(one, node.Index(term)+1)
		w.vote(one, node.HardState{Term: term + 1})
		w.syncs(one)
	}
	w.restart()
}

func largerThanASegment(w *workload) {
	w.create(one)
	w.create(two)
	w.append(two, 1, 10)
	w.append(one, 1, 10, 40<<10, 10)
	w.syncs(one, two)
	w.append(one, 1, 70<<10)
	w.syncs(one)
	w.truncate(one, 2)
	w.append(one, 2, 17<<10)
	w.syncs(one)
	w.restart()
}

// snapshotsFollow: there is an old one or the new one, and segments go when what they hold is released.
func snapshotsFollow(w *workload) {
	w.create(one)
	w.create(two)
	for i := node.Index(4); i <= 24; i += 4 {
		w.append(one, 1, 500, 500, 500, 500)
		w.syncs(one)
		w.compact(one, w.snapshot(one, i, 1, "state"), "state", i-2)
		w.syncs(one)
		w.install(two, w.snapshot(two, i, 1, "from elsewhere"), "from elsewhere")
		w.append(two, 2, 30)
		w.syncs(two)
	}
	w.compact(one, w.staged[one].snapshot, "state", 24)
	w.syncs(one)
	w.restart()
}

// killsInARow: what has not been synced is read again and again.
func killsInARow(w *workload) {
	w.create(one)
	for range 4 {
		w.append(one, 1, 40, 40)
		w.syncs(one)
		w.crash(w.points[len(w.points)-1])
		w.crash(w.points[len(w.points)-2])
	}
}

func syncsFailInARow(w *workload) {
	w.create(one)
	for range 5 {
		w.append(one, 1, 40, 40)
		w.failSync(one)
	}
	w.restart()
}

func doesNothing(w *workload) {
	for range 3 {
		w.vouch()
		w.restart()
	}
}

func claimedLast(w *workload) {
	w.create(one)
	w.append(one, 1, 10)
	w.syncs(one)
	w.close(one)
	w.claim("cluster")
	w.vouch()
	w.restart()
}

// severalBatches: what one member hands over at once is never divided.
func severalBatches(w *workload) {
	w.opts.BatchBytesMax = 2000
	w.restart()
	three := MemberName{"three", 3}
	for _, name := range []MemberName{one, two, three} {
		w.create(name)
	}
	for term := range node.Term(3) {
		for _, name := range []MemberName{one, two, three} {
			w.append(name, term+1, 700, 700)
			w.vote(name, node.HardState{Term: term + 1, Vote: 1})
			w.sync(name)
		}
		for w.commitOne() {
		}
		w.commit()
	}
	w.restart()
}
