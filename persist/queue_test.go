package persist

import (
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/simfs"
)

// What is large is written where it was encoded, what is small is put behind the rest, and what does not fit together is
// joined. Whatever comes behind whatever, all of it is in one batch, and there when the store is opened again.
func TestWhatMembersHandOverIsOneBatchInWhateverOrder(t *testing.T) {
	sizes := []int{10, 3000, 9000, 2 * summedAtOnce}
	for order := range 64 {
		disk := simfs.New()
		opts := onDisk(disk, 1)
		opts.SegmentBytes = 1 << 20
		s := mustOpen(t, useDir, opts)
		var members []node.Storage
		for k := range 3 {
			members = append(members, mustMember(t, s, "g", node.ID(k+1)))
		}
		before := s.wal.position.Sequence
		told := 0
		for k, m := range members {
			bytes := sizes[order>>(2*k)&3]
			for range 2 { // and each hands over twice
				appendSome(t, m, 1, 2, bytes, node.EntryCommand)
				appendSome(t, m, 1, 1, 10, node.EntryConfiguration)
				must(t, m.Log().SetHardState(node.HardState{Term: node.Term(bytes)}))
				m.Sync(uint64(m.Log().LastIndex()), func(seq uint64, err error) {
					must(t, err)
					if seq != 6 {
						t.Errorf("told of sync %d, want the newest one", seq)
					}
					told++
				})
			}
		}
		for s.commit() {
		}
		if n := s.wal.position.Sequence - before; n != 1 || told != len(members) {
			t.Errorf("there are %d batches, and %d members were told of them", n, told)
		}
		var want []contents
		for _, m := range members {
			c, err := readContents(m)
			must(t, err)
			want = append(want, *c)
		}
		again := mustOpen(t, useDir, onDisk(disk.Kill(), 2))
		for k := range members {
			c, err := readContents(mustMember(t, again, "g", node.ID(k+1)))
			must(t, err)
			if !c.equal(&want[k]) || len(c.entries) != 6 {
				t.Errorf("member %d is not what it was", k+1)
			}
		}
		if t.Failed() {
			t.Fatalf("order %d", order)
		}
		must(t, again.Close())
		must(t, s.Close())
	}
}
