package persist

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/simfs"
)

// storeDir is the directory of the store on a simulated disk.
const storeDir = "d"

// A workload drives a store on a simulated disk, step by step, and knows what the store must not forget. What it does follows
// from its seed. Whatever goes wrong is a panic with a *crashFailure.
type workload struct {
	rng   *rand.Rand
	opts  Options
	plant *mistake

	disk  *simfs.FS
	store *Store
	open  map[MemberName]node.Storage
	// staged is what the log of each open member has, handed all that has been handed over, and durable all that
	// has been acknowledged.
	staged  map[MemberName]*view
	handed  *world
	durable *world
	told    map[MemberName]bool // whom the store has told that it is

	// explore looks at points, the moments of the present step.
	explore *explorer
	points  []*crashPoint
	steps   int
	step    string
	// tail is the batch that is being written, or nil, and torn says that a former crash may have left one. possible is what may be
	// there instead of what is durable, if it is not what becomes durable in the present step.
	tail     *simfs.Op
	torn     bool
	possible *world
	failed   bool // a sync has failed
	entries  int  // how many have been made
}

// newWorkload opens a store on an empty disk. Explore looks at its crashes.
func newWorkload(seed uint64, plant *mistake, explore *explorer) *workload {
	rng := rand.New(rand.NewPCG(seed, 1))
	empty := &world{members: map[MemberName]*view{}}
	w := &workload{
		rng: rng, plant: plant, explore: explore, handed: empty, durable: empty, told: map[MemberName]bool{},
		opts: Options{Logger: hclog.NewNullLogger(), SegmentBytes: 16 << 10, inline: true, random: rng.Uint64},
	}
	if seed%8 == 0 { // what is opened after a crash has other segments than what wrote them
		w.opts.SegmentBytes *= 2
	}
	w.start(simfs.New())
	clear(explore.images) // those of an empty directory are the same for all
	return w
}

// start opens the store on a disk, and goes on from what it finds.
func (w *workload) start(disk *simfs.FS) {
	w.disk = disk
	w.watch(disk)
	w.do("open", func() {
		var err error
		w.store, err = w.plant.open(disk, w.opts)
		w.must(err)
		w.open = map[MemberName]node.Storage{}
		w.durable = w.handed
	})
	found, err := readWorld(w.store, w.open)
	w.must(err)
	if text := w.durable.differs(found); text != "" {
		w.fail("what the store has found: %s", text)
	}
	w.staged = map[MemberName]*view{}
	for name, v := range w.durable.members {
		w.staged[name] = v
	}
}

// do carries out a step, and then has the crashes looked at that it might have met with. What is durable changes
// within a step at most once: when it has been acknowledged.
func (w *workload) do(step string, act func()) {
	w.steps++
	w.step = step
	w.points = w.points[:0]
	act()
	possible := w.durable
	if w.possible != nil {
		possible = w.possible
	}
	for _, p := range w.points {
		p.possible = possible
	}
	if !w.failed {
		w.possible, w.torn = nil, false
		possible = w.durable
	}
	end := w.moment("")
	end.possible = possible
	w.points = append(w.points, end)
	for _, p := range w.points {
		w.explore.point(p)
	}
}

// moment is the present one.
func (w *workload) moment(op string) *crashPoint {
	return &crashPoint{
		step: w.describe(), op: op, losses: w.disk.Losses(), kills: []*simfs.FS{w.disk.Kill()},
		durable: w.durable, tail: w.tail, torn: w.torn,
	}
}

func (w *workload) describe() string { return fmt.Sprintf("step %d (%s)", w.steps, w.step) }

// watch notes the state of the disk before each operation.
func (w *workload) watch(disk *simfs.FS) {
	disk.OnOperation(func(op simfs.Op) {
		inLog := strings.HasSuffix(op.Name, segmentSuffix)
		if op.Done {
			if op.Kind == simfs.Sync && inLog && op.Err == nil {
				w.tail = nil
			}
			return
		}
		p := w.moment(op.String())
		if op.Kind == simfs.Write {
			if inLog && op.Offset > 0 {
				batch := op
				batch.Data = slices.Concat(op.Data[:format.BatchHeaderBytes], op.Data[len(op.Data)-format.BatchFooterBytes:])
				w.tail = &batch
				p.tail = w.tail
			}
			for _, n := range w.explore.cuts(op) {
				p.kills = append(p.kills, disk.KillDuring(op, n))
			}
		}
		w.points = append(w.points, p)
	})
}

