package raftremote

import (
	"google.golang.org/protobuf/encoding/protowire"

	"example.com/raftactor/node"
)

// decodeMessage reads a message of the core, without its From and To. It is nil if its kind is not known here.
func decodeMessage(data []byte) (node.Message, error) {
	var h node.Header
	var m node.Message
	r := fieldReader{message: "message", data: data}
	for r.next() {
		switch r.field {
		case messageTerm:
			h.Term = node.Term(r.uint64())
		case messageFromIncarnation:
			h.FromIncarnation = node.Incarnation(r.fixed64())
		case messageToIncarnation:
			h.ToIncarnation = node.Incarnation(r.fixed64())
		default:
			if r.field > kindIncarnationRefusal {
				continue
			}
			inner := r.once(m != nil)
			if r.err == nil {
				m, r.err = decodeKind(r.field, inner)
			}
		}
	}
	if r.err != nil || m == nil {
		return nil, r.err
	}
	*m.Head() = h
	return m, nil
}

// decodeKind reads what is a message's own.
func decodeKind(kind protowire.Number, data []byte) (node.Message, error) {
	switch kind {
	case kindAppendEntries:
		return decodeAppendEntries(data)
	case kindInstallSnapshot:
		return decodeInstallSnapshot(data)
	case kindIncarnationRefusal:
		return decodeIncarnationRefusal(data)
	default:
		return decodeNumbers(kind, data)
	}
}

// decodeNumbers reads a message whose fields are numbers, or flags, from field 1 up.
func decodeNumbers(kind protowire.Number, data []byte) (node.Message, error) {
	var v [7]uint64
	r := fieldReader{message: "message", data: data}
	for r.next() {
		if int(r.field) < len(v) {
			v[r.field] = r.uint64()
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	switch kind {
	case kindPreVote:
		return &node.PreVote{
			Round: v[1], CampaignTerm: node.Term(v[2]), LastIndex: node.Index(v[3]), LastTerm: node.Term(v[4]),
		}, nil
	case kindPreVoteReply:
		return &node.PreVoteReply{Round: v[1], Granted: v[2] != 0}, nil
	case kindRequestVote:
		return &node.RequestVote{LastIndex: node.Index(v[1]), LastTerm: node.Term(v[2]), Transfer: v[3]}, nil
	case kindRequestVoteReply:
		return &node.RequestVoteReply{Granted: v[1] != 0}, nil
	case kindAppendEntriesReply:
		return &node.AppendEntriesReply{
			Success: v[1] != 0, Match: node.Index(v[2]), Rejected: node.Index(v[3]),
			HintIndex: node.Index(v[4]), HintTerm: node.Term(v[5]), Commit: node.Index(v[6]),
		}, nil
	case kindHeartbeat:
		return &node.Heartbeat{Round: v[1], Commit: node.Index(v[2])}, nil
	case kindHeartbeatReply:
		return &node.HeartbeatReply{Round: v[1], Commit: node.Index(v[2])}, nil
	case kindInstallSnapshotReply:
		return &node.InstallSnapshotReply{Match: node.Index(v[1])}, nil
	case kindTimeoutNow:
		return &node.TimeoutNow{Transfer: v[1], LastIndex: node.Index(v[2])}, nil
	case kindReadIndexRequest:
		return &node.ReadIndexRequest{Batch: v[1]}, nil
	case kindReadIndexReply:
		return &node.ReadIndexReply{Batch: v[1], Index: node.Index(v[2])}, nil
	default:
		return nil, malformed("message", "kind %d is not known", kind)
	}
}

func decodeInstallSnapshot(data []byte) (node.Message, error) {
	m := new(node.InstallSnapshot)
	seen := false
	r := fieldReader{message: "InstallSnapshot", data: data}
	for r.next() {
		if r.field == installMeta {
			r.adopt(decodeMeta(r.once(seen), &m.Meta))
			seen = true
		}
	}
	if r.err == nil && !seen {
		r.err = malformed("InstallSnapshot", "it says not of which snapshot")
	}
	return m, r.err
}

func decodeMeta(data []byte, meta *node.SnapshotMeta) error {
	var configuration []byte
	r := fieldReader{message: "snapshot", data: data}
	for r.next() {
		switch r.field {
		case metaIndex:
			meta.Index = node.Index(r.uint64())
		case metaTerm:
			meta.Term = node.Term(r.uint64())
		case metaConfiguration:
			configuration = r.raw()
		case metaConfigurationIndex:
			meta.ConfigurationIndex = node.Index(r.uint64())
		}
	}
	if r.err != nil {
		return r.err
	}
	var err error
	if meta.Configuration, err = node.DecodeConfiguration(configuration); err != nil {
		return malformed("snapshot", "%v", err)
	}
	return nil
}

func decodeIncarnationRefusal(data []byte) (node.Message, error) {
	m := new(node.Refusal)
	r := fieldReader{message: "IncarnationRefusal", data: data}
	for r.next() {
		if r.field == refusalKnown {
			m.Known = node.Incarnation(r.fixed64())
		}
	}
	return m, r.err
}
