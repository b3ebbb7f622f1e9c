package raft

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// work is what a turn of the raft actor has for the applier, in order.
type work struct{ items []any }

func (w *work) add(item any) { w.items = append(w.items, item) }

// flush hands the turn's work over.
func (w *work) flush(r *raftActor) {
	if len(w.items) == 0 {
		return
	}
	r.work = newWork()
	r.system.Root.Send(r.applier, w)
}

// Items of work.
type (
	// applyRun is a run of committed entries.
	applyRun struct{ entries []Entry }
	// expect says who waits for the entries from first on, if they are of that term.
	expect struct {
		first Index
		term  Term
		calls []*call
	}
	// settle says that those who wait for first to last, of that term, wait in vain.
	settle struct {
		first, last Index
		term        Term
		code        Code
	}
	// queriesReady are queries that may be answered once index is applied.
	queriesReady struct {
		index Index
		calls []*call
	}
	// readEntries asks for entries that are not in memory.
	readEntries struct {
		id       ID
		lo, hi   Index
		bytesMax int
	}
	restoreSnapshot struct{ meta SnapshotMeta }
	// takeSnapshot may have been asked for. first is the first index that the log has.
	takeSnapshot struct {
		meta  SnapshotMeta
		first Index
		asked *call
	}
)

// applier owns the user's machine: it applies, answers proposers, serves queries, and captures snapshots, all in
// the order of the work that it gets.
type applier struct {
	cfg     Config
	machine Machine
	storage Storage
	system  *actor.ActorSystem
	owner   *actor.PID // the raft actor

	vitals *vitals // the raft actor's

	// applied is the index up to which the machine has applied.
	applied Index
	report  report

	sessions sessions
	// expected are the runs that somebody waits for, in the order in which they were accepted.
	expected []*expect
	// covered wait for the snapshot that is about to be restored: it may tell what became of them.
	covered []*settle
	// toRestore is the index of the newest snapshot that the machine is to restore. Written by the raft actor.
	toRestore *atomic.Uint64
	// passing: an older one was passed over. Until the newest is restored nothing is applied, and nothing served.
	passing bool
	// waiting are queries for an index that is not applied yet.
	waiting []*queriesReady
	// feed is told of what has been applied.
	feed *feed
	// stopping ends the writing of snapshots, which could take long. Read by the snapshotters.
	stopping atomic.Bool
	// failed: the machine is in a state that nobody may see.
	failed bool
}

func newApplier(r *raftActor) *applier {
	return &applier{
		cfg: r.cfg, machine: r.machine, storage: r.storage, system: r.system,
		owner: r.self, feed: &r.feed, vitals: &r.vitals, toRestore: &r.toRestore,
		sessions: sessions{unpublished: unpublished{from: 1}},
		report:   report{back: &r.calls.back, overload: &r.overload, batch: reportBatch(&r.cfg)},
	}
}

// Receive carries work out.
func (a *applier) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *work:
		for _, item := range m.items {
			if a.failed {
				return
			}
			if err := a.do(ctx, item); err != nil {
				a.failed = true
				fail(ctx, a.owner, err)
			}
		}
		a.tell()
		m.recycle()
	case *actor.Stopping:
		a.stopping.Store(true)
	}
	a.vitals.sessions.Store(int64(len(a.sessions.byID)))
}

func (a *applier) do(ctx actor.Context, item any) error {
	switch item := item.(type) {
	case *applyRun:
		defer item.recycle()
		if a.passing {
			a.passOver(item.entries)
			return nil
		}
		return a.apply(item.entries)
	case *expect:
		a.expect(item)
	case *settle:
		if item.code == Code_SNAPSHOT_COVERS {
			a.covered = append(a.covered, item)
		} else {
			a.settle(item)
		}
	case *queriesReady:
		a.serveOrWait(item)
	case letGo:
		a.letGoOfAnswered()
	case *readEntries:
		read(ctx, a.storage, a.owner, item)
	case *takeSnapshot:
		return a.takeSnapshot(ctx, item)
	case *restoreSnapshot:
		return a.restore(ctx, item.meta)
	case *logServed:
		a.publish(item)
	default:
		return fmt.Errorf("raft: applier: %T is no work", item)
	}
	return nil
}

func (a *applier) apply(entries []Entry) error {
	for i := range entries {
		e := &entries[i]
		if e.Index != a.applied+1 {
			return fmt.Errorf("raft: applying index %d after %d", e.Index, a.applied)
		}
		r := reply{index: e.Index, term: e.Term}
		if e.Kind == node.EntryCommand {
			var err error
			if r, err = a.applyCommand(e); err != nil {
				return err
			}
		}
		a.reached(e.Index)
		a.answer(e, r)
		a.report.entriesBytes += entriesBytes(entries[i : i+1])
		a.tellIfMuch()
	}
	if a.feed.owed() {
		a.publish(&logServed{entries: entries})
	}
	a.serveWaiting()
	return nil
}