// Steps. Each takes an open member.

func (w *workload) create(name MemberName) {
	w.do("create "+name.String(), func() {
		m, err := w.store.Open(name.Group, name.ID)
		w.must(err)
		v := &view{life: m.Log().Incarnation(), first: 1}
		w.open[name], w.staged[name] = m, v
		w.handed = w.handed.with(name, v)
		w.durable = w.handed
	})
}

// change stages something, in the log and beside it.
func (w *workload) change(name MemberName, stage func(log node.Log, v *view) error) {
	v := *w.staged[name]
	w.must(stage(w.open[name].Log(), &v))
	w.staged[name] = &v
}

// append appends entries, each with a certain number of bytes.
func (w *workload) append(name MemberName, term node.Term, bytes ...int) {
	w.change(name, func(log node.Log, v *view) error {
		var entries []node.Entry
		for _, n := range bytes {
			entries = append(entries, w.entry(v.last()+1+node.Index(len(entries)), term, n))
		}
		v.entries = append(v.entries[:len(v.entries):len(v.entries)], entries...)
		return log.Append(entries)
	})
}

// entry makes an entry unlike all others. Zero bytes: one with a configuration.
func (w *workload) entry(i node.Index, term node.Term, bytes int) node.Entry {
	w.entries++
	if bytes == 0 {
		return node.Entry{Index: i, Term: term, Kind: node.EntryConfiguration, Data: node.Voters(1, node.ID(w.entries)+1).Encode()}
	}
	data := fmt.Appendf(make([]byte, 0, bytes+20), "%d/%d/%d ", i, term, w.entries)
	for len(data) < bytes {
		data = append(data, byte(w.rng.Uint32())|1)
	}
	return node.Entry{Index: i, Term: term, Kind: node.EntryCommand, Data: data}
}

func (w *workload) truncate(name MemberName, from node.Index) {
	w.change(name, func(log node.Log, v *view) error {
		v.entries = v.entries[: from-v.first : from-v.first]
		return log.Truncate(from)
	})
}

func (w *workload) vote(name MemberName, hard node.HardState) {
	w.change(name, func(log node.Log, v *view) error {
		v.hard = hard
		return log.SetHardState(hard)
	})
}

func (w *workload) meet(name MemberName, a node.Acquaintance) {
	w.change(name, func(log node.Log, v *view) error {
		v.met = withMet(append([]node.Acquaintance(nil), v.met...), a)
		sortMet(v.met)
		return log.SetMet(a)
	})
}

func (w *workload) found(name MemberName, c node.Configuration) {
	w.change(name, func(log node.Log, v *view) error {
		v.founding = c
		return log.SetFounding(c)
	})
}

// snapshot writes a snapshot at an index, and returns what describes it.
func (w *workload) snapshot(name MemberName, i node.Index, term node.Term, content string) (meta node.SnapshotMeta) {
	w.do("snapshot of "+name.String(), func() {
		meta = node.SnapshotMeta{Index: i, Term: term, Configuration: node.Voters(1), ConfigurationIndex: 1}
		sw, err := w.open[name].CreateSnapshot(meta)
		w.must(err)
		_, err = sw.Write([]byte(content))
		w.must(err)
		meta.Handle, err = sw.Commit()
		w.must(err)
	})
	return meta
}

// compact stages a snapshot, or the one that is there again, and a release.
func (w *workload) compact(name MemberName, meta node.SnapshotMeta, content string, through node.Index) {
	w.change(name, func(log node.Log, v *view) error {
		v.before = v.term(through)
		v.entries = v.entries[through+1-v.first:]
		v.first = through + 1
		v.snapshot, v.content = meta, content
		return log.Compact(meta, through)
	})
}

