package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Suffrage says whether a member votes.
type Suffrage uint8

const (
	// Voter counts towards every quorum and may lead.
	Voter Suffrage = iota + 1
	// Learner receives the log and counts towards nothing.
	Learner
)

func (s Suffrage) String() string {
	switch s {
	case Voter:
		return "voter"
	case Learner:
		return "learner"
	default:
		return fmt.Sprintf("suffrage(%d)", uint8(s))
	}
}

// Member is one participant of a group.
type Member struct {
	ID       ID
	Suffrage Suffrage
	// Incarnation is the life of the member's storage that this entry means, zero while the leader
	// has not met it.
	Incarnation Incarnation
	// Address is where the member is reached, opaque to the core.
	Address string
}

// Configuration is the set of members of a group. Members are in ascending order of ID.
// A Configuration is immutable: changes make a new one.
type Configuration struct {
	Members []Member
}

// NewConfiguration sorts the members into a configuration. It does not check them: see
// [Configuration.Validate].
func NewConfiguration(members ...Member) Configuration {
	sorted := slices.Clone(members)
	slices.SortStableFunc(sorted, func(a, b Member) int {
		switch {
		case a.ID < b.ID:
			return -1
		case a.ID > b.ID:
			return 1
		default:
			return 0
		}
	})
	return Configuration{Members: sorted}
}

// Voters makes a configuration in which every id is a voter of a life not known yet.
func Voters(ids ...ID) Configuration {
	members := make([]Member, len(ids))
	for i, id := range ids {
		members[i] = Member{ID: id, Suffrage: Voter}
	}
	return NewConfiguration(members...)
}

// Limits on a configuration. They bound the work that one entry from a peer can cause.
const (
	membersMax      = 1 << 10
	addressBytesMax = 1 << 10
)

// Validate reports every fault that makes the configuration unusable.
func (c Configuration) Validate() error {
	var faults []error
	if len(c.Members) > membersMax {
		return fmt.Errorf("node: configuration of %d members: at most %d", len(c.Members), membersMax)
	}
	if c.VoterCount() == 0 {
		faults = append(faults, errors.New("node: configuration without a voter"))
	}
	for i, m := range c.Members {
		if m.ID == None {
			faults = append(faults, errors.New("node: configuration names member 0: ids start at 1"))
		}
		if i > 0 && c.Members[i-1].ID >= m.ID {
			faults = append(faults, fmt.Errorf("node: configuration names member %d twice or out of order", m.ID))
		}
		if m.Suffrage != Voter && m.Suffrage != Learner {
			faults = append(faults, fmt.Errorf("node: member %d has the unknown %v", m.ID, m.Suffrage))
		}
		if len(m.Address) > addressBytesMax {
			faults = append(faults, fmt.Errorf("node: address of member %d: %d bytes, at most %d",
				m.ID, len(m.Address), addressBytesMax))
		}
	}
	return errors.Join(faults...)
}

// Member returns the member with the id.
func (c Configuration) Member(id ID) (Member, bool) {
	for _, m := range c.Members {
		if m.ID == id {
			return m, true
		}
	}
	return Member{}, false
}

// IsVoter tells whether id is a voter.
func (c Configuration) IsVoter(id ID) bool {
	m, ok := c.Member(id)
	return ok && m.Suffrage == Voter
}

// VoterCount is the number of voters.
func (c Configuration) VoterCount() int {
	count := 0
	for _, m := range c.Members {
		if m.Suffrage == Voter {
			count++
		}
	}
	return count
}

// Equal tells whether both name the same members in the same way.
func (c Configuration) Equal(other Configuration) bool {
	return slices.Equal(c.Members, other.Members)
}

// String lists the members: a learner with an l behind, a life behind an @ where it is known.
func (c Configuration) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range c.Members {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d", m.ID)
		if m.Suffrage == Learner {
			b.WriteByte('l')
		}
		if m.Incarnation != 0 {
			fmt.Fprintf(&b, "@%x", uint64(m.Incarnation))
		}
	}
	b.WriteByte('}')
	return b.String()
}

// with returns the configuration with m put in the place of the member with its ID, or added.
func (c Configuration) with(m Member) Configuration {
	members := make([]Member, 0, len(c.Members)+1)
	for _, other := range c.Members {
		if other.ID != m.ID {
			members = append(members, other)
		}
	}
	return NewConfiguration(append(members, m)...)
}

// without returns the configuration less the member.
func (c Configuration) without(id ID) Configuration {
	members := make([]Member, 0, len(c.Members))
	for _, m := range c.Members {
		if m.ID != id {
			members = append(members, m)
		}
	}
	return Configuration{Members: members}
}

// configurationVersion is the first byte of an encoded configuration. A reader that does not know
// the version refuses the entry rather than guess at who votes.
const configurationVersion = 1

// Encode writes the configuration in the form that configuration entries carry: a version byte,
// the number of members, and for each its id, suffrage, incarnation and address, numbers as
// unsigned varints, the address behind its length. Equal configurations have equal encodings.
func (c Configuration) Encode() []byte {
	data := []byte{configurationVersion}
	data = binary.AppendUvarint(data, uint64(len(c.Members)))
	for _, m := range c.Members {
		data = binary.AppendUvarint(data, uint64(m.ID))
		data = append(data, byte(m.Suffrage))
		data = binary.AppendUvarint(data, uint64(m.Incarnation))
		data = binary.AppendUvarint(data, uint64(len(m.Address)))
		data = append(data, m.Address...)
	}
	return data
}

// DecodeConfiguration reads what [Configuration.Encode] wrote and checks it. Anything else is an
// error, and what it allocates is bounded by the length of data.
func DecodeConfiguration(data []byte) (Configuration, error) {
	d := configurationDecoder{data: data}
	if version := d.byte(); version != configurationVersion {
		return Configuration{}, fmt.Errorf("node: decoding a configuration: version %d is not known here, only %d",
			version, configurationVersion)
	}
	count := d.uvarint()
	if count > membersMax || count > uint64(len(d.data)) {
		return Configuration{}, fmt.Errorf("node: decoding a configuration: impossible count of %d members", count)
	}
	c := Configuration{Members: make([]Member, 0, count)}
	for range count {
		m := Member{ID: ID(d.uvarint()), Suffrage: Suffrage(d.byte()), Incarnation: Incarnation(d.uvarint())}
		m.Address = string(d.bytes(d.uvarint()))
		c.Members = append(c.Members, m)
	}
	if d.short || len(d.data) != 0 {
		return Configuration{}, fmt.Errorf("node: decoding a configuration: %d bytes do not hold what they announce", len(data))
	}
	return c, c.Validate()
}

// configurationDecoder reads from data, and once that is too short reads zeros.
type configurationDecoder struct {
	data  []byte
	short bool
}

func (d *configurationDecoder) byte() byte {
	b := d.bytes(1)
	if d.short {
		return 0
	}
	return b[0]
}

func (d *configurationDecoder) uvarint() uint64 {
	value, n := binary.Uvarint(d.data)
	if n <= 0 || (n > 1 && d.data[n-1] == 0) { // the last byte says nothing: there is a shorter form
		d.short, d.data = true, nil
		return 0
	}
	d.data = d.data[n:]
	return value
}

func (d *configurationDecoder) bytes(count uint64) []byte {
	if count > uint64(len(d.data)) {
		d.short, d.data = true, nil
		return nil
	}
	b := d.data[:count]
	d.data = d.data[count:]
	return b
}
