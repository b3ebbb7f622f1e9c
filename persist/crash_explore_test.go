package persist

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/simfs"
)

// A crashPoint is a moment at which a crash may happen: before an operation of the disk, or at the end of a step.
type crashPoint struct {
	step, op string
	losses   *simfs.Losses // what a power loss may leave
	kills    []*simfs.FS   // what a killed process may leave
	// durable is what must be there afterwards. Instead it may be what was being written: possible.
	durable, possible *world
	// tail is the batch that was being written, or nil. torn says that an earlier crash may have left one.
	tail *simfs.Op
	torn bool
	// depth is how many crashes there were before, during recovery, and history what they were.
	depth   int
	history func() string
}

func (p *crashPoint) String() string {
	text := p.step
	if p.op != "" {
		text += ", before " + p.op
	}
	if p.history != nil {
		text = p.history() + "; then " + text
	}
	return text
}

// The checks that find a mistake.
const (
	checkOpen     = "a crash is no reason to refuse"
	checkWorld    = "what was acknowledged is there, and nothing else"
	checkTail     = "a tail is dropped when there is one, and then it is told"
	checkAgain    = "what was found is durable, and what is written behind it"
	checkTidy     = "nothing is left over"
	checkRead     = "no altered byte is served"
	checkWorkload = "a store that has not crashed does what it is told"
)

// A crashFailure is a check that has failed.
type crashFailure struct {
	where, check, detail string
	image                *simfs.FS
}

func (f *crashFailure) String() string {
	text := fmt.Sprintf("%s: %s\nat: %s", f.check, f.detail, f.where)
	if f.image != nil {
		text += fmt.Sprintf("\nstate: %s\nfiles:\n%v", f.image.Origin(), f.image)
	}
	return text
}

// An explorer opens the store on what crashes leave, and compares it with what must be there. What it looks at follows from the
// seed of the workload.
type explorer struct {
	rng   *rand.Rand
	plant *mistake
	hash  maphash.Seed
	// perPoint is how many power losses are looked at of each moment.
	perPoint int
	// checked are states with what must be there, images those that differ in content, and opened counts all.
	checked map[checkedState]bool
	images  map[uint64]bool
	opened  int
	block   []byte // to read into
}

type checkedState struct {
	image             uint64
	boot              string
	durable, possible *world
}

func newExplorer(seed uint64, plant *mistake, perPoint int) *explorer {
	return &explorer{
		rng: rand.New(rand.NewPCG(seed, 2)), plant: plant, hash: crashHash, perPoint: perPoint,
		checked: map[checkedState]bool{}, images: map[uint64]bool{},
	}
}

var crashHash = maphash.MakeSeed()

// cuts are the places at which a kill during a write is looked at: all in the writes of a few sectors, and else some.
func (x *explorer) cuts(op simfs.Op) []int {
	cuts := simfs.Cuts(op.Offset, op.Length)
	for len(cuts) > cutsMax {
		i := x.rng.IntN(len(cuts))
		cuts[i] = cuts[len(cuts)-1]
		cuts = cuts[:len(cuts)-1]
	}
	return cuts
}

const cutsMax = 14

// point looks at a moment: at kills and power losses.
func (x *explorer) point(p *crashPoint) {
	for _, image := range p.kills {
		x.state(image.Kill(), p)
	}
	for image := range p.losses.States(max(1, x.perPoint>>(2*p.depth)), x.rng) {
		x.state(image, p)
	}
}

// state looks at one state, if nothing is known of it.
func (x *explorer) state(image *simfs.FS, p *crashPoint) {
	key := checkedState{image.Fingerprint(x.hash), image.BootID(), p.durable, p.possible}
	if x.checked[key] {
		return
	}
	x.checked[key] = true
	x.images[key.image] = true
	again, nested := x.rng.IntN(againOneIn) == 0, p.depth < depthMax && x.rng.IntN(nestedOneIn) == 0
	if nested {
		x.nested(image, p)
	}
	kept := image
	if again {
		kept = image.Kill() // for a message
	}
	s, open, found := x.open(image, p)
	if again {
		x.again(image, kept, p, s, open, found)
	}
}