func (w *workload) install(name MemberName, meta node.SnapshotMeta, content string) {
	w.change(name, func(log node.Log, v *view) error {
		v.before, v.first, v.entries = meta.Term, meta.Index+1, nil
		v.snapshot, v.content = meta, content
		return log.Install(meta)
	})
}

// sync hands over what is staged.
func (w *workload) sync(name MemberName) {
	if w.open[name].Sync(1, func(_ uint64, err error) { w.told[name] = err == nil }) {
		return
	}
	w.handed = w.handed.with(name, w.staged[name])
}

// commit has the writer write what has been handed over.
func (w *workload) commit() {
	w.do("commit", func() {
		w.plant.beforeCommit(w.store)
		for w.store.commit() {
		}
		w.must(w.store.failure())
		w.durable = w.handed
	})
}

// commitOne has the writer write one batch of what has been handed over, and reports whether there was any.
func (w *workload) commitOne() (written bool) {
	clear(w.told)
	w.do("commit of one batch", func() {
		written = w.store.commit()
		w.must(w.store.failure())
		for name := range w.told {
			w.durable = w.durable.with(name, w.handed.members[name])
		}
	})
	return written
}

// syncs hands over and has it written.
func (w *workload) syncs(names ...MemberName) {
	for _, name := range names {
		w.sync(name)
	}
	w.commit()
}

func (w *workload) close(name MemberName) {
	w.must(w.open[name].Close())
	w.handed = w.handed.with(name, w.staged[name])
	w.commit()
	delete(w.open, name)
	delete(w.staged, name)
}

func (w *workload) reopenMember(name MemberName) {
	m, err := w.store.Open(name.Group, name.ID)
	w.must(err)
	w.open[name], w.staged[name] = m, w.durable.members[name]
}

func (w *workload) delete(name MemberName) {
	w.close(name)
	w.do("delete "+name.String(), func() {
		w.must(w.store.Delete(name.Group, name.ID))
		w.handed = w.handed.with(name, nil)
		w.durable = w.handed
	})
}

func (w *workload) claim(cluster string) {
	w.do("claim", func() {
		w.must(w.store.Claim(cluster))
		w.handed = w.handed.withCluster(cluster)
		w.durable = w.handed
	})
}

// vouch is what the writer does when it has been idle.
func (w *workload) vouch() { w.do("vouch", func() { w.store.vouch() }) }

// restart ends the store in order, and starts it again.
func (w *workload) restart() {
	w.commit()
	w.do("close", func() { w.must(w.store.Close()) })
	w.start(w.disk)
}

// failSync has a sync of the next commits fail, and what is staged written. The process exits, and another one finds what is
// left, in a machine that goes on.
func (w *workload) failSync(name MemberName) {
	failing := w.disk.Operations(simfs.Sync) + 1 + w.rng.IntN(2)
	w.disk.Inject(simfs.FailNth(simfs.Sync, failing, simfs.Fault{Err: errDisk}))
	w.do("commit with a sync that fails", func() {
		w.sync(name)
		for w.store.commit() {
		}
		w.failed = w.store.failure() != nil
		if w.failed {
			w.possible = w.handed
		} else {
			w.durable = w.handed
		}
	})
	w.crash(w.points[len(w.points)-1])
}

// crash goes on with what a crash at one of the moments of the last step has left.
func (w *workload) crash(p *crashPoint) {
	image := p.kills[w.rng.IntN(len(p.kills))]
	if !w.failed && w.rng.IntN(2) == 0 {
		image = p.losses.Sample(w.rng)
	}
	found := w.explore.recovered(image.Kill(), p)
	w.failed, w.tail, w.torn = false, nil, true
	w.durable, w.possible, w.handed = p.durable, p.possible, found
	w.start(image)
}

func (w *workload) must(err error) {
	if err != nil {
		w.fail("%v", err)
	}
}

func (w *workload) fail(format string, args ...any) {
	panic(&crashFailure{where: w.describe(), check: checkWorkload, detail: fmt.Sprintf(format, args...)})
}
