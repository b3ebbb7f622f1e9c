package simfs

import (
	"fmt"
	"slices"
)

// Kill is what a killed process leaves: another file system with the same content, durable and not, and the
// same boot id, without handles and locks. It has no hook and no faults, and counts its operations from 1.
func (f *FS) Kill() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.image()
}

// KillDuring is what is left if the process is killed in the middle of a write, when n bytes of it have come
// to the page cache. It is for a hook that is told of the write before it happens. The power losses in the
// middle of the write are those of the image.
func (f *FS) KillDuring(write Op, n int) *FS {
	if write.Kind != Write || write.Done {
		panic("simfs: KillDuring: not a write that is about to happen: " + write.String())
	}
	image := f.Kill()
	image.writable(write.file).writeAt(write.Data[:n], write.Offset)
	image.origin = func() string { return fmt.Sprintf("killed after %d bytes of %s", n, write) }
	return image
}

// Cuts are the numbers of bytes at which to cut a write short in [FS.KillDuring]: wherever a sector ends, and
// around the ends of the first and the last, and of the write. offset and length are those of the write. The
// write as a whole is not among them.
func Cuts(offset, length int64) []int {
	var cuts []int
	for end := SectorBytes - offset%SectorBytes; end < length; end += SectorBytes {
		cuts = append(cuts, int(end))
	}
	var around []int
	if len(cuts) > 0 {
		around = append(around, cuts[0]-1, cuts[0]+1, cuts[len(cuts)-1]-1, cuts[len(cuts)-1]+1)
	}
	for _, n := range append(around, 1, 7, int(length-1)) {
		if 0 < n && int64(n) < length {
			cuts = append(cuts, n)
		}
	}
	slices.Sort(cuts)
	return slices.Compact(cuts)
}

// image is a copy that shares all content. From now on neither of the two changes what is shared.
func (f *FS) image() *FS {
	f.owner = newOwner()
	return &FS{
		owner: newOwner(), boot: f.boot, allowed: f.allowed, limit: f.limit, origin: f.origin,
		dirs: f.dirs, names: f.names, durable: f.durable, dirOps: f.dirOps, files: slices.Clone(f.files), nextID: f.nextID,
	}
}

// A Choice is what a power loss makes of that which is not durable. The zero Choice loses all of it.
type Choice struct {
	// DirOp reports whether an operation is there afterwards. It is only asked if those are that it follows.
	DirOp func(op DirOp) bool
	// Length picks one of the lengths that a file has had: the durable one, then the others in order.
	Length func(name string, lengths []int64) int64
	// Sector picks what becomes of a sector. Outcomes with the same content are one.
	Sector func(name string, index int64, outcomes []Outcome) int
}

// Everything is the Choice in which all operations on directories are there, all lengths are the newest, and
// all sectors have the outcome given, or the old content where it does not exist. Everything(Newest) loses
// nothing.
func Everything(outcome Outcome) Choice {
	return Choice{
		DirOp:  func(DirOp) bool { return true },
		Length: func(_ string, lengths []int64) int64 { return lengths[len(lengths)-1] },
		Sector: func(_ string, _ int64, outcomes []Outcome) int {
			return max(slices.IndexFunc(outcomes, func(o Outcome) bool { return o&outcome != 0 }), 0)
		},
	}
}

// PowerLoss is what the machine finds when it starts again: another file system with another boot id, in
// which all is durable.
func (f *FS) PowerLoss(choice Choice) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := f.durable
	done := make([]bool, len(f.dirOps))
	for i := range f.dirOps {
		op := &f.dirOps[i]
		done[i] = choice.DirOp != nil
		for j := 0; done[i] && j < i; j++ {
			done[i] = done[j] || !op.follows(&f.dirOps[j])
		}
		if done[i] = done[i] && choice.DirOp(*op); done[i] {
			names = op.apply(names)
		}
	}
	l := f.losses([]namespace{names})
	var digits []uint16
	for _, plan := range l.spaces[0].files {
		digits = plan.choose(choice, digits)
	}
	return l.image(0, digits)
}

// choose appends the digits that a choice stands for.
func (p *filePlan) choose(choice Choice, digits []uint16) []uint16 {
	if p.count == 1 {
		return digits
	}
	n := 0
	if choice.Length != nil && p.file.lengths != nil {
		length := choice.Length(p.name, slices.Clone(p.file.lengths))
		n = slices.IndexFunc(p.lengths, func(l lengthPlan) bool { return l.base.size == length })
		if n < 0 {
			panic(fmt.Sprintf("simfs: PowerLoss: %s never had length %d", p.name, length))
		}
	}
	digits = append(digits, uint16(n))
	for _, s := range p.lengths[n].sectors {
		digit := 0
		if choice.Sector != nil {
			outcomes := make([]Outcome, len(s.outcomes))
			for i, c := range s.outcomes {
				outcomes[i] = c.outcome
			}
			digit = choice.Sector(p.name, s.index, outcomes)
		}
		digits = append(digits, uint16(digit))
	}
	return digits
}

// Origin says how an image came about, for the message of a test that fails on it. It is empty for a file
// system made by [New].
func (f *FS) Origin() string {
	if f.origin == nil {
		return ""
	}
	return f.origin()
}
