package persist

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/vfs"
)

const segmentSuffix = ".wal"

// segmentName is the name of the file of a segment.
func segmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, segmentSuffix) }

// parseSegmentName is the reverse of segmentName. Other names are those of other files.
func parseSegmentName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	number, err := strconv.ParseUint(digits, 16, 63)
	return number, ok && err == nil && number != 0 && segmentName(number) == name
}

// A segment is one file of the chain.
type segment struct {
	number uint64
	name   string // in the directory
	size   int64  // of the file
	header format.SegmentHeader
	// bad is why there is no header, or nil.
	bad error
	// end is the offset behind the last batch that belongs to the log. Set by replay.
	end int64
}

// A chain is what a directory holds, as far as it belongs together.
type chain struct {
	fs  vfs.FS
	dir string
	// segments has the oldest one first. Replay takes those away that never came into effect.
	segments []*segment
	// void are segment files off the chain: to be removed once a fresh segment is durable. Replay changes them.
	void []string
	// all are the segment files, by number, and those from the one at newest on are not in effect.
	all    []*segment
	newest int
	// missing is the number of the predecessor of segments[0] that is not there any more, or zero.
	missing uint64
	// next is a number that no segment has ever had.
	next uint64
	// storeID is zero if there is no segment.
	storeID uint64
	// progress is told how many of the bytes have been read. It may be nil.
	progress func(bytes, total int64)
	// tolerate is told of what is damaged, or cannot be read, and reading goes on behind it. If it is nil,
	// the first of it ends reading.
	tolerate func(error)
}

// damage is where something is damaged, before the members are known by name.
type damage struct {
	file   string
	offset int64
	detail string
	// keys are named by records that can still be read in the damaged batch. Nil: not known.
	keys []node.Incarnation
	err  error
}

func (d *damage) Error() string {
	if d.err != nil {
		return fmt.Sprintf("persist: %s is damaged at offset %d: %s: %v", d.file, d.offset, d.detail, d.err)
	}
	return fmt.Sprintf("persist: %s is damaged at offset %d: %s", d.file, d.offset, d.detail)
}

func (d *damage) Unwrap() error { return d.err }

// Is reports whether target is [ErrDamaged].
func (d *damage) Is(target error) bool { return target == ErrDamaged }

// concerned are the members whose keys are in the damage: all, in order, if none is known or one is nobody's,
// since that may have been anyone's.
func (d *damage) concerned(names map[node.Incarnation]MemberName) []MemberName {
	var members []MemberName
	for _, key := range d.keys {
		if name, ok := names[key]; ok {
			members = append(members, name)
		}
	}
	if len(members) == 0 || len(members) < len(d.keys) {
		members = slices.AppendSeq(members[:0], maps.Values(names))
	}
	slices.SortFunc(members, MemberName.compare)
	return members
}

// in says to the user what is damaged. Members are those that the keys stand for.
func (d *damage) in(dir string, members []MemberName) *DamageError {
	detail := d.detail
	if d.err != nil {
		detail += ": " + d.err.Error()
	}
	return &DamageError{Dir: dir, File: d.file, Offset: d.offset, Detail: detail, Members: members}
}

// loadChain reads the headers of the segments in a directory. It changes nothing. It is a [*damage] if one is
// bad that is needed.
func loadChain(fs vfs.FS, dir string) (*chain, error) {
	c := &chain{fs: fs, dir: dir}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *chain) load() error {
	all, err := c.readHeaders()
	if err != nil {
		return err
	}
	if err := c.checkStore(all); err != nil {
		return err
	}
	c.all, c.newest = all, len(all)
	return c.linkNewest()
}

// linkNewest makes the chain that ends with the newest segment in front of those that are not in effect. All
// others are void.
func (c *chain) linkNewest() error {
	c.segments, c.void, c.missing = nil, nil, 0
	for c.newest--; c.newest >= 0 && c.all[c.newest].bad != nil; c.newest-- {
		// Behind the newest segment there can only be one whose creation was cut off.
		if err := c.checkCutOff(c.all, c.all[c.newest]); err != nil {
			return err
		}
	}
	if err := c.link(c.all, c.newest); err != nil {
		return err
	}
	for _, s := range c.all {
		if !slices.Contains(c.segments, s) {
			c.void = append(c.void, s.name)
		}
	}
	return nil
}

