package raft

import "sync"

// What a turn hands to the applier is used again, so that a turn with few commands costs little more than one with
// many. The applier gives back what it has carried out.
var (
	works     = sync.Pool{New: func() any { return new(work) }}
	applyRuns = sync.Pool{New: func() any { return new(applyRun) }}
	expects   = sync.Pool{New: func() any { return new(expect) }}
)

func newWork() *work { return works.Get().(*work) }

// recycle gives back work that is done with. Its items are not touched.
func (w *work) recycle() {
	clear(w.items)
	w.items = w.items[:0]
	works.Put(w)
}

func newApplyRun(entries []Entry) *applyRun {
	run := applyRuns.Get().(*applyRun)
	run.entries = entries
	return run
}

func (run *applyRun) recycle() {
	run.entries = nil
	applyRuns.Put(run)
}

func newExpect(first Index, term Term, calls ...*call) *expect {
	run := expects.Get().(*expect)
	run.first, run.term = first, term
	run.calls = append(run.calls[:0], calls...)
	return run
}

// recycle gives back a run all of whose calls are answered.
func (run *expect) recycle() {
	clear(run.calls)
	expects.Put(run)
}
