package persist

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/vfs"
)

// Options say how a store behaves. The zero value of a field means its default.
type Options struct {
	// ClusterID names the cluster that the store belongs to, as [Store.Claim] does. Default: whatever it is that
	// the store has been claimed for.
	ClusterID string
	// Logger gets what the store has to say. Default: [hclog.Default].
	Logger hclog.Logger
	// SegmentBytes is the size of a segment of the log, in whole blocks of 4 KiB. Two of them are there at
	// least. It may change from one opening to the next. Default 64 MiB, at least 16 KiB.
	SegmentBytes int64
	// BatchBytesMax is about how much is written at once. Default 8 MiB, at most 1 GiB.
	BatchBytesMax int
	// RecentBytesMax is about how much of the ends of all logs is kept in memory, in bytes. What is older is read
	// from disk. Default 128 MiB.
	RecentBytesMax int
	// SegmentsMax is how many segments there may be before members whose entries lie in older ones are asked to
	// take a snapshot and release them. Default 16.
	SegmentsMax int

	fs vfs.FS
	// now is the clock, for what is said about recovery only.
	now func() time.Time
	// random draws numbers for incarnations, the store and its segments.
	random func() uint64
	// inline: there is no writer goroutine and nothing in the background. Tests write batch by batch.
	inline bool
}

// Defaults of [Options].
const (
	segmentBytesDefault   = 64 << 20
	batchBytesMaxDefault  = 8 << 20
	recentBytesMaxDefault = 128 << 20
	segmentsMaxDefault    = 16

	segmentBytesMin = 4 * format.BlockBytes
	// A batch says its length in 32 bits, and what one member hands over comes on top.
	batchBytesMaxLimit = 1 << 30
)

// Validate reports every fault of the options, and changes nothing.
func (o Options) Validate() error {
	var faults []error
	fault := func(text string, args ...any) {
		faults = append(faults, fmt.Errorf("persist: options: "+text, args...))
	}
	switch {
	case o.SegmentBytes == 0:
	case o.SegmentBytes < segmentBytesMin:
		fault("SegmentBytes is %d: at least %d; 0 means the default", o.SegmentBytes, segmentBytesMin)
	case o.SegmentBytes%format.BlockBytes != 0:
		fault("SegmentBytes is %d: it must be a multiple of %d", o.SegmentBytes, format.BlockBytes)
	}
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"BatchBytesMax", o.BatchBytesMax},
		{"RecentBytesMax", o.RecentBytesMax},
		{"SegmentsMax", o.SegmentsMax},
	} {
		if limit.value < 0 {
			fault("%s is %d: it must not be negative; 0 means the default", limit.name, limit.value)
		}
	}
	if o.BatchBytesMax > batchBytesMaxLimit {
		fault("BatchBytesMax is %d: at most %d; 0 means the default", o.BatchBytesMax, batchBytesMaxLimit)
	}
	return errors.Join(faults...)
}

func (o Options) withDefaults() Options {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = segmentBytesDefault
	}
	for _, limit := range []struct {
		value        *int
		defaultValue int
	}{
		{&o.BatchBytesMax, batchBytesMaxDefault},
		{&o.RecentBytesMax, recentBytesMaxDefault},
		{&o.SegmentsMax, segmentsMaxDefault},
	} {
		if *limit.value == 0 {
			*limit.value = limit.defaultValue
		}
	}
	if o.Logger == nil {
		o.Logger = hclog.Default()
	}
	if o.fs == nil {
		o.fs = vfs.OS{}
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.random == nil {
		o.random = rand.Uint64
	}
	return o
}

// draw returns a random number that is not zero.
func (o *Options) draw() uint64 {
	for {
		if n := o.random(); n != 0 {
			return n
		}
	}
}