// One state in so many is looked at with what comes after it, and so deep with crashes during recovery.
const (
	againOneIn  = 24
	nestedOneIn = 200
	depthMax    = 2
)

// recovered returns what the store finds on an image, which is one of what may be there.
func (x *explorer) recovered(image *simfs.FS, p *crashPoint) *world {
	_, _, found := x.open(image, p)
	return found
}

// open opens the store on an image, and makes sure of what it finds.
func (x *explorer) open(image *simfs.FS, p *crashPoint) (*Store, map[MemberName]node.Storage, *world) {
	x.opened++
	written := p.tail != nil && !p.torn && x.isWritten(image, p.tail)
	s, err := x.openStore(image)
	if err != nil {
		x.fail(image, p, checkOpen, "%v", err)
	}
	open := map[MemberName]node.Storage{}
	read, err := readWorld(s, open)
	if err != nil {
		x.fail(image, p, checkWorld, "what the store has cannot be read: %v", err)
	}
	found := p.durable
	if text := p.durable.differs(read); text != "" {
		found = p.possible
		if other := p.possible.differs(read); p.possible == p.durable {
			x.fail(image, p, checkWorld, "%s", text)
		} else if other != "" {
			x.fail(image, p, checkWorld, "%s; or, with what was being written: %s", text, other)
		}
	}
	if text := checkDropped(s, p, found, written); text != "" {
		x.fail(image, p, checkTail, "%s", text)
	}
	return s, open, found
}

func (x *explorer) openStore(image *simfs.FS) (*Store, error) {
	draws := x.rng.Uint64()
	return x.plant.open(image, Options{
		Logger: hclog.NewNullLogger(), SegmentBytes: 16 << 10, inline: true,
		random: func() uint64 { draws += 0x9e3779b97f4a7c15; return draws },
	})
}

// isWritten reports whether the header or the footer of a batch is there: without, nothing tells that there was one.
func (x *explorer) isWritten(image *simfs.FS, batch *simfs.Op) bool {
	f, err := image.Open(batch.Name)
	if err != nil {
		return false
	}
	defer f.Close()
	size, _ := f.Size()
	x.block = slices.Grow(x.block[:0], int(size))[:size]
	n, _ := f.ReadAt(x.block, batch.Offset)
	written, header, footer := x.block[:n], batch.Data[:format.BatchHeaderBytes], batch.Data[format.BatchHeaderBytes:]
	return bytes.HasPrefix(written, header) || int64(n) >= batch.Length && bytes.HasSuffix(written[:batch.Length], footer)
}

// checkDropped says what is wrong with what the store says it has dropped. written tells whether the header or the footer was
// there of the batch that was being written.
func checkDropped(s *Store, p *crashPoint, found *world, written bool) string {
	dropped := s.Recovery().TailDropped
	opening := p.tail != nil && p.tail.Offset == format.BlockBytes // which changes nothing
	switch {
	case p.torn:
		return ""
	case dropped == nil && written && !opening && found == p.durable && p.durable.differs(p.possible) != "":
		return "a batch whose header or footer was written was dropped, and nothing said of it"
	case dropped == nil:
		return ""
	case p.tail == nil:
		return fmt.Sprintf("%+v was dropped, and nothing was being written", *dropped)
	case found != p.durable:
		return fmt.Sprintf("%+v was dropped, and it is there", *dropped)
	case storeDir+"/"+dropped.File != p.tail.Name || dropped.Offset != p.tail.Offset || dropped.Bytes <= 0:
		return fmt.Sprintf("%+v was dropped, and %v was being written", *dropped, p.tail)
	}
	return ""
}

