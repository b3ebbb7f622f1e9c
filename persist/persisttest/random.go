package persisttest

import (
	"fmt"
	"math/rand/v2"

	"example.com/raftactor/node"
)

var randomChecks = []check{
	{name: "whatever a few members do", do: func(p *probe) { atRandom(p, 3, 400) }},
	{name: "whatever one member does", do: func(p *probe) { atRandom(p, 1, 1000) }},
}

// atRandom does so many things to so many members.
func atRandom(p *probe, members, steps int) {
	seed := p.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	done := 0
	defer func() {
		if p.failed() {
			p.errorf("this was step %d. To see it again, set Subject.Seed to %d", done, seed)
		}
	}()
	r := &randomWalk{probe: p, source: rand.New(rand.NewPCG(seed, 0))}
	for i := range members {
		p.member("random", node.ID(i+1))
	}
	for ; done < steps && !p.failed(); done++ {
		r.step(p.members[r.source.IntN(members)])
	}
	p.survives(p.members...)
}

// failed tells whether anything is wrong.
func (p *probe) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.faults) > 0
}

// randomWalk draws what to do from a source.
type randomWalk struct {
	*probe
	source *rand.Rand
}

// between draws from lo to hi, both included.
func (r *randomWalk) between(lo, hi node.Index) node.Index {
	return lo + node.Index(r.source.Uint64N(uint64(hi-lo)+1))
}

// size is mostly small.
func (r *randomWalk) size() int { return r.source.IntN(1 << r.source.IntN(15)) }

// term is one that may follow the last entry's.
func (r *randomWalk) term(d *model) node.Term {
	return max(d.term(d.last()), 1) + node.Term(r.source.IntN(2))
}

// step does one thing to a member, and now and then looks at it.
func (r *randomWalk) step(m *member) {
	switch n := r.source.IntN(100); {
	case n < 40:
		r.append(m)
	case n < 70:
		r.change(m)
	case n < 80:
		m.ask()
	case n < 88:
		m.sync()
	case n < 94:
		m.compare("at random")
	case n < 98:
		m.sync()
		m.close()
		m.open()
		m.compare("opened again")
	case r.Reopen != nil:
		for _, m := range r.members {
			m.sync()
		}
		r.reopenStore()
		for _, m := range r.members {
			m.compare("when the store has been opened again")
		}
	}
}

func (r *randomWalk) append(m *member) {
	term := r.term(m.model)
	if r.source.IntN(8) == 0 {
		m.appendConfiguration(term, configuration(r.source.IntN(5)))
		return
	}
	sizes := make([]int, 1+r.source.IntN(1<<r.source.IntN(6)))
	for i := range sizes {
		sizes[i] = r.size()
	}
	m.append(term, sizes...)
}

// change does what is neither an append nor a sync.
func (r *randomWalk) change(m *member) {
	d := m.model
	switch r.source.IntN(7) {
	case 0:
		m.setHardState(node.HardState{
			Term: node.Term(r.source.IntN(1000)), Vote: node.ID(r.source.IntN(4)),
			VoteIncarnation: node.Incarnation(r.source.Uint64()), Commit: d.last(),
		})
	case 1:
		m.setMet(node.ID(1+r.source.IntN(5)), node.Incarnation(r.source.IntN(3)))
	case 2, 3:
		if lowest := max(d.first, d.snapshot.Index+1); lowest <= d.last() {
			m.truncate(r.between(lowest, d.last()))
		}
	case 4, 5:
		if lowest := max(d.first, d.snapshot.Index); lowest <= d.last() {
			at := r.between(lowest, d.last())
			m.compact(at, r.between(d.first-1, at), d.data(r.size()))
		}
	case 6:
		if r.source.IntN(3) == 0 {
			at := r.between(max(1, d.snapshot.Index), d.last()+3)
			m.install(at, r.term(d), d.data(r.size()))
		}
	default:
		panic(fmt.Sprintf("no such change: %v", d))
	}
}
