package persist

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/simfs"
)

// open opens the store on a disk that is not like the specimen's any more. It returns what Open says, and fails the
// test if that changed anything.
func (sp *specimen) open(t *testing.T, disk *simfs.FS) (*Store, error) {
	t.Helper()
	before := disk.Kill()
	disk = disk.Kill()
	s, err := Open(sp.dir, onDisk(disk, specimenSeed))
	if err != nil {
		sameFiles(t, before, disk)
	}
	return s, err
}

// sameFiles compares all files of two disks.
func sameFiles(t *testing.T, want, got *simfs.FS) {
	t.Helper()
	if !slices.Equal(want.Files(), got.Files()) {
		t.Errorf("the files were\n%vand are\n%v", want, got)
	}
	for _, f := range want.Files() {
		if !slices.Equal(want.Content(f.Name), got.Content(f.Name)) {
			t.Errorf("%s has been changed", f.Name)
		}
	}
}

// isDamage checks that an error says that a file is damaged.
func isDamage(t *testing.T, err error, file string, concerns ...MemberName) {
	t.Helper()
	var damage *DamageError
	if !errors.As(err, &damage) || damage.File != file {
		t.Fatalf("got %v, want damage in %s", err, file)
	}
	for _, name := range concerns {
		if !slices.Contains(damage.Members, name) {
			t.Errorf("member %v is not named: %v", name, err)
		}
	}
}

func (sp *specimen) path(file string) string { return filepath.Join(sp.dir, file) }

// segmentsOf are the names of the segments, oldest first.
func (sp *specimen) segmentsOf() []string {
	var names []string
	for file := range sp.parts {
		if strings.HasSuffix(file, segmentSuffix) {
			names = append(names, file)
		}
	}
	slices.Sort(names)
	return names
}

func (sp *specimen) snapshotOf(name MemberName) string {
	handle, _ := sp.want[name].snapshot.Handle.(string)
	return filepath.Join(snapshotsDir, handle)
}

// write replaces what a file holds.
func write(t *testing.T, disk *simfs.FS, name string, content []byte) {
	t.Helper()
	f, err := disk.OpenWritable(name)
	must(t, err)
	must(t, f.Truncate(0))
	_, err = f.WriteAt(content, 0)
	must(t, errors.Join(err, f.Sync(), f.Close()))
}

// What is behind the last batch of a segment that has a successor is cut off by Open. The newest one has its full length.
func TestATruncatedSegmentIsDamage(t *testing.T) {
	sp := newSpecimen(t, false)
	for _, file := range sp.segmentsOf() {
		for i, p := range sp.parts[file] {
			for _, length := range []int64{p.start, p.start + 1, p.start + 100, p.used - 1, p.used, p.end} {
				disk := sp.disk.Kill()
				write(t, disk, sp.path(file), disk.Content(sp.path(file))[:length])
				s, err := sp.open(t, disk)
				if i == len(sp.parts[file])-1 && length >= p.used && file != sp.newest {
					must(t, err)
					all, err := readStore(s)
					if err != nil || !equalStores(all, sp.want) {
						t.Errorf("%s cut to %d, behind its last batch: something is lost: %v", file, length, err)
					}
				} else {
					isDamage(t, err, file)
				}
			}
		}
	}
}

func TestATruncatedSnapshotIsDamage(t *testing.T) {
	sp := newSpecimen(t, true)
	file := sp.snapshotOf(MemberName{"b", 3})
	whole := sp.disk.Content(sp.path(file))
	for length := 0; length < len(whole); length += 1 + len(whole)/50 {
		disk := sp.disk.Kill()
		write(t, disk, sp.path(file), whole[:length])
		_, err := sp.open(t, disk)
		isDamage(t, err, file, MemberName{"b", 3})
	}
}

func TestAMissingSegmentIsDamageIfItIsNeeded(t *testing.T) {
	sp := newSpecimen(t, true)
	names := sp.segmentsOf()
	for _, file := range names[:len(names)-1] {
		disk := sp.disk.Kill()
		must(t, disk.Remove(sp.path(file)))
		_, err := sp.open(t, disk)
		isDamage(t, err, file, MemberName{"a", 1})
	}
}

func TestAMissingSnapshotIsDamage(t *testing.T) {
	sp := newSpecimen(t, true)
	for _, name := range []MemberName{{"b", 2}, {"b", 3}} {
		disk := sp.disk.Kill()
		must(t, disk.Remove(sp.path(sp.snapshotOf(name))))
		_, err := sp.open(t, disk)
		isDamage(t, err, sp.snapshotOf(name), name)
	}
}

func TestASnapshotInThePlaceOfAnotherIsDamage(t *testing.T) {
	sp := newSpecimen(t, true)
	one, other := sp.snapshotOf(MemberName{"b", 2}), sp.snapshotOf(MemberName{"b", 3})
	disk := sp.disk.Kill()
	write(t, disk, sp.path(one), disk.Content(sp.path(other)))
	_, err := sp.open(t, disk)
	isDamage(t, err, one, MemberName{"b", 2})
}