// again writes more, and then has the power go: what was found must be there, and what has been acknowledged since.
func (x *explorer) again(image, kept *simfs.FS, p *crashPoint, s *Store, open map[MemberName]node.Storage, found *world) {
	x.tidy(image, p, s)
	x.lose(image, p, "", found)
	for _, name := range found.names() {
		if x.rng.IntN(2) == 0 {
			continue
		}
		v := *found.members[name]
		log := open[name].Log()
		v.hard.Term++
		v.hard.Vote = 9
		added := node.Entry{Index: v.last() + 1, Term: v.hard.Term, Kind: node.EntryCommand, Data: []byte("written after the crash")}
		v.entries = append(v.entries[:len(v.entries):len(v.entries)], added)
		err := log.SetHardState(v.hard)
		if err == nil {
			err = log.Append([]node.Entry{added})
		}
		if err != nil {
			x.fail(kept, p, checkAgain, "%v", err)
		}
		open[name].Sync(1, func(uint64, error) {})
		found = found.with(name, &v)
	}
	for s.commit() {
	}
	if err := s.failure(); err != nil {
		x.fail(kept, p, checkAgain, "%v", err)
	}
	x.lose(image, p, " and more was acknowledged", found)
}

// lose has the power go.
func (x *explorer) lose(image *simfs.FS, p *crashPoint, after string, found *world) {
	history := func() string { return fmt.Sprintf("%v: %s", p, image.Origin()) }
	q := &crashPoint{
		step: "after the store was opened" + after, durable: found, possible: found, depth: depthMax + 1, history: history,
	}
	losses := image.Losses()
	for range 1 + x.rng.IntN(2) {
		lost := losses.Sample(x.rng)
		x.images[lost.Fingerprint(x.hash)] = true
		s, _, _ := x.open(lost, q)
		if t := s.Recovery().TailDropped; t != nil {
			x.fail(lost, q, checkTail, "%+v was dropped, and nothing was being written", *t)
		}
	}
}

// tidy makes sure that no file is left over: only those that somebody needs are there.
func (x *explorer) tidy(image *simfs.FS, p *crashPoint, s *Store) {
	needed := map[string]bool{"LOCK": true}
	for _, g := range s.wal.segments {
		needed[g.name] = true
	}
	for name := range s.snapshotNames() {
		needed[snapshotsDir+"/"+name] = true
	}
	spares := 0
	for _, file := range image.Files() {
		name := strings.TrimPrefix(file.Name, storeDir+"/")
		switch {
		case strings.HasSuffix(name, spareEnding):
			spares++
		case !needed[name]:
			x.fail(image, p, checkTidy, "%s is left over", name)
		}
	}
	if spares > sparesMax {
		x.fail(image, p, checkTidy, "there are %d spare segments", spares)
	}
}

// nested crashes recovery at each of its operations.
func (x *explorer) nested(image *simfs.FS, p *crashPoint) {
	image = image.Kill()
	history := func() string { return fmt.Sprintf("%v: %s", p, image.Origin()) }
	var points []*crashPoint
	image.OnOperation(func(op simfs.Op) {
		if op.Done {
			return
		}
		q := &crashPoint{
			step: fmt.Sprintf("recovery %d", p.depth+1), op: op.String(), history: history, depth: p.depth + 1, torn: true,
			durable: p.durable, possible: p.possible, losses: image.Losses(), kills: []*simfs.FS{image.Kill()},
		}
		if op.Kind == simfs.Write {
			for _, n := range x.cuts(op) {
				q.kills = append(q.kills, image.KillDuring(op, n))
			}
		}
		points = append(points, q)
	})
	if _, err := x.openStore(image); err != nil {
		x.fail(image, p, checkOpen, "%v", err)
	}
	for _, q := range points {
		x.point(q)
	}
}

func (x *explorer) fail(image *simfs.FS, p *crashPoint, check, format string, args ...any) {
	panic(&crashFailure{where: p.String(), check: check, detail: fmt.Sprintf(format, args...), image: image})
}

// open opens the store on a disk, with the mistake.
func (m *mistake) open(disk *simfs.FS, opts Options) (*Store, error) {
	opts.fs = disk
	if m != nil && m.wrap != nil {
		opts.fs = m.wrap(disk)
	}
	s, err := Open(storeDir, opts)
	if err == nil && m != nil && m.opened != nil {
		err = m.opened(s)
	}
	return s, err
}

// beforeCommit does what the store should do behind the commit.
func (m *mistake) beforeCommit(s *Store) {
	if m != nil && m.early != nil {
		m.early(s)
	}
}
