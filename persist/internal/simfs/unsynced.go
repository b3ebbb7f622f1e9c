package simfs

import (
	"slices"
)

// An unsyncedSector is a sector of which the disk may hold something else than the page cache.
type unsyncedSector struct {
	index   int64
	old     *sector  // what is durable
	changes []change // since then, in order
	// clean says that a sync has failed since the last change, so that another one passes it over.
	clean bool
}

// A change is what a write, or the end of a file that moves forward, makes of a sector.
type change struct {
	data    *sector // afterwards
	written bool    // by a write. Otherwise the file was cut here
	// keep is how many bytes a cut leaves of the sector, and length the number, among the lengths of the
	// file, of the one that it came with.
	keep, length int
}

// find is the place of a sector in unsynced, and whether it is there.
func (f *file) find(i int64) (int, bool) {
	if n := len(f.unsynced); n == 0 || f.unsynced[n-1].index < i {
		return n, false // most writes append
	}
	return slices.BinarySearchFunc(f.unsynced, i, func(u unsyncedSector, i int64) int { return int(u.index - i) })
}

// change changes a sector of the page cache and keeps what it was. The first change of a sector is kept in room, if that is
// not nil.
func (f *file) change(i int64, c change, room []change) {
	at, found := f.find(i)
	if !found {
		u := unsyncedSector{index: i, old: f.sector(i)}
		if u.old == nil {
			u.changes = f.cutsOf(i)
		}
		if u.changes == nil {
			u.changes = room
		}
		f.unsynced = slices.Insert(f.unsynced, at, u)
	}
	u := &f.unsynced[at]
	u.changes = append(u.changes, c)
	u.clean = false
	f.setSector(i, c.data)
}

// cutsOf are the cuts of a sector of zeros. They change nothing in it, and so are not kept with it, but what
// is written behind them is not there without them.
func (f *file) cutsOf(i int64) (cuts []change) {
	for n := 1; n < len(f.lengths); n++ {
		if from, to := f.lengths[n-1], f.lengths[n]; to < from && to < (i+1)*SectorBytes && from > i*SectorBytes {
			cuts = append(cuts, change{keep: int(max(to-i*SectorBytes, 0)), length: n})
		}
	}
	return cuts
}

// settle notes that all lengths so far are history: every cut has happened.
func (u *unsyncedSector) settle() {
	u.changes = slices.Clone(u.changes)
	for i := range u.changes {
		u.changes[i].length = 0
	}
}

// An Outcome is what a power loss may make of an unsynced sector. It is a set: outcomes with the same content
// are one.
type Outcome uint8

// Outcomes of a sector.
const (
	// Old is what was durable.
	Old Outcome = 1 << iota
	// Written is what any write since then has put there.
	Written
	// Newest is what the page cache held.
	Newest
	// Zeros is a sector of zeros.
	Zeros
	// Garbage is a sector of pseudo-random bytes.
	Garbage
	// Flipped is the newest content with one bit inverted.
	Flipped
	// AllOutcomes is all of them.
	AllOutcomes = Old | Written | Newest | Zeros | Garbage | Flipped
)

var outcomeNames = []string{"old", "written", "newest", "zeros", "garbage", "flipped"}

func (o Outcome) String() string {
	text := ""
	for i, name := range outcomeNames {
		if o&(1<<i) == 0 {
			continue
		}
		if text != "" {
			text += "="
		}
		text += name
	}
	return text
}

// A candidate is an outcome with its content.
type candidate struct {
	outcome Outcome
	data    *sector
}

// outcomes are what a power loss may leave of a sector in a file of the given length, each content once, the
// old one first. Only what is in the allowed set is offered; Old and Newest always are.
func (f *file) outcomes(u *unsyncedSector, length int64, allowed Outcome) []candidate {
	visible := int(min(length-u.index*SectorBytes, SectorBytes))
	var all []candidate
	add := func(c candidate) {
		if c.outcome &= allowed | Old | Newest; c.outcome == 0 {
			return
		}
		c.data = c.data.cut(visible)
		for i := range all {
			if all[i].data.equal(c.data) {
				all[i].outcome |= c.outcome
				return
			}
		}
		all = append(all, c)
	}
	if f.lengths == nil {
		u.outcomesAt(f.id, 0, visible, add)
	}
	for i, l := range f.lengths {
		if l == length {
			u.outcomesAt(f.id, i, visible, add)
		}
	}
	return all
}

// outcomesAt tells what may be there if the file has come to the length with the number given. Cuts up to
// that one have happened. Those that came later have not, and neither has what was written behind them.
func (u *unsyncedSector) outcomesAt(file uint64, length, visible int, add func(candidate)) {
	changes := u.changes
	if i := slices.IndexFunc(changes, func(c change) bool { return !c.written && c.length > length }); i >= 0 {
		changes = changes[:i]
	}
	// keep[i] is what the cuts behind change i leave of what was there before them.
	keep := make([]int, len(changes)+1)
	keep[len(changes)] = SectorBytes
	for i := len(changes) - 1; i >= 0; i-- {
		keep[i] = min(keep[i+1], changes[i].keep)
	}
	newest, torn := u.old.cut(keep[0]), -1
	add(candidate{Old, newest})
	for i, c := range changes {
		if c.written {
			newest, torn = c.data.cut(keep[i+1]), keep[i+1]
			add(candidate{Written, newest})
		}
	}
	add(candidate{Newest, newest})
	if torn < 0 {
		return
	}
	seed := mix(file)<<20 ^ mix(uint64(u.index))<<8 ^ uint64(len(u.changes))
	add(candidate{Zeros, nil})
	add(candidate{Garbage, garbage(seed).cut(torn)})
	add(candidate{Flipped, newest.flip(int(mix(seed) % uint64(8*visible))).cut(torn)})
}