func TestSegmentsThatHaveChangedPlacesAreDamage(t *testing.T) {
	sp := newSpecimen(t, true)
	names := sp.segmentsOf()
	for i, one := range names {
		for _, other := range names[:i] {
			disk := sp.disk.Kill()
			a, b := disk.Content(sp.path(one)), disk.Content(sp.path(other))
			write(t, disk, sp.path(one), b)
			write(t, disk, sp.path(other), a)
			_, err := sp.open(t, disk)
			var damage *DamageError
			if !errors.As(err, &damage) || damage.File != one && damage.File != other {
				t.Errorf("%s and %s: got %v", one, other, err)
			}
		}
	}
}

// A backup that was taken while the store was in use is older than what stands behind it.
func TestAnOldCopyOfASegmentIsDamage(t *testing.T) {
	disk := simfs.New()
	var copies []*simfs.FS
	disk.OnOperation(func(op simfs.Op) {
		if op.Kind == simfs.Sync && op.Done {
			copies = append(copies, disk.Kill())
		}
	})
	sp := newSpecimenOn(t, disk, true, specimenSeed)
	for _, file := range sp.segmentsOf() {
		if file == sp.newest {
			continue
		}
		whole := sp.disk.Content(sp.path(file))
		for i, older := range copies {
			content := older.Content(sp.path(file))
			if content == nil || slices.Equal(content, whole) {
				continue
			}
			disk := sp.disk.Kill()
			write(t, disk, sp.path(file), content)
			if _, err := sp.open(t, disk); errors.Is(err, ErrDamaged) {
				isDamage(t, err, file)
			} else {
				t.Errorf("%s as it was after sync %d: %v", file, i, err)
			}
		}
	}
}

// It has valid checksums, all of them.
func TestASegmentThatAnotherStoreWroteIsDamage(t *testing.T) {
	sp, other := newSpecimen(t, true), newSpecimenOn(t, simfs.New(), true, 99)
	for _, file := range sp.segmentsOf() {
		disk := sp.disk.Kill()
		write(t, disk, sp.path(file), other.disk.Content(sp.path(file)))
		_, err := sp.open(t, disk)
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v", file, err)
		}
	}
}

// What is damaged while the store is open is not noticed by Open, but by who reads it.
func TestDamageThatComesLaterIsReportedByWhoReads(t *testing.T) {
	sp := newSpecimen(t, true)
	for _, file := range append(sp.segmentsOf(), sp.snapshotOf(MemberName{"b", 3}), sp.snapshotOf(MemberName{"b", 2})) {
		counts := [verdicts]int{}
		for _, p := range sp.parts[file] {
			for offset := p.start; offset < p.used && !(p.last && p.members == nil); offset += 41 * min(faultStride, 10) {
				v := sp.damageOpen(t, damageDone{file: file, offset: offset, bit: int(offset) % 8})
				counts[v]++
			}
		}
		t.Logf("%s: %s", file, counted(counts))
		if counts[reported] == 0 {
			t.Errorf("no damage in %s is ever reported", file)
		}
	}
}

// damageOpen damages a store that is open, and then reads all of it.
func (sp *specimen) damageOpen(t *testing.T, d damageDone) verdict {
	t.Helper()
	disk := sp.disk.Kill()
	s, err := Open(sp.dir, onDisk(disk, specimenSeed))
	must(t, err)
	must(t, d.do(disk, sp.dir))
	all, err := readStore(s)
	must(t, s.Close())
	if err != nil {
		if err := sp.locates(err, d); err != nil {
			t.Errorf("%v: %v", d, err)
		}
		return reported
	}
	if !equalStores(all, sp.want) {
		t.Errorf("%v: what was read is not what was written", d)
	}
	return harmless
}

// A member whose entries are damaged does not take the others with it.
func TestDamageOfOneMemberIsNoneOfTheOthers(t *testing.T) {
	sp := newSpecimen(t, true)
	disk := sp.disk.Kill()
	s, err := Open(sp.dir, onDisk(disk, specimenSeed))
	must(t, err)
	a := s.members[MemberName{"a", 1}]
	at := stateOf(a).entries.all()[0]
	must(t, disk.Flip(sp.path(at.segment.name), at.offset+format.RecordHeaderBytes, 3))
	for name, c := range sp.want {
		m := mustMember(t, s, name.Group, name.ID)
		got, err := readContents(m)
		if name == a.state.name {
			isDamage(t, err, at.segment.name, name)
			if _, again := m.ReadEntries(1, 2, 100); again == nil {
				t.Error("reading it again is no error")
			}
		} else if err != nil || !got.equal(c) {
			t.Errorf("%v: %v", name, err)
		}
		appendSome(t, m, 20, 1, 10, node.EntryCommand) // its storage still takes what is new
		commitAll(t, s, m)
	}
	must(t, s.Close())
}
