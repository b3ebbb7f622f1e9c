package raft

import (
	"encoding/binary"
	"slices"
)

// unpublished are the commands of the log that were not applied, since they are duplicates or their session is not
// known any more: subscribers do not get them. Whether a command was applied is known when it comes to be applied, and
// not from the entry itself, so it is noted, for as far back as the log may be read again.
type unpublished struct {
	// from is where the list begins to be complete.
	from Index
	// indices ascend.
	indices []Index
}

func (u *unpublished) note(i Index) { u.indices = append(u.indices, i) }

// forget drops what is below first.
func (u *unpublished) forget(first Index) {
	if first <= u.from {
		return
	}
	u.from = first
	k, _ := slices.BinarySearch(u.indices, first)
	u.indices = slices.Clone(u.indices[k:])
}

// between returns those from lo on and below hi. The slice may be kept.
func (u *unpublished) between(lo, hi Index) []Index {
	i, _ := slices.BinarySearch(u.indices, lo)
	j, _ := slices.BinarySearch(u.indices, hi)
	if i >= j {
		return nil
	}
	return u.indices[i:j:j]
}

func (u *unpublished) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(u.from))
	b = binary.AppendUvarint(b, uint64(len(u.indices)))
	last := Index(0)
	for _, i := range u.indices {
		b = binary.AppendUvarint(b, uint64(i-last))
		last = i
	}
	return b
}

func (u *unpublished) parse(r *uvarints) {
	u.from, u.indices = Index(r.next()), nil
	last := Index(0)
	for n := r.next(); n > 0 && !r.bad; n-- {
		step := Index(r.next())
		if step == 0 {
			r.bad = true
			return
		}
		last += step
		u.indices = append(u.indices, last)
	}
}
