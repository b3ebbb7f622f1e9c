package persist

import (
	"errors"
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

// closedStore is the directory of a store with two members, several segments, and a snapshot.
func closedStore(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	opts := quiet()
	opts.SegmentBytes = 1 << 15
	s := mustOpen(t, dir, opts)
	must(t, s.Claim("home"))
	a, b := mustMember(t, s, "a", 1), mustMember(t, s, "b", 7)
	must(t, a.Log().SetHardState(node.HardState{Term: 4, Vote: 2}))
	must(t, b.Log().SetHardState(node.HardState{Term: 9}))
	for i := node.Index(1); i <= 20; i++ {
		must(t, a.Log().Append(commands(4, i, i)))
		syncNow(t, s, a)
		must(t, b.Log().Append(commands(9, i, i)))
		syncNow(t, s, b)
	}
	meta := node.SnapshotMeta{
		Index: 15, Term: 9, ConfigurationIndex: 1, Configuration: node.NewConfiguration(node.Member{ID: 7, Suffrage: node.Voter}),
	}
	w, err := b.CreateSnapshot(meta)
	must(t, err)
	_, err = w.Write([]byte(strings.Repeat("state", 1000)))
	must(t, err)
	meta.Handle, err = w.Commit()
	must(t, err)
	must(t, b.Log().Compact(meta, 12))
	must(t, b.Log().Truncate(19))
	syncNow(t, s, b)
	must(t, a.Close())
	must(t, b.Close())
	must(t, s.Close())
	return dir
}

func mustInspect(t *testing.T, dir string) *Inspection {
	t.Helper()
	i, err := Inspect(dir)
	must(t, err)
	return i
}

func TestInspectionOfASoundStore(t *testing.T) {
	i := mustInspect(t, closedStore(t))
	if !i.Sound() || i.Tail != nil {
		t.Errorf("got %v, %v, tail %+v", i.Damages, i.Unreadable, i.Tail)
	}
	if i.Cluster != "home" || i.StoreID == 0 || len(i.Members) != 2 || len(i.Segments) < 2 || len(i.Snapshots) != 1 {
		t.Fatalf("got %+v", i)
	}
	a, b := i.Members[0], i.Members[1]
	a.Incarnation, b.Incarnation, a.Bytes, b.Bytes = 0, 0, 0, 0
	if want := (MemberInfo{MemberName: MemberName{"a", 1}, Term: 4, Vote: 2, First: 1, Last: 20}); a != want {
		t.Errorf("got %+v, want %+v", a, want)
	}
	want := MemberInfo{MemberName: MemberName{"b", 7}, Term: 9, First: 13, Last: 18, Snapshot: 15, SnapshotFile: b.SnapshotFile}
	if b != want {
		t.Errorf("got %+v, want %+v", b, want)
	}
	if f := i.Snapshots[0]; f.File != b.SnapshotFile || f.Member == nil || *f.Member != b.MemberName || f.Bytes < 5000 {
		t.Errorf("got %+v", f)
	}
	next := uint64(1)
	for _, g := range i.Segments {
		if g.Void || g.First != next || g.Last < g.First || g.Used <= format.BlockBytes || g.Used > g.Bytes {
			t.Errorf("got %+v, want it to begin at %d", g, next)
		}
		next = g.Last + 1
	}
	if i.Batches != int64(next-1) || i.Records < 40 {
		t.Errorf("got %d batches and %d records", i.Batches, i.Records)
	}
}

func TestInspectionOfAStoreThatIsInUse(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, quiet())
	m := mustMember(t, s, "g", 1)
	for i := node.Index(1); i <= 5; i++ {
		must(t, m.Log().Append(commands(1, i, i)))
		syncNow(t, s, m)
		found := mustInspect(t, dir)
		if !found.Sound() || len(found.Members) != 1 || found.Members[0].Last != i {
			t.Errorf("got %+v", found)
		}
	}
	must(t, m.Close())
	must(t, s.Close())
}

