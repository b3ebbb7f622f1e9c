package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/simfs"
)

const useDir = "data/store"

// inMemory opens a store on a disk of its own.
func inMemory(t *testing.T) (*simfs.FS, *Store) {
	t.Helper()
	disk := simfs.New()
	return disk, mustOpen(t, useDir, onDisk(disk, 1))
}

func TestAStoreBelongsToTheClusterThatClaimsItFirst(t *testing.T) {
	disk, s := inMemory(t)
	must(t, s.Claim("north"))
	must(t, s.Claim("north"))
	if err := s.Claim("south"); !errors.Is(err, ErrOtherCluster) || !strings.Contains(err.Error(), `"north"`) {
		t.Errorf("claimed for another cluster: got %v", err)
	}
	// Also when the segment that it was written in is gone.
	m := mustMember(t, s, "g", 1)
	for range 20 {
		appendSome(t, m, 1, 4, 4000, node.EntryCommand)
		commitAll(t, s, m)
	}
	must(t, m.Log().Compact(makeSnapshot(t, m, 80, 1, 10), 80))
	commitAll(t, s, m)
	if s.wal.segments[0].number == 1 {
		t.Fatal("the first segment is still there")
	}
	must(t, s.Close())
	disk = disk.Kill()
	opts := onDisk(disk, 2)
	opts.ClusterID = "south"
	if _, err := Open(useDir, opts); !errors.Is(err, ErrOtherCluster) || !strings.Contains(err.Error(), `"north"`) {
		t.Errorf("opened for another cluster: got %v", err)
	}
	if n := changes(disk); n > 0 {
		t.Errorf("a store of another cluster was changed %d times", n)
	}
	opts.ClusterID = "north"
	must(t, mustOpen(t, useDir, opts).Close())
}

// Nobody has been told that the store is claimed. But as it may be, it is not another one's.
func TestAClaimThatIsInDoubtCounts(t *testing.T) {
	disk, s := inMemory(t)
	must(t, s.Claim("north"))
	disk = disk.Kill()
	opts := onDisk(disk, 2)
	opts.ClusterID = "south"
	if _, err := Open(useDir, opts); !errors.Is(err, ErrOtherCluster) || changes(disk) > 0 {
		t.Errorf("opened for another cluster, with %d changes: got %v", changes(disk), err)
	}
	opts.ClusterID = ""
	s = mustOpen(t, useDir, opts)
	if err := s.Claim("south"); !errors.Is(err, ErrOtherCluster) {
		t.Errorf("claimed for another cluster: got %v", err)
	}
	must(t, s.Close())
}

// The empty name says nothing, and so it neither claims a store nor takes it from another cluster.
func TestTheEmptyNameClaimsNothing(t *testing.T) {
	_, s := inMemory(t)
	must(t, s.Claim(""))
	must(t, s.Claim("north"))
	must(t, s.Close())
}

func TestAStoreIsClaimedWhenItIsOpened(t *testing.T) {
	opts := onDisk(simfs.New(), 1)
	opts.ClusterID = "north"
	s := mustOpen(t, useDir, opts)
	if err := s.Claim("south"); !errors.Is(err, ErrOtherCluster) {
		t.Errorf("claimed for another cluster: got %v", err)
	}
	must(t, s.Close())
}

func TestOptionsReportEveryFaultAtOnce(t *testing.T) {
	must(t, Options{}.Validate())
	must(t, Options{SegmentBytes: 16 << 10}.Validate())
	opts := Options{SegmentBytes: 16<<10 + 1, BatchBytesMax: -1, RecentBytesMax: -2, SegmentsMax: math.MinInt}
	_, openErr := Open(t.TempDir(), opts)
	for _, err := range []error{opts.Validate(), openErr} {
		for _, name := range []string{"SegmentBytes", "BatchBytesMax", "RecentBytesMax", "SegmentsMax"} {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s is not named: %v", name, err)
			}
		}
	}
	if err := (Options{BatchBytesMax: 1<<30 + 1}).Validate(); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("batches of more than 1 GiB: got %v", err)
	}
	if err := (Options{SegmentBytes: 4096}).Validate(); err == nil || !strings.Contains(err.Error(), "at least") {
		t.Errorf("segments of 4096 bytes: got %v", err)
	}
}

func TestADirectoryThatIsAFileIsRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(name, []byte("text"), 0o600))
	if _, err := Open(name, quiet()); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("got %v", err)
	}
	if content, err := os.ReadFile(name); err != nil || string(content) != "text" {
		t.Errorf("the file is %q now, %v", content, err)
	}
}

func TestADirectoryThatCannotBeWrittenToIsRefused(t *testing.T) {
	for _, kind := range []simfs.Kind{simfs.MkdirAll, simfs.Lock, simfs.Create} {
		disk := simfs.New()
		disk.Inject(failing(syscall.EACCES, "", kind))
		if _, err := Open(useDir, onDisk(disk, 1)); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), useDir) {
			t.Errorf("%v is not permitted: got %v", kind, err)
		}
		disk.Inject(nil)
		must(t, mustOpen(t, useDir, onDisk(disk, 1)).Close())
	}
}

func TestADirectoryIsForOneStore(t *testing.T) {
	disk, s := inMemory(t)
	if _, err := Open(useDir, onDisk(disk, 2)); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), useDir) {
		t.Errorf("got %v", err)
	}
	m := mustMember(t, s, "g", 1)
	appendSome(t, m, 1, 1, 10, node.EntryCommand)
	commitAll(t, s, m)
	must(t, s.Close())
	must(t, mustOpen(t, useDir, onDisk(disk, 2)).Close())
}

