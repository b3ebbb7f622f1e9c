package persist

import "example.com/raftactor/persist/internal/format"

// A parcel is records of the store's own, one behind the other.
type parcel struct {
	records []byte
	count   uint32
}

// addMember puts in the record that makes a member known.
func (p *parcel) addMember(s *state) {
	p.records = appendMember(p.records, s)
	p.count++
}

func appendMember(b []byte, s *state) []byte {
	return format.AppendMember(b, s.key, format.Member{Group: s.name.Group, ID: s.name.ID})
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
