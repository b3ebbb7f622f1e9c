package persist

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/vfs"
)

var update = flag.Bool("update", false, "write the golden store again: only ever for a new version of the format")

const goldenDir = "testdata/golden-v1"

// Keys of the members of the golden store.
const (
	goldenG node.Incarnation = 0xa1a1a1a1a1a1a1a1
	goldenH node.Incarnation = 0xb2b2b2b2b2b2b2b2
	goldenI node.Incarnation = 0xc3c3c3c3c3c3c3c3
)

// goldenStore is a store with every kind of record: three segments, the second of which ends in a batch in doubt that the
// third repeats, and a fourth that never came into effect. The snapshot that h/2 has installed has the handle.
func goldenStore(handle string) *builder {
	voters := node.NewConfiguration(
		node.Member{ID: 1, Suffrage: node.Voter, Address: "one:1", Incarnation: goldenG}, node.Member{ID: 2, Suffrage: node.Voter})
	older := node.SnapshotMeta{Index: 3, Term: 1, ConfigurationIndex: 1, Configuration: voters, Handle: "older.snap"}
	hard := node.HardState{Term: 2, Vote: 1, VoteIncarnation: goldenG, Commit: 4}
	entry := func(key node.Incarnation, index node.Index, term node.Term, kind node.EntryKind, data string) []byte {
		return format.AppendEntry(nil, key, &node.Entry{Index: index, Term: term, Kind: kind, Data: []byte(data)})
	}
	member := func(key node.Incarnation, group string, id node.ID) []byte {
		return format.AppendMember(nil, key, format.Member{Group: group, ID: id})
	}
	met := func(id node.ID, life node.Incarnation) []byte {
		return format.AppendMet(nil, goldenG, node.Acquaintance{ID: id, Incarnation: life})
	}
	b := newBuilder()
	b.size = 8 * format.BlockBytes
	b.begin(1, 0, format.Position{})
	b.write(format.AppendCluster(nil, "golden"))
	b.write(
		member(goldenG, "g", 1), format.AppendFounding(nil, goldenG, voters), format.AppendHardState(nil, goldenG, node.HardState{Term: 1}),
		met(2, 0xbeef), met(3, 0xfeed), entry(goldenG, 1, 1, node.EntryConfiguration, string(voters.Encode())),
		entry(goldenG, 2, 1, node.EntryEmpty, ""), entry(goldenG, 3, 1, node.EntryCommand, "first"),
		entry(goldenG, 4, 1, node.EntryCommand, "second"), entry(goldenG, 5, 1, node.EntryCommand, "overwritten"),
	)
	b.write(
		format.AppendTruncate(nil, goldenG, 5), entry(goldenG, 5, 2, node.EntryCommand, "third"),
		format.AppendHardState(nil, goldenG, hard), met(3, 0),
	)
	b.write(member(goldenI, "i", 3), entry(goldenI, 1, 1, node.EntryEmpty, ""))
	b.write(
		format.AppendDelete(nil, goldenI), member(goldenH, "h", 2), entry(goldenH, 1, 1, node.EntryEmpty, ""),
		entry(goldenH, 2, 1, node.EntryCommand, "a"), entry(goldenH, 3, 1, node.EntryCommand, "b"), entry(goldenH, 4, 1, node.EntryCommand, "c"),
		format.AppendCompact(nil, goldenH, format.Compaction{Through: 2, ThroughTerm: 1, Snapshot: older}),
	)
	b.write() // a watermark
	opening := func(last node.Index) [][]byte {
		return [][]byte{
			format.AppendCluster(nil, "golden"),
			member(goldenG, "g", 1), format.AppendFounding(nil, goldenG, voters), format.AppendHardState(nil, goldenG, hard), met(2, 0xbeef),
			format.AppendCheckpoint(nil, goldenG, format.Checkpoint{Last: last}),
			member(goldenH, "h", 2),
			format.AppendCheckpoint(nil, goldenH, format.Checkpoint{Through: 2, ThroughTerm: 1, Last: 4, Snapshot: older}),
		}
	}
	b.rotate()
	b.write(opening(5)...)
	end := b.write(entry(goldenG, 6, 2, node.EntryCommand, "fourth")).position
	doubtful := entry(goldenG, 7, 2, node.EntryCommand, strings.Repeat("long", 1500))
	b.write(doubtful)
	b.begin(3, 2, end)
	b.write(append(opening(6), doubtful)...)
	newer := node.SnapshotMeta{Index: 10, Term: 4, ConfigurationIndex: 9, Configuration: voters, Handle: handle}
	b.write(format.AppendInstall(nil, goldenH, newer), entry(goldenH, 11, 4, node.EntryCommand, "after the snapshot"))
	b.rotate()
	return b
}

