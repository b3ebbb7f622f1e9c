package raftremote

import (
	"errors"

	"example.com/raftactor/node"
)

// The versions of the protocol that are spoken here. PROTOCOL.md describes them.
const (
	linkVersionMin = 1
	linkVersionMax = 1
)

// errMalformed matches every error of decodeFrame: what was read is no frame.
var errMalformed = errors.New("raftremote: malformed frame")

// A frame is what one system sends another at once: on a link what many members have for members there, on a bulk link
// a chunk. The zero frame says nothing but that its sender lives.
type frame struct {
	// hello is in the first frame of each direction, if the other is not refused at once. goAway is in the last one.
	hello   *hello
	refused *refusal
	goAway  *goAway
	// sent is when: milliseconds since the sender began the stream.
	sent uint64
	// ping asks for a pong with the same number. Zero: none.
	ping, pong uint64
	envelopes  []wireEnvelope
	// answers are those to requests that came on this link.
	answers []wireAnswer
	// unknown counts the messages that decodeFrame has left out because it does not know their kind.
	unknown int
}

// A hello says who is at this end of a connection. The one who dialed says it first.
type hello struct {
	// versionMin to versionMax are the versions of the protocol that its sender speaks. version is, in the answer, the
	// one that both speak from then on.
	versionMin, versionMax, version uint32
	cluster, system                 string
	// store is that of the sender's system, or zero.
	store uint64
	// address is where its sender is reached. dialed is how it spells the address of the other.
	address, dialed string
	// life tells the starts of a system apart.
	life uint64
	// bulk: the connection is for chunks of snapshots, and nothing else.
	bulk bool
	// frameBytesMax is the largest frame that its sender takes.
	frameBytesMax uint32
}

// A refusal is the answer to a hello that does not fit.
type refusal struct {
	code   refusalCode
	reason string
}

// A refusalCode says what does not fit. The numbers are those of the protocol.
type refusalCode uint32

const (
	// refusedVersion: no version of the protocol is common to both.
	refusedVersion refusalCode = iota + 1
	// refusedCluster: the other belongs to another cluster.
	refusedCluster
	// refusedStore: another system has the same store.
	refusedStore
	// refusedIdentity: the certificate does not bear out what the hello says.
	refusedIdentity
	// refusedAddress: the address dialed is not the one by which the dialed system goes, or the dialer's own is none.
	refusedAddress
	// refusedSystem: another system goes by the same name.
	refusedSystem
	// refusedFrame: the other takes no frames that are large enough.
	refusedFrame
)

// String is the name for logs and metrics.
func (c refusalCode) String() string {
	switch c {
	case refusedVersion:
		return "version"
	case refusedCluster:
		return "cluster"
	case refusedStore:
		return "store"
	case refusedIdentity:
		return "identity"
	case refusedAddress:
		return "address"
	case refusedSystem:
		return "system"
	case refusedFrame:
		return "frame"
	default:
		return "unknown"
	}
}

// A goAway is the last that its sender says on a stream; it still reads what is on its way.
type goAway struct {
	code   goAwayCode
	reason string
}

// A goAwayCode says why a stream ends. The numbers are those of the protocol.
type goAwayCode uint32

const (
	// goAwayStopping: the system stops.
	goAwayStopping goAwayCode = iota + 1
	// goAwayDuplicate: there is another stream between the two, which stays.
	goAwayDuplicate
)

// String is the name for logs and metrics.
func (c goAwayCode) String() string {
	switch c {
	case goAwayStopping:
		return "stopping"
	case goAwayDuplicate:
		return "duplicate"
	default:
		return "unknown"
	}
}

// A wireEnvelope is an envelope on its way.
type wireEnvelope struct {
	// envelope has no Forwards: requests stand for them. From and To hold for its messages, too: theirs do not travel.
	envelope *node.PeerEnvelope
	requests []wireRequest
}

// A wireRequest is a forwarded request.
type wireRequest struct {
	// number is the sender's, for this stream. Not zero.
	number uint64
	data   []byte
}

// A wireAnswer is the answer to the request of that number.
type wireAnswer struct {
	number uint64
	// data is the reply. Empty: the request was given to no member, and never will be.
	data []byte
}

// Limits on what is in a frame, beyond that of its size.
const (
	// wireNameBytesMax bounds names and addresses. groupBytesMax is the group's, which names a part of PIDs as well.
	wireNameBytesMax = 1 << 10
	groupBytesMax    = 128
	// reasonBytesMax bounds reasons: what is longer is cut off where it is sent, and refused where it arrives.
	reasonBytesMax = 1 << 10
	// frameBytesMin is what each system takes in a frame at least.
	frameBytesMin = 4 << 20
)

// isGroup tells whether that is how a group may be called: 1 to 128 letters, digits, '.', '_' or '-', and no '.' at the
// start.
func isGroup(name []byte) bool {
	if len(name) == 0 || len(name) > groupBytesMax || name[0] == '.' {
		return false
	}
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
