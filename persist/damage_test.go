package persist

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"example.com/raftactor/persist/internal/simfs"
)

var allBits = flag.Bool("allbits", false, "the tests of damage flip all bits, under both boot ids: takes many minutes")

// verdict is what became of a damaged store.
type verdict int

const (
	refused  verdict = iota // Open says what is damaged, and has changed nothing
	reported                // reading says what is damaged
	dropped                 // the newest batch, which nothing vouches for, is reported as dropped
	harmless                // all that was durable is there
	verdicts
)

func (v verdict) String() string {
	return [...]string{"refused", "reported", "dropped", "harmless"}[v]
}

// damageDone is one way in which a file has been damaged: a bit that has been flipped, or a sector of zeros.
type damageDone struct {
	file   string
	offset int64
	bit    int // -1: the sector is zeros
	// restarted: the machine has been started again since, as far as can be told.
	restarted bool
}

func (d damageDone) String() string {
	what := fmt.Sprintf("bit %d of byte %d flipped", d.bit, d.offset)
	if d.bit < 0 {
		what = fmt.Sprintf("sector at %d zeroed", d.offset)
	}
	return fmt.Sprintf("%s in %s, machine restarted: %v", what, d.file, d.restarted)
}

// end is where the damage ends.
func (d damageDone) end() int64 {
	if d.bit < 0 {
		return d.offset + simfs.SectorBytes
	}
	return d.offset + 1
}

func (d damageDone) do(disk *simfs.FS, dir string) error {
	name := filepath.Join(dir, d.file)
	if d.bit < 0 {
		length := int64(len(disk.Content(name)))
		return disk.Zero(name, d.offset, min(simfs.SectorBytes, length-d.offset))
	}
	return disk.Flip(name, d.offset, d.bit)
}

// cases are all ways to damage a file that are tried: every bit of a header, one of every eighth byte elsewhere, and
// every sector. What is not in the newest batch is tried under one boot id, each time another.
func (sp *specimen) cases(file string) []damageDone {
	var all []damageDone
	add := func(d damageDone) {
		if *allBits || sp.inLast(d) {
			d.restarted = true
			all = append(all, d)
			d.restarted = false
		} else {
			d.restarted = len(all)%2 == 0
		}
		all = append(all, d)
	}
	size := int64(len(sp.disk.Content(filepath.Join(sp.dir, file))))
	header := make([]bool, size)
	for _, p := range sp.parts[file] {
		for _, h := range p.headers {
			for i := h[0]; i < h[1]; i++ {
				header[i] = true
			}
		}
	}
	for offset := range size {
		switch {
		case header[offset] || *allBits:
			for bit := range 8 {
				add(damageDone{file: file, offset: offset, bit: bit})
			}
		case offset%8 == 0:
			add(damageDone{file: file, offset: offset, bit: int(offset/8) % 8})
		}
	}
	for offset := int64(0); offset < size; offset += simfs.SectorBytes {
		add(damageDone{file: file, offset: offset, bit: -1})
	}
	return all
}

// images are what a damaged store is made from: a process that was killed, and a machine that has been restarted.
type images struct {
	mu                sync.Mutex
	killed, restarted *simfs.FS
}

func (sp *specimen) images() *images {
	return &images{killed: sp.disk.Kill(), restarted: sp.disk.PowerLoss(simfs.Everything(simfs.Newest))}
}

func (im *images) take(restarted bool) *simfs.FS {
	im.mu.Lock()
	defer im.mu.Unlock()
	if restarted {
		return im.restarted.Kill()
	}
	return im.killed.Kill()
}

// try damages a store, and tells what becomes of it. An error is a failure of the test.
func (sp *specimen) try(im *images, d damageDone) (verdict, error) {
	disk := im.take(d.restarted)
	if err := d.do(disk, sp.dir); err != nil {
		return 0, err
	}
	s, err := Open(sp.dir, onDisk(disk, specimenSeed))
	if err != nil {
		if n := changes(disk); n > 0 {
			return 0, fmt.Errorf("Open changed something %d times, and then it said: %w", n, err)
		}
		return refused, sp.names(err, d)
	}
	all, err := readStore(s)
	tail := s.Recovery().TailDropped
	if err := errors.Join(s.Close()); err != nil {
		return 0, err
	}
	switch {
	case err != nil:
		return reported, sp.names(err, d)
	case equalStores(all, sp.want):
		return harmless, nil
	}
	p := sp.at(d.file, d.offset)
	if !equalStores(all, sp.without) || p == nil || !p.last {
		return 0, errors.New("something is lost, or altered, and nobody says so")
	}
	if tail == nil || tail.File != d.file || tail.Offset != p.start || tail.Bytes <= 0 {
		return 0, fmt.Errorf("the newest batch is gone, and what is reported is %+v", tail)
	}
	return dropped, nil
}

// changes counts what has been done to a file system.
func changes(disk *simfs.FS) (n int) {
	for _, kind := range []simfs.Kind{simfs.MkdirAll, simfs.Create, simfs.Write, simfs.Truncate, simfs.Rename, simfs.Remove} {
		n += disk.Operations(kind)
	}
	return n - min(disk.Operations(simfs.MkdirAll), 1) // that of the directory, which is there
}