func TestAClosedStoreTakesNothing(t *testing.T) {
	_, s := inMemory(t)
	m := mustMember(t, s, "g", 1)
	appendSome(t, m, 1, 3, 10, node.EntryCommand)
	commitAll(t, s, m)
	must(t, s.Close())
	must(t, s.Close())
	_, openErr := s.Open("g", 2)
	_, snapshotErr := m.CreateSnapshot(node.SnapshotMeta{Index: 1, Term: 1})
	_, readErr := m.ReadEntries(1, 3, 100)
	var syncErr error
	if m.Sync(1, func(_ uint64, err error) { syncErr = err }) {
		t.Error("a sync is acknowledged")
	}
	for what, err := range map[string]error{
		"Open": openErr, "Delete": s.Delete("h", 1), "Claim": s.Claim("north"), "CreateSnapshot": snapshotErr, "Sync": syncErr,
		"Append": m.Log().Append(nil), "SetHardState": m.Log().SetHardState(node.HardState{}), "ReadEntries": readErr,
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	must(t, m.Close())
}

// The directory may be another store's by then.
func TestASnapshotThatIsDroppedAfterCloseIsLeftAlone(t *testing.T) {
	disk, s := inMemory(t)
	m := mustMember(t, s, "g", 1)
	meta := makeSnapshot(t, m, 5, 1, 100)
	must(t, s.Close())
	m.DropSnapshot(meta.Handle)
	if names, err := disk.ReadDir(filepath.Join(useDir, snapshotsDir)); err != nil || len(names) != 1 {
		t.Errorf("there are snapshots %v, %v", names, err)
	}
	must(t, mustOpen(t, useDir, onDisk(disk, 2)).Close())
	if names, err := disk.ReadDir(filepath.Join(useDir, snapshotsDir)); err != nil || len(names) != 0 {
		t.Errorf("there are snapshots %v, %v", names, err)
	}
}

func TestCloseWritesWhatHasBeenHandedOver(t *testing.T) {
	disk, s := inMemory(t)
	a, b := mustMember(t, s, "g", 1), mustMember(t, s, "g", 2)
	told := 0
	for _, m := range []node.Storage{a, b} {
		appendSome(t, m, 1, 5, 10, node.EntryCommand)
		if m.Sync(7, func(seq uint64, err error) { must(t, err); told += int(seq) }) {
			t.Error("what has not been written is durable")
		}
	}
	must(t, s.Close())
	if told != 14 {
		t.Errorf("told %d, want 7 and 7", told)
	}
	s = mustOpen(t, useDir, onDisk(disk.PowerLoss(simfs.Choice{}), 2))
	for id := range 2 {
		if last := mustMember(t, s, "g", node.ID(id+1)).Log().LastIndex(); last != 5 {
			t.Errorf("member %d has entries up to %d, want 5", id+1, last)
		}
	}
}

// A name that a snapshot cannot have is refused when the member is made, and not when the log has become long.
func TestAMemberThatCannotHaveSnapshotsIsRefused(t *testing.T) {
	_, s := inMemory(t)
	for _, name := range []MemberName{{"", 1}, {"a/b", 1}, {"a b", 1}, {strings.Repeat("a", 129), 1}, {"a", 0}} {
		if _, err := s.Open(name.Group, name.ID); err == nil || !strings.Contains(err.Error(), name.String()) {
			t.Errorf("%v: got %v", name, err)
		}
	}
	m := mustMember(t, s, "A-z_0.9"+strings.Repeat("a", 121), math.MaxUint64)
	makeSnapshot(t, m, 5, 1, 100)
	if got := s.Members(); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

// Members share the memory for the ends of their logs, those that are there.
func TestMembersShareTheMemory(t *testing.T) {
	disk := simfs.New()
	opts := onDisk(disk, 1)
	opts.RecentBytesMax = 1 << 20
	s := mustOpen(t, useDir, opts)
	expect := func(want int) {
		t.Helper()
		if got := s.recentBytes(); got != want {
			t.Errorf("each has %d bytes, want %d", got, want)
		}
	}
	expect(1 << 20)
	for id := range node.ID(8) {
		must(t, mustMember(t, s, "g", id+1).Close())
	}
	expect(1 << 17)
	for id := range node.ID(4) {
		must(t, s.Delete("g", id+1))
	}
	expect(1 << 18)
	must(t, s.Close())
	s = mustOpen(t, useDir, opts)
	expect(1 << 18)
	for id := range node.ID(40) {
		must(t, mustMember(t, s, "g", id+1).Close())
	}
	expect(recentBytesMin)
	must(t, s.Close())
}

// The disk may be full before the next segment is needed.
func TestAStoreSaysWhatItWasPreparing(t *testing.T) {
	noneLeft(t)
	disk := simfs.New()
	must(t, mustOpen(t, useDir, withWriter(disk, 1)).Close()) // it leaves a spare
	disk.Inject(failing(syscall.ENOSPC, spareTmpEnding, simfs.Create))
	s := mustOpen(t, useDir, withWriter(disk, 2))
	s.chores.wait()
	_, openErr := s.Open("g", 1)
	for what, err := range map[string]error{"Open": openErr, "Close": s.Close()} {
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "preparing the next segment") ||
			!strings.Contains(err.Error(), useDir) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

// What fails later mostly follows from what has failed first.
func TestTheFirstFailureIsTheOneThatIsTold(t *testing.T) {
	_, s := inMemory(t)
	s.fail(syscall.ENOSPC)
	s.fail(syscall.EIO)
	_, openErr := s.Open("g", 1)
	for what, err := range map[string]error{"Open": openErr, "Claim": s.Claim("north"), "Close": s.Close()} {
		if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), useDir) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func TestMembersAreListedInOrder(t *testing.T) {
	_, s := inMemory(t)
	want := []MemberName{{"a", 2}, {"a", 10}, {"b", 1}}
	for _, k := range []int{2, 0, 1} {
		mustMember(t, s, want[k].Group, want[k].ID)
	}
	if got := s.Members(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDeletingAMemberThatIsNotThereIsNoError(t *testing.T) {
	_, s := inMemory(t)
	must(t, s.Delete("g", 1))
}

func TestADeletedMemberLeavesNothing(t *testing.T) {
	disk, s := inMemory(t)
	m := mustMember(t, s, "g", 1)
	life := m.Log().Incarnation()
	must(t, m.Log().SetFounding(node.Voters(1)))
	must(t, m.Log().SetHardState(node.HardState{Term: 4, Vote: 1}))
	appendSome(t, m, 1, 9, 100, node.EntryConfiguration)
	must(t, m.Log().Compact(makeSnapshot(t, m, 5, 1, 100), 5))
	commitAll(t, s, m)
	if err := s.Delete("g", 1); !errors.Is(err, node.ErrInUse) {
		t.Errorf("deleting a member that is open: got %v", err)
	}
	must(t, m.Close())
	must(t, s.Delete("g", 1))
	for range 2 {
		if names, err := disk.ReadDir(filepath.Join(useDir, snapshotsDir)); err != nil || len(names) > 0 {
			t.Errorf("there are snapshots %v, %v", names, err)
		}
		m = mustMember(t, s, "g", 1)
		c, err := readContents(m)
		must(t, err)
		if c.life == life || !(&contents{life: c.life, first: 1}).equal(c) {
			t.Errorf("there is something of the old one: %+v", c)
		}
		must(t, m.Close())
		disk = disk.Kill()
		s = mustOpen(t, useDir, onDisk(disk, 2))
	}
}

// A clock that goes on by a part of a second whenever it is asked.
func slowClock(step time.Duration) func() time.Time {
	now := time.Unix(1_000_000_000, 0)
	return func() time.Time {
		now = now.Add(step)
		return now
	}
}

func TestRecoveryTellsHowFarItIs(t *testing.T) {
	sp := newSpecimen(t, true)
	for name, c := range map[string]struct {
		step time.Duration
		told bool
	}{"slow": {700 * time.Millisecond, true}, "fast": {10 * time.Millisecond, false}} {
		t.Run(name, func(t *testing.T) {
			var text strings.Builder
			opts := onDisk(sp.disk.Kill(), 1)
			opts.now = slowClock(c.step)
			opts.Logger = hclog.New(&hclog.LoggerOptions{Output: &text, Level: hclog.Info})
			must(t, mustOpen(t, sp.dir, opts).Close())
			lines := strings.Count(text.String(), "recovering:")
			// Each segment takes a while, and there is a line for each second behind the first two.
			if segments := len(sp.segmentsOf()); c.told && (lines == 0 || lines > segments) || !c.told && lines > 0 {
				t.Errorf("%d lines for %d segments:\n%s", lines, segments, &text)
			}
			if !strings.Contains(text.String(), "store opened") || !strings.Contains(text.String(), "took=") {
				t.Errorf("it does not say that it is open:\n%s", &text)
			}
		})
	}
}

func TestRecoverySaysWhatItFound(t *testing.T) {
	sp := newSpecimen(t, true)
	opts := onDisk(sp.disk.Kill(), 1)
	opts.now = slowClock(time.Second)
	s := mustOpen(t, sp.dir, opts)
	got := s.Recovery()
	batches, bytes := 0, int64(0)
	for _, file := range sp.segmentsOf() {
		batches += len(sp.parts[file]) - 1
		bytes += int64(len(sp.disk.Content(sp.path(file))))
	}
	if got.Members != 3 || got.Segments != len(sp.segmentsOf()) || got.Batches != int64(batches) ||
		got.Took < time.Second || got.TailDropped != nil {
		t.Errorf("got %+v, want 3 members, %d segments and %d batches", got, len(sp.segmentsOf()), batches)
	}
	if got.Bytes < bytes/2 || got.Bytes > 2*bytes {
		t.Errorf("%d bytes were read of %d", got.Bytes, bytes)
	}
}

func TestATailThatWasDroppedIsReported(t *testing.T) {
	sp := newSpecimen(t, false)
	parts := sp.parts[sp.newest]
	last := parts[len(parts)-1]
	disk := sp.disk.PowerLoss(simfs.Choice{})
	must(t, disk.Flip(sp.path(sp.newest), last.start+100, 1))
	var text strings.Builder
	opts := onDisk(disk, 1)
	opts.Logger = hclog.New(&hclog.LoggerOptions{Output: &text, Level: hclog.Warn})
	s := mustOpen(t, sp.dir, opts)
	bytes := last.end - last.start
	want := TailDropped{File: sp.newest, Offset: last.start, Bytes: bytes}
	if got := s.Recovery().TailDropped; got == nil || *got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, part := range []string{"[WARN]", sp.newest, fmt.Sprint(last.start), fmt.Sprint(bytes)} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("%q is not in the log: %s", part, &text)
		}
	}
	must(t, s.Close())
	if s = mustOpen(t, sp.dir, onDisk(disk, 1)); s.Recovery().TailDropped != nil {
		t.Error("it is reported again")
	}
}