// readHeaders returns all segments by number.
func (c *chain) readHeaders() ([]*segment, error) {
	names, err := c.fs.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("persist: listing the segments: %w", err)
	}
	var all []*segment
	for _, name := range names {
		number, ok := parseSegmentName(name)
		if !ok {
			continue
		}
		s := &segment{number: number, name: name}
		if err := c.readHeader(s); errors.Is(err, ErrVersion) {
			return nil, err
		} else if err != nil {
			if err := c.refuse(err); err != nil {
				return nil, err
			}
			s.bad = err
		}
		c.next = max(c.next, number, s.header.Segment, s.header.Predecessor)
		if s.bad == nil && s.header.Segment != number {
			s.bad = fmt.Errorf("the header is that of segment %d", s.header.Segment)
		}
		all = append(all, s)
	}
	c.next++
	slices.SortFunc(all, func(a, b *segment) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	return all, nil
}

func (c *chain) readHeader(s *segment) error {
	w, err := c.open(s)
	if err != nil {
		return err
	}
	defer w.close()
	s.size, w.ahead = w.size, format.BlockBytes
	block, err := w.bytes(0, format.BlockBytes)
	if err != nil {
		return err
	}
	s.header, s.bad = format.ParseSegmentHeader(block)
	switch {
	case errors.Is(s.bad, format.ErrVersion):
		return fmt.Errorf("%w: %s: %w", ErrVersion, filepath.Join(c.dir, s.name), s.bad)
	case s.bad != nil && len(block) < format.BlockBytes:
		s.bad = errTooShort
	}
	return nil
}

// needed is what it means that a segment without a header is needed.
func (s *segment) needed() error {
	if unreadable := (*readError)(nil); errors.As(s.bad, &unreadable) {
		return s.bad
	}
	return &damage{file: s.name, detail: "the header of the segment is not valid", err: s.bad}
}

// errTooShort is damage wherever it stands: a segment's file has its full size before it gets its name.
var errTooShort = errors.New("the file is shorter than a header")

// checkCutOff looks behind a bad header. The first batch of a segment is written when the header is durable: so the
// creation of a segment that was cut off leaves none. It may leave the header of an earlier life of the file, whose name is gone.
func (c *chain) checkCutOff(all []*segment, s *segment) error {
	if unreadable := (*readError)(nil); errors.Is(s.bad, errTooShort) || errors.As(s.bad, &unreadable) {
		return c.refuse(s.needed())
	}
	former := s.header.Segment
	if former > s.number || slices.ContainsFunc(all, func(o *segment) bool { return o.number == former }) {
		return c.refuse(s.needed())
	}
	w, err := c.open(s)
	if err != nil {
		return c.refuse(err)
	}
	defer w.close()
	w.ahead = format.BlockBytes
	first, err := w.bytes(format.BlockBytes, format.BatchHeaderBytes)
	if err != nil {
		return c.refuse(err)
	}
	if format.ClaimsToBe(first, s.number, format.BlockBytes) {
		return c.refuse(&damage{
			file: s.name, detail: "the header of the segment is not valid, and there is a batch behind it", err: s.bad,
		})
	}
	return nil
}

// checkStore finds segments of another store.
func (c *chain) checkStore(all []*segment) error {
	for _, s := range all {
		switch {
		case s.bad != nil:
		case c.storeID == 0:
			c.storeID = s.header.StoreID
		case s.header.StoreID != c.storeID:
			err := c.refuse(&damage{file: s.name, detail: fmt.Sprintf(
				"the segment is of another store: of %016x, and not of %016x as those in front of it", s.header.StoreID, c.storeID)})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// link walks from the newest segment to the oldest one.
func (c *chain) link(all []*segment, newest int) error {
	for i := newest; i >= 0; {
		s := all[i]
		c.segments = append(c.segments, s)
		before := s.header.Predecessor
		if before == 0 {
			break
		}
		if before >= s.number {
			err := c.refuse(&damage{
				file: s.name, detail: fmt.Sprintf("the segment names one as its predecessor that is not in front of it: %d", before),
			})
			if err != nil {
				return err
			}
			break
		}
		i = slices.IndexFunc(all, func(p *segment) bool { return p.number == before })
		if i < 0 {
			c.missing = before
			break
		}
		if all[i].bad == nil {
			continue
		}
		if err := c.refuse(all[i].needed()); err != nil {
			return err
		}
		for i >= 0 && all[i].bad != nil { // which one is in front of it cannot be told: the next one is likely
			i--
		}
	}
	slices.Reverse(c.segments)
	return nil
}

// refuse ends reading, unless the chain tolerates what is wrong.
func (c *chain) refuse(err error) error {
	if c.tolerate == nil {
		return err
	}
	c.tolerate(err)
	return nil
}

// open opens a segment for reading.
func (c *chain) open(s *segment) (*window, error) {
	name := filepath.Join(c.dir, s.name)
	file, err := c.fs.Open(name)
	if err != nil {
		return nil, &readError{name, 0, err}
	}
	size, err := file.Size()
	if err != nil {
		file.Close()
		return nil, &readError{name, 0, err}
	}
	return newWindow(file, name, size), nil
}