// writeGolden writes the golden store.
func writeGolden(t *testing.T, dir string) {
	t.Helper()
	must(t, os.RemoveAll(dir))
	must(t, os.MkdirAll(filepath.Join(dir, snapshotsDir), 0o700))
	d := newSnapshotDir(vfs.OS{}, filepath.Join(dir, snapshotsDir), testStoreID, nil)
	d.random = func() uint64 { return 0x1234 }
	meta := node.SnapshotMeta{
		Index: 10, Term: 4, ConfigurationIndex: 9, Configuration: node.NewConfiguration(
			node.Member{ID: 1, Suffrage: node.Voter, Address: "one:1", Incarnation: goldenG}, node.Member{ID: 2, Suffrage: node.Voter}),
	}
	w, err := d.create(snapshotOwner{goldenH, "h", 2}, meta)
	must(t, err)
	_, err = w.Write([]byte("the state of h at 10"))
	must(t, err)
	handle, err := w.Commit()
	must(t, err)
	for name, data := range goldenStore(handle.(string)).files {
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	must(t, os.WriteFile(dir+".txt", []byte(describe(t, dir)), 0o600))
}

// describe is all that a store says of itself, but for whether its tail is of this boot.
func describe(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	found, err := Dump(dir, func(r *RecordInfo) error {
		fmt.Fprintf(&b, "%s %d batch=%d %s %v %x index=%d term=%d bytes=%d %s\n",
			r.File, r.Offset, r.Sequence, r.Kind, r.Member, uint64(r.Incarnation), r.Index, r.Term, r.Bytes, r.Detail)
		return nil
	})
	must(t, err)
	fmt.Fprintf(&b, "store %x of %q, %d batches, %d records, tail %v, damages %v, unreadable %v\n",
		found.StoreID, found.Cluster, found.Batches, found.Records, found.Tail, found.Damages, found.Unreadable)
	for _, g := range found.Segments {
		fmt.Fprintf(&b, "segment %+v\n", g)
	}
	for _, m := range found.Members {
		fmt.Fprintf(&b, "member %v %x term=%d vote=%d entries=%d-%d snapshot=%d %s bytes=%d\n",
			m.MemberName, uint64(m.Incarnation), m.Term, m.Vote, m.First, m.Last, m.Snapshot, m.SnapshotFile, m.Bytes)
	}
	for _, f := range found.Snapshots {
		fmt.Fprintf(&b, "snapshot %s, %d bytes, of %v\n", f.File, f.Bytes, f.Member)
	}
	return b.String()
}

// Every later version of the format must read what version 1 has written. These files are never written again.
func TestTheGoldenStoreOfVersion1IsRead(t *testing.T) {
	if *update {
		writeGolden(t, goldenDir)
	}
	want, err := os.ReadFile(goldenDir + ".txt")
	must(t, err)
	if got := describe(t, goldenDir); got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS(goldenDir)))
	s := mustOpen(t, dir, quiet())
	if got := s.clusterID(); got != "golden" {
		t.Errorf("got cluster %q", got)
	}
	g, h := mustMember(t, s, "g", 1), mustMember(t, s, "h", 2)
	var log []string
	for _, m := range []node.Storage{g, h} {
		log = append(log, fmt.Sprint(m.Log().Incarnation(), m.Log().HardState(), m.Log().Met(), m.Log().Snapshot().Index))
		for _, e := range readAll(t, m) {
			log = append(log, fmt.Sprintf("%d %d %v %.9q", e.Index, e.Term, e.Kind, e.Data))
		}
	}
	wantLog := []string{
		fmt.Sprint(goldenG, node.HardState{Term: 2, Vote: 1, VoteIncarnation: goldenG, Commit: 4}, []node.Acquaintance{{ID: 2, Incarnation: 0xbeef}}, 0),
		fmt.Sprintf("1 1 configuration %.9q", string(g.Log().(*stagedLog).member.state.configurations[0].Data)),
		`2 1 empty ""`, `3 1 command "first"`, `4 1 command "second"`, `5 2 command "third"`, `6 2 command "fourth"`, `7 2 command "longlongl"`,
		fmt.Sprint(goldenH, node.HardState{}, []node.Acquaintance(nil), 10), `11 4 command "after the"`,
	}
	if !slices.Equal(log, wantLog) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(log, "\n"), strings.Join(wantLog, "\n"))
	}
	snapshot, err := h.OpenSnapshot(h.Log().Snapshot())
	must(t, err)
	state := make([]byte, snapshot.Size())
	_, err = snapshot.ReadAt(state, 0)
	must(t, err)
	if string(state) != "the state of h at 10" {
		t.Errorf("got %q", state)
	}
	must(t, snapshot.Close())
	must(t, g.Close())
	must(t, h.Close())
	must(t, s.Close())
}

// What writes the format today writes the same bytes.
func TestVersion1IsStillWritten(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(goldenDir, snapshotsDir, "*"+snapshotEnding))
	must(t, err)
	for name, want := range goldenStore(filepath.Base(names[0])).files {
		got, err := os.ReadFile(filepath.Join(goldenDir, name))
		must(t, err)
		if !slices.Equal(got, want) {
			t.Errorf("%s is written in another way now: raise the version", name)
		}
	}
}
