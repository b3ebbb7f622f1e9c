package raftremote

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"example.com/raftactor/node"
)

// appendMessage appends a message of the core, without its From and To.
func appendMessage(b []byte, field protowire.Number, m node.Message) []byte {
	h := m.Head()
	b, start := begin(b, field)
	b = appendUint(b, messageTerm, uint64(h.Term))
	b = appendFixed(b, messageFromIncarnation, uint64(h.FromIncarnation))
	b = appendFixed(b, messageToIncarnation, uint64(h.ToIncarnation))
	b = appendKind(b, m)
	return end(b, start)
}

// appendKind appends what is a message's own.
func appendKind(b []byte, m node.Message) []byte {
	switch m := m.(type) {
	case *node.PreVote:
		return appendUints(b, kindPreVote, m.Round, uint64(m.CampaignTerm), uint64(m.LastIndex), uint64(m.LastTerm))
	case *node.PreVoteReply:
		return appendUints(b, kindPreVoteReply, m.Round, bit(m.Granted))
	case *node.RequestVote:
		return appendUints(b, kindRequestVote, uint64(m.LastIndex), uint64(m.LastTerm), m.Transfer)
	case *node.RequestVoteReply:
		return appendUints(b, kindRequestVoteReply, bit(m.Granted))
	case *node.AppendEntries:
		return appendAppendEntries(b, m)
	case *node.AppendEntriesReply:
		return appendUints(b, kindAppendEntriesReply, bit(m.Success), uint64(m.Match), uint64(m.Rejected),
			uint64(m.HintIndex), uint64(m.HintTerm), uint64(m.Commit))
	case *node.Heartbeat:
		return appendUints(b, kindHeartbeat, m.Round, uint64(m.Commit))
	case *node.HeartbeatReply:
		return appendUints(b, kindHeartbeatReply, m.Round, uint64(m.Commit))
	case *node.InstallSnapshot:
		return appendInstallSnapshot(b, m)
	case *node.InstallSnapshotReply:
		return appendUints(b, kindInstallSnapshotReply, uint64(m.Match))
	case *node.TimeoutNow:
		return appendUints(b, kindTimeoutNow, m.Transfer, uint64(m.LastIndex))
	case *node.ReadIndexRequest:
		return appendUints(b, kindReadIndexRequest, m.Batch)
	case *node.ReadIndexReply:
		return appendUints(b, kindReadIndexReply, m.Batch, uint64(m.Index))
	case *node.Refusal:
		b, start := begin(b, kindIncarnationRefusal)
		b = appendFixed(b, refusalKnown, uint64(m.Known))
		return end(b, start)
	default:
		panic(fmt.Sprintf("raftremote: a message of the unknown kind %T", m))
	}
}

// appendUints appends a message whose fields are numbers, or flags, from field 1 up.
func appendUints(b []byte, field protowire.Number, values ...uint64) []byte {
	b, start := begin(b, field)
	for i, v := range values {
		b = appendUint(b, protowire.Number(i+1), v)
	}
	return end(b, start)
}

func appendInstallSnapshot(b []byte, m *node.InstallSnapshot) []byte {
	b, start := begin(b, kindInstallSnapshot)
	b, meta := begin(b, installMeta)
	b = appendUint(b, metaIndex, uint64(m.Meta.Index))
	b = appendUint(b, metaTerm, uint64(m.Meta.Term))
	b = appendBytes(b, metaConfiguration, m.Meta.Configuration.Encode())
	b = appendUint(b, metaConfigurationIndex, uint64(m.Meta.ConfigurationIndex))
	return end(end(b, meta), start)
}

// lengthBytes is what a length takes that was not known in advance: a varint of five bytes, which every decoder takes.
const lengthBytes = 5

// begin opens a message within a message. What is appended then, up to end, is in it.
func begin(b []byte, field protowire.Number) (opened []byte, start int) {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	b = append(b, 0, 0, 0, 0, 0)
	return b, len(b)
}

// end closes what begin has opened at start. A short message moves up to its length, which then takes one byte; a long
// one is not worth it, and has a padded length in front.
func end(b []byte, start int) []byte {
	length := len(b) - start
	if length < 1<<7 {
		b[start-lengthBytes] = byte(length)
		copy(b[start-lengthBytes+1:], b[start:])
		return b[:len(b)-lengthBytes+1]
	}
	for i := start - lengthBytes; i < start-1; i++ {
		b[i] = byte(length) | 0x80
		length >>= 7
	}
	b[start-1] = byte(length)
	return b
}

func appendUint(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendFixed(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), v)
}

func appendBool(b []byte, field protowire.Number, v bool) []byte {
	return appendUint(b, field, bit(v))
}

func bit(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func appendString(b []byte, field protowire.Number, v string) []byte {
	if v == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}