// applyCommand has the machine apply a command, unless its session says that it has done so already.
func (a *applier) applyCommand(e *Entry) (reply, error) {
	f, err := parseFrame(e.Data)
	if err != nil {
		return reply{}, err
	}
	switch f.kind {
	case frameKindOpenSession:
		return reply{index: Index(a.sessions.open(&f)), term: e.Term}, nil
	case frameKindSessionCommand:
		return a.applyOnce(e, &f)
	default:
		return a.applyNow(e, &f)
	}
}

func (a *applier) applyNow(e *Entry, f *frame) (reply, error) {
	result, err := a.machine.Apply(Command{Index: e.Index, Term: e.Term, Data: f.command})
	if err != nil {
		return reply{}, fmt.Errorf("raft: the machine failed to apply index %d: %w", e.Index, err)
	}
	return reply{index: e.Index, term: e.Term, result: result}, nil
}

// applyOnce answers a command of a session that has been applied before with what came of it then.
func (a *applier) applyOnce(e *Entry, f *frame) (reply, error) {
	verdict, known := a.sessions.judge(&f.sessionPlace)
	if verdict == sessionApply {
		r, err := a.applyNow(e, f)
		if err == nil {
			a.sessions.note(&f.sessionPlace, sessionResult{r.index, r.term, r.result})
		}
		return r, err
	}
	a.sessions.unpublished.note(e.Index)
	switch verdict {
	case sessionDuplicate:
		return reply{index: known.index, term: known.term, result: known.result}, nil
	case sessionGivenUp:
		return reply{rejected: rejectGivenUp(f.sequence)}, nil
	default:
		return reply{rejected: rejectExpired(f.session)}, nil
	}
}

// publish hands applied entries to the feeder, and says which of them nobody is to see.
func (a *applier) publish(m *logServed) {
	known := &a.sessions.unpublished
	if n := len(m.entries); n > 0 {
		lo, hi := m.entries[0].Index, m.entries[n-1].Index+1
		if lo < known.from {
			m.entries, m.gone, m.first = nil, true, known.from
		} else {
			m.suppressed = known.between(lo, hi)
		}
	}
	a.feed.hand(m)
}

// reached takes note of how far the machine has applied.
func (a *applier) reached(index Index) {
	a.applied = index
	a.feed.advance(index)
}

// expect notes who waits. A change of members that was made long ago is answered at once.
func (a *applier) expect(run *expect) {
	if run.first > a.applied {
		a.expected = append(a.expected, run)
		return
	}
	for _, c := range run.calls {
		a.finish(c, reply{index: run.first, term: run.term})
	}
}

// answer answers those who wait for an entry. More than one do if a change of members was asked for
// again before it was applied. What was accepted first is applied first, but for what is superseded.
func (a *applier) answer(e *Entry, r reply) {
	for k := 0; k < len(a.expected); k++ {
		run := a.expected[k]
		last := run.first + Index(len(run.calls)) - 1
		if run.term != e.Term || e.Index < run.first || e.Index > last {
			continue
		}
		if c := run.calls[e.Index-run.first]; c != nil {
			a.finish(c, r)
		}
		if e.Index == last {
			a.expected = slices.Delete(a.expected, k, k+1)
			run.recycle()
			k--
		}
		if e.Kind == node.EntryCommand {
			return // of which each has one proposer
		}
	}
}

// settle answers those who wait for what will not be applied here.
func (a *applier) settle(s *settle) {
	kept := a.expected[:0]
	for _, run := range a.expected {
		end := run.first + Index(len(run.calls)) // the index behind the last
		if run.term != s.term || end <= s.first || run.first > s.last {
			kept = append(kept, run)
			continue
		}
		for i, c := range run.calls {
			if at := run.first + Index(i); c != nil && at >= s.first && at <= s.last {
				a.finish(c, a.settled(c, s.code))
			}
		}
		if end > s.last+1 {
			run.calls = run.calls[s.last+1-run.first:]
			run.first = s.last + 1
			kept = append(kept, run)
		} else if run.first < s.first && a.applied < s.first-1 {
			run.calls = run.calls[:s.first-run.first]
			kept = append(kept, run)
		}
	}
	clear(a.expected[len(kept):])
	a.expected = kept
}

