package persisttest

import (
	"bytes"
	"io"
	"math/rand/v2"

	"example.com/raftactor/node"
)

var snapshotChecks = []check{
	{name: "a snapshot is read by the handle of its commit", do: committedSnapshot},
	{name: "a snapshot is read at any offset", do: snapshotOffsets},
	{name: "a snapshot stays readable while it is replaced", do: replacedSnapshot},
	{name: "an aborted snapshot leaves no trace", do: abortedSnapshot},
	{name: "a dropped snapshot leaves the others", do: droppedSnapshot},
	{name: "snapshots are written and read side by side", do: concurrentSnapshots},
	{name: "snapshots that nobody needs are removed", do: removedSnapshots, needs: needsCount},
}

// snapshotSizes are those of states: none, small ones, and more than fits in a buffer.
var snapshotSizes = []int{0, 1, 1000, 65_536, 3<<20 + 17}

func committedSnapshot(p *probe) {
	m := p.member("group", 1)
	m.append(1, 10, 20, 30)
	m.sync()
	for _, size := range snapshotSizes {
		meta, state := m.model.meta(2, 1), m.model.data(size)
		meta.Handle = m.commit(meta, state)
		if meta.Handle == nil {
			p.fatalf("the handle of a snapshot is nil")
		}
		m.holds("before the log is told", meta, state)
		m.model.compact(meta, m.model.first-1, state)
		p.must(m.log.Compact(meta, m.model.first-1), "compacting with a snapshot of %d bytes", size)
		p.survives(m)
	}
	m.install(50, 2, m.model.data(2<<20))
	p.survives(m)
}

func snapshotOffsets(p *probe) {
	m := p.member("group", 1)
	m.append(1, 10)
	state := m.model.data(1<<20 + 333)
	m.compact(1, 1, state)
	m.sync()
	r := m.openSnapshot(m.log.Snapshot())
	defer r.Close()
	size := len(state)
	p.parallel(3, func(i int) {
		source := rand.New(rand.NewPCG(uint64(i), 1))
		at := func(off, length int) {
			got := make([]byte, length)
			n, err := r.ReadAt(got, int64(off))
			want := state[min(off, size):min(off+length, size)]
			switch {
			case n != len(want) || !bytes.Equal(got[:n], want):
				p.fatalf("reading %d bytes at %d of a snapshot of %d: %d, %v, or others than were written",
					length, off, size, n, err)
			case n < length && err != io.EOF:
				p.fatalf("reading %d bytes at %d of a snapshot of %d: %d and the error %v, want io.EOF",
					length, off, size, n, err)
			case n == length && err != nil && (err != io.EOF || off+length < size):
				p.fatalf("reading %d bytes at %d of a snapshot of %d: %v", length, off, size, err)
			}
		}
		for _, off := range []int{0, 1, 4095, 65_535, 65_536, 65_537, size - 1, size, size + 1, size + 100_000} {
			for _, length := range []int{1, 7, 65_536, 65_537, 300_000} {
				at(off, length)
			}
		}
		for range 200 {
			at(source.IntN(size+1000), 1+source.IntN(1<<source.IntN(18)))
		}
	})
}

func replacedSnapshot(p *probe) {
	m := p.member("group", 1)
	m.append(1, 10, 20, 30)
	old := m.model.data(700_000)
	m.compact(1, 1, old)
	m.sync()
	meta := m.log.Snapshot()
	first, second := m.openSnapshot(meta), m.openSnapshot(meta)
	if _, err := first.ReadAt(make([]byte, 100), 0); err != nil {
		p.errorf("reading the start of a snapshot: %v", err)
	}
	m.compact(2, 2, m.model.data(5))
	m.sync()
	m.install(20, 2, m.model.data(6))
	m.sync()
	m.reads("replaced", first, old)
	p.must(first.Close(), "closing a snapshot that was replaced")
	m.reads("replaced", second, old)
	p.must(second.Close(), "closing a snapshot that was replaced")
	p.survives(m)
}

func abortedSnapshot(p *probe) {
	m := p.member("group", 1)
	m.append(1, 10, 20, 30)
	state := m.model.data(1000)
	m.compact(1, 1, state)
	m.sync()
	for _, size := range snapshotSizes {
		w := m.createSnapshot(m.model.meta(2, 1))
		m.write(w, m.model.data(size))
		w.Abort()
		w.Abort()
		if _, err := w.Commit(); err == nil {
			p.errorf("a snapshot is committed after it was aborted")
		}
	}
	p.counts("aborted", 1)
	p.survives(m)
}

func droppedSnapshot(p *probe) {
	m := p.member("group", 1)
	m.append(1, 10, 20, 30)
	m.compact(1, 1, m.model.data(1000))
	m.sync()
	dropped, kept := m.newSnapshot(2), m.newSnapshot(2)
	m.storage.DropSnapshot(dropped.Handle)
	m.holds("beside one that was dropped", kept, nil)
	m.storage.DropSnapshot(kept.Handle)
	p.survives(m)
	p.counts("dropped", 1)
}

// counts wants the store to come to hold so many snapshots, if it tells.
func (p *probe) counts(what string, want int) {
	if p.Snapshots != nil {
		p.eventually(func() bool { return p.Snapshots() == want },
			"%s: the store holds %d snapshots, want %d", what, p.Snapshots(), want)
	}
}

func concurrentSnapshots(p *probe) {
	m, other := p.member("group", 1), p.member("group", 2)
	for _, m := range p.members {
		m.append(1, 10, 20, 30)
		m.compact(1, 1, []byte("first"))
		m.sync()
	}
	metas, states := make([]node.SnapshotMeta, 6), make([][]byte, 6)
	for i := range metas {
		metas[i], states[i] = m.model.meta(node.Index(2+i/4), 1), m.model.data(100_000+i)
	}
	p.parallel(len(metas)+1, func(i int) {
		if i == len(metas) { // the node goes on meanwhile
			for range 50 {
				m.append(2, 100)
				m.sync()
			}
			return
		}
		by := []*member{m, other}[i%2]
		metas[i].Handle = by.commit(metas[i], states[i])
		by.holds("just written", metas[i], states[i])
	})
	for i := range metas {
		[]*member{m, other}[i%2].holds("written beside others", metas[i], states[i])
	}
	m.model.compact(metas[4], 2, states[4])
	p.must(m.log.Compact(metas[4], 2), "compacting")
	p.survives(p.members...)
}

func removedSnapshots(p *probe) {
	m := p.member("group", 1)
	m.append(1, 10, 20, 30)
	for i := node.Index(1); i <= 3; i++ {
		m.compact(i, i, m.model.data(100))
		m.sync()
		p.counts("replaced by a snapshot of its own", 1)
	}
	m.install(20, 2, nil)
	m.sync()
	p.counts("replaced by an installed one", 1)
	p.survives(m)
	p.counts("opened again", 1)
}
