package node

import (
	"fmt"
	"testing"
)

// BenchmarkPipeline is the cost of one committed entry on three nodes, leader and followers together:
// 16-byte commands in batches of 64. It must not grow with what is in flight.
func BenchmarkPipeline(b *testing.B) {
	for _, inflight := range []int{64, 1024, 16384} {
		b.Run(fmt.Sprintf("inflight=%d", inflight), func(b *testing.B) {
			p := newPipeline(b)
			p.commit(200_000, inflight)
			b.ReportAllocs()
			b.ResetTimer()
			p.commit(b.N, inflight)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/entry")
		})
	}
}

// BenchmarkSteps is the cost of what happens again and again.
func BenchmarkSteps(b *testing.B) {
	for name, make := range steadyStates {
		b.Run(name, func(b *testing.B) {
			step := make(b)
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

// longLog is a log of which nothing is there but the terms: as many entries as one likes, in 100 terms.
type longLog struct {
	*MemoryLog
	last Index
	// entry is what stands everywhere.
	entry [1]Entry
}

func newLongLog(last Index) *longLog {
	log := &longLog{MemoryLog: NewMemoryLog(life(1)), last: last}
	log.hardState.Term = 100
	log.snapshot = SnapshotMeta{Index: 1, Term: 1, Configuration: founders(1, 2, 3), ConfigurationIndex: 1}
	log.entry[0] = Entry{Kind: EntryEmpty}
	return log
}

func (l *longLog) FirstIndex() Index { return 2 }
func (l *longLog) LastIndex() Index  { return l.last }

func (l *longLog) Term(i Index) (Term, error) { return Term(1 + (i-1)*99/l.last), nil }

func (l *longLog) Entries(lo, _ Index, _ int) ([]Entry, error) {
	l.entry[0].Index = lo
	l.entry[0].Term, _ = l.Term(lo)
	return l.entry[:], nil
}

func (l *longLog) Append(entries []Entry) error {
	l.last += Index(len(entries))
	return nil
}

// BenchmarkRejection: neither the leader that goes back nor the follower that says how far looks at
// the log, so its length does not matter.
func BenchmarkRejection(b *testing.B) {
	for _, last := range []Index{200, 200_000_000} {
		b.Run(fmt.Sprintf("leader/index=%d", last), func(b *testing.B) {
			n, err := New(Config{ID: 1, Seed: 1, SnapshotEntries: Unlimited}, newLongLog(last))
			must(b, err)
			s := &subject{Node: n, tb: b}
			s.does(&Tick{Elapsed: 1})
			s.becomes(Leader)
			p := n.lead.progress(2)
			rejection := &AppendEntriesReply{Header: s.re(2, n.hard.Term), Rejected: last, HintIndex: last / 2, HintTerm: 30}
			receive := &Receive{Message: rejection}
			step := stepper(b, n)
			b.ReportAllocs()
			for b.Loop() {
				p.state, p.paused, p.next = probing, true, last+1
				step(receive)
				if p.next == last+1 || p.next < last/4 {
					b.Fatalf("next is %d", p.next)
				}
			}
		})
		b.Run(fmt.Sprintf("follower/index=%d", last), func(b *testing.B) {
			n, err := New(Config{ID: 1, Seed: 1, SnapshotEntries: Unlimited}, newLongLog(last))
			must(b, err)
			s := &subject{Node: n, tb: b}
			s.follows(2, 101)
			receive := &Receive{Message: s.append(2, 101, command(last*3/4, 20, ""), 0)}
			step := stepper(b, n)
			b.ReportAllocs()
			for b.Loop() {
				step(receive)
			}
		})
	}
}

// BenchmarkNew is a start on a long log: the terms are found by bisection.
func BenchmarkNew(b *testing.B) {
	for _, last := range []Index{200, 200_000_000} {
		b.Run(fmt.Sprintf("index=%d", last), func(b *testing.B) {
			log := newLongLog(last)
			for b.Loop() {
				_, err := New(Config{ID: 1}, log)
				must(b, err)
			}
		})
	}
}
