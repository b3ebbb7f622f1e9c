package persist

import "example.com/raftactor/persist/internal/format"

// A parcel is what a member hands over to the writer at once: records, and whom to tell.
type parcel struct {
	records []byte
	count   uint32
	// weighty: files may go when this is durable.
	weighty bool
	// number counts the handovers of the member.
	number uint64
	// seq is the number of the newest sync that asks for it, and done is told. Nil: nobody is.
	seq  uint64
	done func(seq uint64, err error)
}

// add moves the records of another parcel behind those of this one. Buffers change places where that spares a copy.
func (p *parcel) add(other *parcel) {
	if len(p.records) == 0 {
		p.records, other.records = other.records, p.records
	} else {
		p.records = append(grow(p.records, len(other.records)), other.records...)
	}
	p.count += other.count
	p.weighty = p.weighty || other.weighty
	other.clear()
}

// clear empties the parcel.
func (p *parcel) clear() { *p = parcel{records: giveBack(p.records)} }

func (p *parcel) complete(err error) {
	if p.done != nil {
		p.done(p.seq, err)
	}
}

// addMember puts in the record that makes a member known.
func (p *parcel) addMember(s *state) {
	p.records = format.AppendMember(p.records, s.key, format.Member{Group: s.name.Group, ID: s.name.ID})
	p.count++
}

// addCluster puts in the record of the cluster that the store belongs to.
func (p *parcel) addCluster(cluster string) {
	p.records = format.AppendCluster(p.records, cluster)
	p.count++
}

// addCheckpoint puts in the records with which a segment opens for a member.
func (p *parcel) addCheckpoint(s *state) {
	p.addMember(s)
	if len(s.founding.Members) > 0 {
		p.records = format.AppendFounding(p.records, s.key, s.founding)
		p.count++
	}
	p.records = format.AppendHardState(p.records, s.key, s.hard)
	p.count++
	for _, a := range s.met {
		p.records = format.AppendMet(p.records, s.key, a)
		p.count++
	}
	p.records = format.AppendCheckpoint(p.records, s.key, format.Checkpoint{
		Through: s.through, ThroughTerm: s.throughTerm, Last: s.last, Snapshot: s.snapshot,
	})
	p.count++
}
