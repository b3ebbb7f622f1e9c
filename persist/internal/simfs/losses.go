package simfs

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Losses are all that a power loss may leave of a file system as it was at one moment. They are safe for
// concurrent use, and do not change with the file system.
type Losses struct {
	spaces []space
	newest int // the space in which no operation is lost
	count  uint64
	exact  bool
	like   *FS // an image of the file system
}

// A space is a namespace that a power loss may leave.
type space struct {
	names namespace
	files []*filePlan // by id
	count uint64
}

// A filePlan is what may become of a file: for each length, each combination of the outcomes of its sectors.
type filePlan struct {
	file    *file
	name    string
	lengths []lengthPlan // the durable one first. Newest is the place of the newest
	newest  int
	count   uint64
}

// A lengthPlan is what may become of a file that comes out with a certain length.
type lengthPlan struct {
	base    *file        // with the first outcome of each sector
	sectors []sectorPlan // those with more than one outcome
	count   uint64
}

// A sectorPlan is the distinct outcomes of a sector, the old content first.
type sectorPlan struct {
	index    int64
	outcomes []candidate
}

// Losses works out what a power loss may leave now.
func (f *FS) Losses() *Losses {
	f.mu.Lock()
	defer f.mu.Unlock()
	namespaces, complete := f.namespaces()
	l := f.losses(namespaces)
	l.exact = complete
	return l
}

func (f *FS) losses(namespaces []namespace) *Losses {
	l := &Losses{like: f.image(), spaces: make([]space, len(namespaces))}
	plans := make(map[uint64]*filePlan, len(f.files))
	for i, names := range namespaces {
		s := space{names: names, count: 1}
		for _, e := range names {
			plan := plans[e.id]
			if plan == nil {
				plan = f.file(e.id).plan(e.name, f.allowed)
				plans[e.id] = plan
			}
			s.files = append(s.files, plan)
			s.count = times(s.count, plan.count)
		}
		slices.SortFunc(s.files, func(a, b *filePlan) int { return int(int64(a.file.id - b.file.id)) })
		l.spaces[i] = s
		l.count = plus(l.count, s.count)
		if slices.Equal(names, f.names) {
			l.newest = i
		}
	}
	return l
}

// plan works out what may become of a file.
func (f *file) plan(name string, allowed Outcome) *filePlan {
	p := &filePlan{file: f, name: name, count: 1}
	if f.lengths == nil && f.unsynced == nil {
		p.lengths = []lengthPlan{{base: f, count: 1}}
		return p
	}
	lengths := f.lengths
	if lengths == nil {
		lengths = []int64{f.size}
	}
	p.count = 0
	for i, length := range lengths {
		if slices.Contains(lengths[:i], length) {
			continue
		}
		if length == f.size {
			p.newest = len(p.lengths)
		}
		lp := f.planLength(length, allowed)
		p.lengths = append(p.lengths, lp)
		p.count = plus(p.count, lp.count)
	}
	return p
}

func (f *file) planLength(length int64, allowed Outcome) lengthPlan {
	base := &file{owner: newOwner(), id: f.id, size: length}
	base.chunks = slices.Clone(f.chunks[:min(int64(len(f.chunks)), chunksOf(length))])
	lp := lengthPlan{base: base, count: 1}
	for i := range f.unsynced {
		u := &f.unsynced[i]
		if u.index*SectorBytes >= length {
			if u.index < chunksOf(length)*chunkSectors {
				base.setSector(u.index, nil)
			}
			continue
		}
		outcomes := f.outcomes(u, length, allowed)
		base.setSector(u.index, outcomes[0].data)
		if len(outcomes) > 1 {
			lp.sectors = append(lp.sectors, sectorPlan{u.index, outcomes})
			lp.count = times(lp.count, uint64(len(outcomes)))
		}
	}
	return lp
}

// Count is how many states there are, or math.MaxUint64 if there are more than that. States that differ are
// counted once each, but for one case: two files that may both come out under one name, with equal content.
func (l *Losses) Count() uint64 { return l.count }

// Exact reports whether Count is all. It is not when the operations on directories that may be lost are too
// many for all their combinations to be told.
func (l *Losses) Exact() bool { return l.exact }

// State makes the state with a number, from 0 to Count-1. State 0 has lost all that can be lost. The image is
// independent of all others.
func (l *Losses) State(i uint64) *FS {
	if i >= l.count {
		panic(fmt.Sprintf("simfs: State: there is no state %d of %d", i, l.count))
	}
	return l.image(l.digits(i))
}

// digits is the state with a number.
func (l *Losses) digits(i uint64) (n int, digits []uint16) {
	for i >= l.spaces[n].count {
		i -= l.spaces[n].count
		n++
	}
	for _, p := range l.spaces[n].files {
		if p.count > 1 {
			digits = p.digits(i%p.count, digits)
			i /= p.count
		}
	}
	return n, digits
}

// digits appends those of the state with a number.
func (p *filePlan) digits(i uint64, digits []uint16) []uint16 {
	length := 0
	for i >= p.lengths[length].count {
		i -= p.lengths[length].count
		length++
	}
	digits = append(digits, uint16(length))
	for _, s := range p.lengths[length].sectors {
		n := uint64(len(s.outcomes))
		digits = append(digits, uint16(i%n))
		i /= n
	}
	return digits
}

// image makes a state. digits has, for each file that has more than one, the number of the length, and then
// that of the outcome of each sector.
func (l *Losses) image(n int, digits []uint16) *FS {
	s := &l.spaces[n]
	like := l.like
	image := &FS{
		owner: newOwner(), boot: like.boot + 1, allowed: like.allowed, limit: like.limit,
		dirs: like.dirs, names: s.names, durable: s.names, files: make([]*file, len(s.files)), nextID: like.nextID,
		origin: func() string { return l.describe(n, digits) },
	}
	left := digits
	for i, p := range s.files {
		if p.count == 1 {
			image.files[i] = p.lengths[0].base
			continue
		}
		lp := &p.lengths[left[0]]
		image.files[i] = lp.file(left[1:1+len(lp.sectors)], image.owner)
		left = left[1+len(lp.sectors):]
	}
	return image
}

// file makes a file with certain outcomes.
func (lp *lengthPlan) file(digits []uint16, owner uint64) *file {
	f := lp.base
	for i, digit := range digits {
		if digit == 0 {
			continue
		}
		if f == lp.base {
			f = f.own(owner)
		}
		f.setSector(lp.sectors[i].index, lp.sectors[i].outcomes[digit].data)
	}
	return f
}

// describe says what has become of all that was not durable.
func (l *Losses) describe(n int, digits []uint16) string {
	var text strings.Builder
	fmt.Fprintf(&text, "power loss that leaves")
	for _, e := range l.spaces[n].names {
		fmt.Fprintf(&text, " %s", e.name)
	}
	for _, p := range l.spaces[n].files {
		if p.count == 1 {
			continue
		}
		lp := &p.lengths[digits[0]]
		fmt.Fprintf(&text, "; %s: length %d", p.name, lp.base.size)
		for i, s := range lp.sectors {
			fmt.Fprintf(&text, ", sector %d %s", s.index, s.outcomes[digits[1+i]].outcome)
		}
		digits = digits[1+len(lp.sectors):]
	}
	if before := l.like.Origin(); before != "" {
		text.WriteString("; before that: " + before)
	}
	return text.String()
}

// plus and times stop at the largest number.
func plus(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

func times(a, b uint64) uint64 {
	if b != 0 && a > math.MaxUint64/b {
		return math.MaxUint64
	}
	return a * b
}
