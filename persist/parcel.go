package persist

// A parcel is what a member hands over to the writer at once: records, and whom to tell.
type parcel struct {
	records []byte
	count   uint32
	// seq is the number of the newest sync that asks for it, and done is told. Nil: nobody is.
	seq  uint64
	done func(seq uint64, err error)
}

// parcelBytesKept is how large a buffer may be that is kept for later.
const parcelBytesKept = 1 << 20

// add moves the records of another parcel behind those of this one. Buffers change places where that spares a copy.
func (p *parcel) add(other *parcel) {
	if len(p.records) == 0 {
		p.records, other.records = other.records, p.records
	} else {
		p.records = append(p.records, other.records...)
	}
	p.count += other.count
	other.clear()
}

// clear empties the parcel, and keeps its buffer unless that is large.
func (p *parcel) clear() {
	kept := p.records[:0]
	if cap(kept) > parcelBytesKept {
		kept = nil
	}
	*p = parcel{records: kept}
}

func (p *parcel) complete(err error) {
	if p.done != nil {
		p.done(p.seq, err)
	}
}