// settled is what becomes of a call whose entry is not applied here: another one is in its place or, in the machine
// that has just been restored, a snapshot, whose sessions tell of their commands.
func (a *applier) settled(c *call, code Code) reply {
	if code == Code_SUPERSEDED {
		return reply{rejected: rejectSuperseded()}
	}
	if f, err := parseFrame(c.payload); err == nil && f.kind == frameKindSessionCommand {
		switch verdict, known := a.sessions.find(&f.sessionPlace); verdict {
		case sessionDuplicate:
			return reply{index: known.index, term: known.term, result: known.result}
		case sessionApply:
			return reply{rejected: rejectNotCovered()}
		}
	}
	return reply{rejected: rejectCovered()}
}

// serveOrWait answers queries whose index has been applied, and keeps the others.
func (a *applier) serveOrWait(q *queriesReady) {
	// Those whose time is up would otherwise be kept until their index comes, which may be never.
	if q.calls = a.unanswered(q.calls); len(q.calls) == 0 {
		return
	}
	if q.index > a.applied || a.passing {
		a.waiting = append(a.waiting, q)
		return
	}
	for _, c := range q.calls {
		if c.min > a.applied {
			a.waiting = append(a.waiting, &queriesReady{index: c.min, calls: []*call{c}})
			continue
		}
		a.serve(c)
		a.tellIfMuch()
	}
}

func (a *applier) serveWaiting() {
	if len(a.waiting) == 0 {
		return
	}
	waiting := a.waiting
	a.waiting = nil
	for _, q := range waiting {
		a.serveOrWait(q)
	}
}

func (a *applier) serve(c *call) {
	r := reply{index: a.applied}
	if c.kind != readyCall && !c.answered.Load() { // its time may have come to its end since it was looked at
		var err error
		if r.result, err = a.machine.Query(c.payload); err != nil {
			r.rejected = &Rejected{Code: Code_QUERY_FAILED, Outcome: Outcome_NOT_APPLIED, Detail: err.Error()}
		}
	}
	a.finish(c, r)
}

// takeSnapshot captures the machine and has the view written by a child, beside later applies.
func (a *applier) takeSnapshot(ctx actor.Context, m *takeSnapshot) error {
	meta := m.meta
	if meta.Index != a.applied {
		return fmt.Errorf("raft: a snapshot at %d was asked for, and %d is applied", meta.Index, a.applied)
	}
	view, err := a.machine.Snapshot()
	if err != nil {
		err = fmt.Errorf("raft: the machine failed to capture itself: %w", err)
		ctx.Send(a.owner, &snapshotEnded{meta: meta, asked: m.asked, err: err})
		return nil
	}
	a.sessions.unpublished.forget(m.first)
	header := stateHeader(&a.sessions)
	ctx.Spawn(a.cfg.guardedProps(a.owner, func() actor.Actor {
		return &snapshotter{
			storage: a.storage, owner: a.owner, meta: meta, asked: m.asked,
			header: header, view: view, stopping: &a.stopping,
		}
	}))
	return nil
}

// passOver leaves out entries behind a snapshot that was passed over: the newest covers them.
func (a *applier) passOver(entries []Entry) {
	for len(entries) > 0 {
		term, n := entries[0].Term, 1
		for n < len(entries) && entries[n].Term == term {
			n++
		}
		a.covered = append(a.covered, &settle{
			first: entries[0].Index, last: entries[n-1].Index, term: term, code: Code_SNAPSHOT_COVERS,
		})
		entries = entries[n:]
	}
}

// restore has the machine take a snapshot over, unless a newer one has replaced it meanwhile, which comes next. Its
// file may be gone then.
func (a *applier) restore(ctx actor.Context, meta SnapshotMeta) error {
	state, err := a.storage.OpenSnapshot(meta)
	if err == nil {
		defer state.Close()
	}
	if a.passing = Index(a.toRestore.Load()) > meta.Index; a.passing {
		return nil
	}
	if err != nil {
		return fmt.Errorf("raft: opening the snapshot at %d: %w", meta.Index, err)
	}
	sessions, own, err := readState(state)
	if err != nil {
		return fmt.Errorf("raft: restoring the snapshot at %d: %w", meta.Index, err)
	}
	if err := a.machine.Restore(own); err != nil {
		return fmt.Errorf("raft: the machine failed to restore the snapshot at %d: %w", meta.Index, err)
	}
	a.sessions = *sessions
	a.reached(meta.Index)
	a.vitals.restoring.Store(false)
	for _, s := range a.covered {
		a.settle(s)
	}
	a.covered = nil
	a.report.applied = meta.Index
	ctx.Send(a.owner, &machineRestored{index: meta.Index})
	a.serveWaiting()
	return nil
}