// names checks that damage is said to be where it is, and to concern all whose records are there.
func (sp *specimen) names(err error, d damageDone) error {
	if err := sp.locates(err, d); err != nil {
		return err
	}
	var damage *DamageError
	errors.As(err, &damage)
	if p := sp.at(d.file, damage.Offset); p != nil {
		for _, name := range p.members {
			if !slices.Contains(damage.Members, name) && sp.want[name] != nil {
				return fmt.Errorf("member %v is not named: %w", name, err)
			}
		}
	}
	return nil
}

// locates checks that damage is said to be where it is.
func (sp *specimen) locates(err error, d damageDone) error {
	var damage *DamageError
	if !errors.As(err, &damage) || !errors.Is(err, ErrDamaged) {
		return fmt.Errorf("it is no *DamageError: %w", err)
	}
	if damage.Dir != sp.dir || damage.File != d.file || !strings.Contains(err.Error(), "raftctl wal verify "+sp.dir) {
		return fmt.Errorf("the wrong file is named, or no command: %w", err)
	}
	p := sp.at(d.file, damage.Offset)
	if p == nil || damage.Offset < p.start || d.end() <= p.start || p.end <= d.offset {
		if sp.at(d.file, d.offset) == nil {
			return nil // behind the end of the log: what is there might have been a batch
		}
		return fmt.Errorf("the offset is not in the part that is damaged: %w", err)
	}
	return nil
}

// collectRarely has less done about garbage in a test that opens very many small stores: without it half of the time goes
// there.
func collectRarely(t *testing.T) {
	percent := debug.SetGCPercent(3000)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
}

// tryAll tries cases, and counts the verdicts by kind of file.
func (sp *specimen) tryAll(t *testing.T, cases []damageDone) (counts [verdicts]int) {
	t.Helper()
	im := sp.images()
	next := make(chan damageDone)
	var workers sync.WaitGroup
	var mu sync.Mutex
	failures := 0
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for d := range next {
				v, err := sp.try(im, d)
				if err == nil && !slices.Contains(sp.expected(d), v) {
					err = fmt.Errorf("it is %v, and should be %v", v, sp.expected(d))
				}
				mu.Lock()
				if err == nil {
					counts[v]++
				} else if failures++; failures <= 10 {
					t.Errorf("%v: %v", d, err)
				}
				mu.Unlock()
			}
		})
	}
	for i, d := range cases {
		if i%faultStride == 0 {
			next <- d
		}
	}
	close(next)
	workers.Wait()
	if failures > 0 {
		t.Errorf("%d failures in %d cases", failures, len(cases))
	}
	return counts
}

// inLast tells whether the damage is in what was written last.
func (sp *specimen) inLast(d damageDone) bool {
	p := sp.at(d.file, d.offset)
	return p != nil && p.last
}

// expected is what may become of a store that is damaged like that.
func (sp *specimen) expected(d damageDone) []verdict {
	var touched *part
	for i, p := range sp.parts[d.file] {
		if d.offset < p.used && p.start < d.end() {
			touched = &sp.parts[d.file][i]
			break
		}
	}
	inSnapshot := filepath.Dir(d.file) == snapshotsDir
	switch {
	case touched == nil && sp.at(d.file, d.offset) != nil:
		return []verdict{harmless} // padding
	case touched == nil:
		return []verdict{harmless, refused} // it may have been a batch
	case inSnapshot && (touched.start == 0 || d.end() > sp.footer(d.file)):
		return []verdict{refused} // Open reads header and footer
	case inSnapshot:
		return []verdict{reported}
	case !touched.last:
		return []verdict{refused}
	case sp.orderly:
		return []verdict{harmless, refused} // it is there to vouch for the one before
	case d.restarted:
		return []verdict{dropped}
	default:
		return []verdict{dropped, refused}
	}
}

// footer is where the last part of a file begins.
func (sp *specimen) footer(file string) int64 {
	parts := sp.parts[file]
	return parts[len(parts)-1].start
}

func TestDamageIsNeverSilent(t *testing.T) {
	collectRarely(t)
	for name, orderly := range map[string]bool{"closed": true, "killed": false} {
		t.Run(name, func(t *testing.T) {
			sp := newSpecimen(t, orderly)
			total := [verdicts]int{}
			for _, file := range slices.Sorted(maps.Keys(sp.parts)) {
				if !orderly && file != sp.newest && !*allBits {
					continue // as in the one that was closed
				}
				cases := sp.cases(file)
				counts := sp.tryAll(t, cases)
				t.Logf("%s: %d cases, one in %d tried: %s", file, len(cases), faultStride, counted(counts))
				for v, n := range counts {
					total[v] += n
				}
			}
			want := map[verdict]bool{refused: true, harmless: true, reported: orderly || *allBits, dropped: !orderly}
			for v, n := range total {
				if n > 0 != want[verdict(v)] {
					t.Errorf("%d times it was %v", n, verdict(v))
				}
			}
		})
	}
}

func counted(counts [verdicts]int) string {
	var text []string
	for v, n := range counts {
		text = append(text, fmt.Sprintf("%v %d", verdict(v), n))
	}
	return strings.Join(text, ", ")
}