func TestInspectionWhileSegmentsComeAndGo(t *testing.T) {
	dir := t.TempDir()
	opts := quiet()
	opts.SegmentBytes, opts.inline = segmentBytesMin, false
	s := mustOpen(t, dir, opts)
	m := mustMember(t, s, "g", 1)
	configuration := node.NewConfiguration(node.Member{ID: 1, Suffrage: node.Voter})
	write := func(i node.Index) error {
		if err := m.Log().Append(commands(1, i, i)); err != nil {
			return err
		}
		if i%10 == 0 { // so that segments are released
			meta := node.SnapshotMeta{Index: i - 1, Term: 1, ConfigurationIndex: 1, Configuration: configuration}
			w, err := m.CreateSnapshot(meta)
			if err != nil {
				return err
			}
			if meta.Handle, err = w.Commit(); err != nil {
				return err
			}
			if err := m.Log().Compact(meta, i-1); err != nil {
				return err
			}
		}
		synced := make(chan error, 1)
		if m.Sync(uint64(i), func(_ uint64, err error) { synced <- err }) {
			return nil
		}
		return <-synced
	}
	written := make(chan error)
	go func() {
		for i := node.Index(1); i < 400; i++ {
			if err := write(i); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	for looks := 1; ; looks++ {
		i, err := Inspect(dir)
		if err != nil || !i.Sound() {
			t.Errorf("look %d: got %v, %+v", looks, err, i)
		}
		select {
		case err := <-written:
			must(t, err)
			must(t, m.Close())
			must(t, s.Close())
			return
		default:
		}
	}
}

func TestInspectionFindsAllDamagesAndGoesOnBehindThem(t *testing.T) {
	b := threeSegments()
	for i, w := range []int{1, 4, 5} { // one in segment 1, two in segment 2
		b.files[b.written[w].file][b.written[w].offset+80+int64(i)] ^= 1
	}
	i, err := inspect(&readFS{files: b.files}, testDir)
	must(t, err)
	if len(i.Damages) != 3 || i.Sound() {
		t.Fatalf("got %v", i.Damages)
	}
	for n, w := range []int{1, 4, 5} {
		if d := i.Damages[n]; d.File != b.written[w].file || d.Offset != b.written[w].offset || d.Dir != testDir {
			t.Errorf("got %v", d)
		}
	}
	if want := int64(len(b.written) - 3); i.Batches != want {
		t.Errorf("got %d batches, want %d", i.Batches, want)
	}
	t.Run("a header", func(t *testing.T) {
		b := threeSegments()
		b.files[segmentName(2)][20] ^= 1
		i, err := inspect(&readFS{files: b.files}, testDir)
		must(t, err)
		if len(i.Damages) != 1 || i.Batches != 6 || i.Damages[0].File != segmentName(2) {
			t.Errorf("got %v, %d batches", i.Damages, i.Batches)
		}
		if len(i.Damages[0].Members) != 1 {
			t.Errorf("got members %v, want all", i.Damages[0].Members)
		}
	})
	t.Run("the only header", func(t *testing.T) {
		b := newBuilder()
		b.begin(1, 0, position(0, 0))
		b.fill(3)
		b.files[b.file][20] ^= 1
		i, err := inspect(&readFS{files: b.files}, testDir)
		must(t, err)
		if len(i.Damages) != 1 || i.Batches != 0 {
			t.Errorf("got %v, %d batches", i.Damages, i.Batches)
		}
	})
	t.Run("what cannot be read", func(t *testing.T) {
		b := threeSegments()
		i, err := inspect(&readFS{files: b.files, failing: map[string]int64{segmentName(2): 9000}}, testDir)
		must(t, err)
		if len(i.Unreadable) != 1 || len(i.Damages) != 0 || i.Batches != 6 || i.Sound() {
			t.Errorf("got %v, %v, %d batches", i.Unreadable, i.Damages, i.Batches)
		}
	})
	t.Run("entries in a segment that is gone", func(t *testing.T) {
		b := newBuilder()
		b.begin(2, 1, position(7, 1))
		records := b.opening()
		records[3] = format.AppendCheckpoint(nil, 1, format.Checkpoint{Through: 3, ThroughTerm: 1, Last: 9})
		b.write(records...)
		i, err := inspect(&readFS{files: b.files}, testDir)
		must(t, err)
		if len(i.Damages) != 1 || i.Damages[0].File != segmentName(1) || !strings.Contains(i.Damages[0].Detail, "up to 9") {
			t.Errorf("got %v", i.Damages)
		}
		b.write(format.AppendTruncate(nil, 1, 4))
		i, err = inspect(&readFS{files: b.files}, testDir)
		must(t, err)
		if !i.Sound() {
			t.Errorf("none of them is needed, and got %v", i.Damages)
		}
	})
	t.Run("records that do not follow each other", func(t *testing.T) {
		b := threeSegments()
		w := b.write(entry(1, 99, 5))
		i, err := inspect(&readFS{files: b.files}, testDir)
		must(t, err)
		if len(i.Damages) == 0 || !strings.Contains(i.Damages[0].Detail, "follows entry") || i.Damages[0].Offset > w.offset+64 {
			t.Errorf("got %v", i.Damages)
		}
	})
	t.Run("records of an unknown kind", func(t *testing.T) {
		b := newBuilder()
		b.begin(1, 0, position(0, 0))
		record := format.AppendDelete(nil, 1)
		record[8] = 200
		sum := format.Checksum(record[4:])
		copy(record, []byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
		b.write(record)
		i, err := inspect(&readFS{files: b.files}, testDir)
		must(t, err)
		if len(i.Damages) != 1 || !strings.Contains(i.Damages[0].Detail, "kind(200)") {
			t.Errorf("got %v", i.Damages)
		}
	})
}

func TestInspectionOfSnapshots(t *testing.T) {
	dir := closedStore(t)
	name := mustInspect(t, dir).Snapshots[0].File
	path := filepath.Join(dir, snapshotsDir, name)
	whole, err := os.ReadFile(path)
	must(t, err)
	spoiled := slices.Clone(whole)
	spoiled[len(whole)/2] ^= 1
	must(t, os.WriteFile(path, spoiled, 0o600))
	expect := func(detail string) {
		t.Helper()
		i := mustInspect(t, dir)
		if len(i.Damages) != 1 || !strings.Contains(i.Damages[0].File, name) ||
			!slices.Equal(i.Damages[0].Members, []MemberName{{"b", 7}}) || !strings.Contains(i.Damages[0].Detail, detail) {
			t.Errorf("got %v, want one with %q", i.Damages, detail)
		}
	}
	expect("checksum")
	must(t, os.Remove(path))
	expect("missing")
	must(t, os.WriteFile(path, whole, 0o600))
	must(t, os.WriteFile(path+".tmp", whole[:10], 0o600))
	i := mustInspect(t, dir)
	if !i.Sound() || len(i.Snapshots) != 2 || i.Snapshots[1].Member != nil {
		t.Errorf("got %v, %v", i.Damages, i.Snapshots)
	}
}

func TestInspectionOfWhatIsNoStore(t *testing.T) {
	dir := t.TempDir()
	if _, err := Inspect(dir); !errors.Is(err, ErrNoStore) {
		t.Errorf("got %v", err)
	}
	if _, err := Inspect(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// A shiftingFS is a store in use: what looks damaged is elsewhere each time that it is looked at.
type shiftingFS struct {
	rounds []map[string][]byte
	readFS
}

func (s *shiftingFS) ReadDir(dir string) ([]string, error) {
	if filepath.Base(dir) == snapshotsDir {
		return nil, os.ErrNotExist
	}
	s.files = s.rounds[0]
	if len(s.rounds) > 1 {
		s.rounds = s.rounds[1:]
	}
	return s.readFS.ReadDir(dir)
}

func TestWhatOnlyLooksDamagedForAMomentIsNotReported(t *testing.T) {
	b := threeSegments()
	spoiled := func(at int) map[string][]byte {
		files := b.clone()
		files[b.written[at].file][b.written[at].offset+90] ^= 1
		return files
	}
	both := spoiled(1)
	both[b.written[4].file][b.written[4].offset+90] ^= 1
	for name, test := range map[string]struct {
		rounds []map[string][]byte
		want   int
	}{
		"then sound":           {[]map[string][]byte{spoiled(1), b.files}, 0},
		"elsewhere each time":  {[]map[string][]byte{spoiled(0), spoiled(1), spoiled(2), spoiled(3), spoiled(4)}, 0},
		"always there":         {[]map[string][]byte{spoiled(1)}, 1},
		"one of them lasts":    {[]map[string][]byte{both, spoiled(1)}, 1},
		"one of them is fresh": {[]map[string][]byte{spoiled(1), both}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			i, err := inspect(&shiftingFS{rounds: test.rounds}, testDir)
			must(t, err)
			if len(i.Damages) != test.want {
				t.Errorf("got %v, want %d", i.Damages, test.want)
			}
		})
	}
}

func TestDumpVisitsEveryRecordInOrder(t *testing.T) {
	dir := closedStore(t)
	var last RecordInfo
	entries := map[string]int{}
	kinds := map[string]int{}
	i, err := Dump(dir, func(r *RecordInfo) error {
		if r.Segment < last.Segment || r.Segment == last.Segment && r.Offset <= last.Offset || r.Sequence < last.Sequence {
			return fmt.Errorf("%+v follows %+v", r, last)
		}
		last = *r
		kinds[r.Kind]++
		if r.Kind == "entry" {
			entries[r.Member.String()]++
			if r.Bytes == 0 || r.Term == 0 {
				return fmt.Errorf("got %+v", r)
			}
		}
		return nil
	})
	must(t, err)
	if entries["a/1"] != 20 || entries["b/7"] != 20 || kinds["truncate"] != 1 || kinds["compact"] != 1 || kinds["checkpoint"] == 0 {
		t.Errorf("got %v, %v", entries, kinds)
	}
	total := int64(0)
	for _, n := range kinds {
		total += int64(n)
	}
	if i.Records != total || !i.Sound() {
		t.Errorf("got %d records counted, want %d; %v", i.Records, total, i.Damages)
	}
	stop := errors.New("enough")
	if _, err := Dump(dir, func(*RecordInfo) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

func TestInspectionOfATornTail(t *testing.T) {
	b, newest := withNewest()
	b.unwrite(b.files[newest.file], newest.file, newest.offset+200)
	i, err := inspect(&bootFS{readFS{files: b.files}}, testDir)
	must(t, err)
	want := TailInfo{File: newest.file, Offset: newest.offset, Bytes: 3 * format.BlockBytes, Sequence: newest.position.Sequence, SameBoot: true}
	if i.Tail == nil || *i.Tail != want || !i.Sound() {
		t.Errorf("got %+v, %v", i.Tail, i.Damages)
	}
}

// A bootFS has been running since the segments were built.
type bootFS struct{ readFS }

func (*bootFS) BootID() string { return running }

var _ vfs.FS = &bootFS{}
