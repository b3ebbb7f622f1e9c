package persist

import (
	"fmt"
	"slices"

	"example.com/raftactor/node"
)

// Workloads that are drawn at random, and some that are written by hand.

func sortMet(met []node.Acquaintance) {
	slices.SortFunc(met, func(a, b node.Acquaintance) int { return int(a.ID) - int(b.ID) })
}

// random takes steps that are drawn at random: not too many, since what is looked at is many small stores.
func (w *workload) random() {
	if w.rng.IntN(2) == 0 {
		w.claim("cluster")
	}
	for range 10 + w.rng.IntN(26) {
		w.randomStep()
	}
	w.restart()
}

func (w *workload) randomStep() {
	names := []MemberName{{"a", 1}, {"a", 2}, {"b", 1}}
	name := names[w.rng.IntN(len(names))]
	switch {
	case w.durable.members[name] == nil:
		w.create(name)
		return
	case w.open[name] == nil:
		w.reopenMember(name)
		return
	}
	switch n := w.rng.IntN(100); {
	case n < 52:
		w.randomChange(name)
		if w.rng.IntN(3) == 0 {
			w.randomChange(name)
		}
		w.sync(name)
		if w.rng.IntN(3) > 0 {
			w.commit()
		}
	case n < 74:
		w.randomSnapshot(name)
	case n < 78:
		w.commit()
		w.vouch()
	case n < 81:
		w.commit()
		w.restart()
	case n < 86:
		w.close(name)
	case n < 90:
		w.delete(name)
	case n < 93:
		w.commit()
		w.randomChange(name)
		w.failSync(name)
	default:
		w.randomChange(name)
		w.syncs(name)
		w.crash(w.points[w.rng.IntN(len(w.points))])
	}
}

func (w *workload) randomChange(name MemberName) {
	v := w.staged[name]
	hard := v.hard
	switch n := w.rng.IntN(20); {
	case n < 10:
		w.append(name, max(hard.Term, 1), w.randomSizes()...)
	case n < 13 && v.last() > max(v.first, v.snapshot.Index):
		low := max(v.first, v.snapshot.Index+1)
		w.truncate(name, low+node.Index(w.rng.IntN(int(v.last()+1-low))))
		hard.Term++
		w.vote(name, hard)
		w.append(name, hard.Term, w.randomSizes()...)
	case n < 17:
		hard.Term += node.Term(w.rng.IntN(2) + 1)
		hard.Vote, hard.VoteIncarnation = node.ID(w.rng.IntN(3)), node.Incarnation(w.rng.Uint64())
		hard.Commit = v.last()
		w.vote(name, hard)
	case n < 19:
		a := node.Acquaintance{ID: node.ID(w.rng.IntN(3) + 1), Incarnation: node.Incarnation(w.rng.IntN(3))}
		w.meet(name, a)
	default:
		w.found(name, node.Voters(1, 2, node.ID(w.rng.IntN(9)+3)))
	}
}

// randomSizes are those of entries: mostly some small ones, now and then one that is larger than a segment.
func (w *workload) randomSizes() []int {
	switch w.rng.IntN(25) {
	case 0:
		return []int{20 << 10}
	case 1, 2:
		return []int{3000, 200, 3000}
	case 3, 4:
		return []int{0, 30}
	default:
		sizes := make([]int, 1+w.rng.IntN(3))
		for i := range sizes {
			sizes[i] = 1 + w.rng.IntN(60)
		}
		return sizes
	}
}

// randomSnapshot takes a snapshot, or gets one, or releases what the last one covers.
func (w *workload) randomSnapshot(name MemberName) {
	v := w.staged[name]
	content := fmt.Sprintf("state %d of %v%*d", w.entries, name, w.rng.IntN(600), 1)
	switch n := w.rng.IntN(5); {
	case n == 0:
		i := max(v.snapshot.Index+1, v.last()) + node.Index(w.rng.IntN(5))
		w.install(name, w.snapshot(name, i, v.hard.Term+1, content), content)
	case n == 1 && v.snapshot.Index >= v.first:
		w.compact(name, v.snapshot, v.content, v.snapshot.Index)
	case len(v.entries) > 0 && v.last() > v.snapshot.Index:
		// Mostly near the end, so that segments go.
		i := max(v.last()-node.Index(w.rng.IntN(2)), v.first, v.snapshot.Index+1)
		through := max(v.first-1, i-min(i, node.Index(w.rng.IntN(3))))
		w.compact(name, w.snapshot(name, i, v.term(i), content), content, through)
	case n == 2:
		meta := w.snapshot(name, v.last()+1, v.hard.Term+1, content)
		w.open[name].DropSnapshot(meta.Handle)
		return
	}
	w.sync(name)
	w.commit()
}
