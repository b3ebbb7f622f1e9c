package raftremote

import (
	"math"

	"pgregory.net/rapid"

	"example.com/raftactor/node"
)

// numbers are drawn at the places where encodings change, and anywhere.
func numbers[T ~uint64]() *rapid.Generator[T] {
	return rapid.Map(rapid.OneOf(
		rapid.Uint64(), rapid.Uint64Range(0, 300), rapid.SampledFrom([]uint64{0, 1, 127, 128, 1 << 62, math.MaxUint64}),
	), func(v uint64) T { return T(v) })
}

func draw[T ~uint64](t *rapid.T, label string) T { return numbers[T]().Draw(t, label) }

// data is nil if it is empty, as decodeFrame has it.
func drawData(t *rapid.T) []byte {
	b := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 20), rapid.SliceOfN(rapid.Byte(), 100, 300)).Draw(t, "data")
	if len(b) == 0 {
		return nil
	}
	return b
}

func drawName(t *rapid.T) string { return rapid.StringN(0, 40, 200).Draw(t, "name") }

func drawHeader(t *rapid.T, from, to node.ID) node.Header {
	return node.Header{
		From: from, To: to, Term: draw[node.Term](t, "term"),
		FromIncarnation: draw[node.Incarnation](t, "from incarnation"),
		ToIncarnation:   draw[node.Incarnation](t, "to incarnation"),
	}
}

func drawMeta(t *rapid.T) node.SnapshotMeta {
	members := []node.Member{{ID: 1, Suffrage: node.Voter, Address: "one:1"}}
	for id := range node.ID(rapid.IntRange(0, 4).Draw(t, "members")) {
		members = append(members, node.Member{
			ID: id + 2, Suffrage: node.Learner, Address: drawName(t), Incarnation: draw[node.Incarnation](t, "life"),
		})
	}
	return node.SnapshotMeta{
		Index: draw[node.Index](t, "index"), Term: draw[node.Term](t, "term"),
		Configuration: node.NewConfiguration(members...), ConfigurationIndex: draw[node.Index](t, "configuration index"),
	}
}

func drawAppend(t *rapid.T, h node.Header) *node.AppendEntries {
	m := &node.AppendEntries{
		Header: h, PrevIndex: draw[node.Index](t, "prev index"), PrevTerm: draw[node.Term](t, "prev term"),
		Commit: draw[node.Index](t, "commit"),
	}
	term := m.PrevTerm
	for i := range rapid.IntRange(0, 8).Draw(t, "entries") {
		if rapid.Bool().Draw(t, "new term") {
			term = draw[node.Term](t, "entry's term")
		}
		m.Entries = append(m.Entries, node.Entry{
			Index: m.PrevIndex + node.Index(i) + 1, Term: term, Kind: node.EntryKind(rapid.Byte().Draw(t, "kind")),
			Data: drawData(t),
		})
	}
	return m
}

// kinds draw a message of each kind.
var kinds = []func(t *rapid.T, h node.Header) node.Message{
	func(t *rapid.T, h node.Header) node.Message {
		return &node.PreVote{
			Header: h, Round: draw[uint64](t, "round"), CampaignTerm: draw[node.Term](t, "campaign"),
			LastIndex: draw[node.Index](t, "index"), LastTerm: draw[node.Term](t, "last term"),
		}
	},
	func(t *rapid.T, h node.Header) node.Message {
		return &node.PreVoteReply{Header: h, Round: draw[uint64](t, "round"), Granted: rapid.Bool().Draw(t, "granted")}
	},
	func(t *rapid.T, h node.Header) node.Message {
		return &node.RequestVote{
			Header: h, LastIndex: draw[node.Index](t, "index"), LastTerm: draw[node.Term](t, "last term"),
			Transfer: draw[uint64](t, "transfer"),
		}
	},
	func(t *rapid.T, h node.Header) node.Message {
		return &node.RequestVoteReply{Header: h, Granted: rapid.Bool().Draw(t, "granted")}
	},
	func(t *rapid.T, h node.Header) node.Message { return drawAppend(t, h) },
	func(t *rapid.T, h node.Header) node.Message {
		return &node.AppendEntriesReply{
			Header: h, Success: rapid.Bool().Draw(t, "success"), Match: draw[node.Index](t, "match"),
			Rejected: draw[node.Index](t, "rejected"), HintIndex: draw[node.Index](t, "hint"),
			HintTerm: draw[node.Term](t, "hint's term"), Commit: draw[node.Index](t, "commit"),
		}
	},
	func(t *rapid.T, h node.Header) node.Message {
		return &node.Heartbeat{Header: h, Round: draw[uint64](t, "round"), Commit: draw[node.Index](t, "commit")}
	},
	func(t *rapid.T, h node.Header) node.Message {
		return &node.HeartbeatReply{Header: h, Round: draw[uint64](t, "round"), Commit: draw[node.Index](t, "commit")}
	},
	func(t *rapid.T, h node.Header) node.Message {
		return &node.InstallSnapshot{Header: h, Meta: drawMeta(t)}
	},
	func(t *rapid.T, h node.Header) node.Message {
		return &node.InstallSnapshotReply{Header: h, Match: draw[node.Index](t, "match")}
	},
	func(t *rapid.T, h node.Header) node.Message {
		return &node.TimeoutNow{Header: h, Transfer: draw[uint64](t, "transfer"), LastIndex: draw[node.Index](t, "index")}
	},
	func(t *rapid.T, h node.Header) node.Message {
		return &node.ReadIndexRequest{Header: h, Batch: draw[uint64](t, "batch")}
	},
	func(t *rapid.T, h node.Header) node.Message {
		return &node.ReadIndexReply{Header: h, Batch: draw[uint64](t, "batch"), Index: draw[node.Index](t, "index")}
	},
	func(t *rapid.T, h node.Header) node.Message {
		return &node.Refusal{Header: h, Known: draw[node.Incarnation](t, "known")}
	},
}

func drawEnvelope(t *rapid.T) wireEnvelope {
	e := &node.PeerEnvelope{
		Group: rapid.StringMatching(`[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}`).Draw(t, "group"),
		From:  max(1, draw[node.ID](t, "from")), To: max(1, draw[node.ID](t, "to")),
	}
	w := wireEnvelope{envelope: e}
	for range rapid.IntRange(0, 4).Draw(t, "messages") {
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		e.Messages = append(e.Messages, kind(t, drawHeader(t, e.From, e.To)))
	}
	for range rapid.IntRange(0, 3).Draw(t, "requests") {
		w.requests = append(w.requests, wireRequest{max(1, draw[uint64](t, "number")), drawData(t)})
	}
	if rapid.Bool().Draw(t, "chunk") {
		c := &node.SnapshotChunk{
			Offer:    &node.InstallSnapshot{Header: drawHeader(t, e.From, e.To), Meta: drawMeta(t)},
			Transfer: draw[uint64](t, "transfer"), Data: drawData(t), Sum: rapid.Uint32().Draw(t, "sum"),
		}
		c.Offset = rapid.Int64Range(0, math.MaxInt64-int64(len(c.Data))).Draw(t, "offset")
		c.Size = rapid.Int64Range(c.Offset+int64(len(c.Data)), math.MaxInt64).Draw(t, "size")
		e.Chunk = c
	}
	if rapid.Bool().Draw(t, "ack") {
		e.Ack = &node.SnapshotAck{
			Transfer: draw[uint64](t, "transfer"), Received: rapid.Int64Range(0, math.MaxInt64).Draw(t, "received"),
			Done: rapid.Bool().Draw(t, "done"), Failed: rapid.Bool().Draw(t, "failed"),
		}
	}
	return w
}

func drawHello(t *rapid.T) *hello {
	return &hello{
		versionMin: rapid.Uint32().Draw(t, "version"), versionMax: rapid.Uint32().Draw(t, "version"),
		version: rapid.Uint32().Draw(t, "version"), cluster: drawName(t), system: drawName(t),
		store: draw[uint64](t, "store"), address: drawName(t), dialed: drawName(t), life: draw[uint64](t, "life"),
		bulk: rapid.Bool().Draw(t, "bulk"), frameBytesMax: rapid.Uint32().Draw(t, "bytes"),
	}
}

// frames draws any frame, with messages of any content.
var frames = rapid.Custom(func(t *rapid.T) *frame {
	f := &frame{sent: draw[uint64](t, "sent"), ping: draw[uint64](t, "ping"), pong: draw[uint64](t, "pong")}
	switch rapid.IntRange(0, 6).Draw(t, "handshake") {
	case 0:
		f.hello = drawHello(t)
	case 1: // codes are enumerations on the wire, whose numbers have 31 bits
		f.refused = &refusal{refusalCode(rapid.Int32Min(0).Draw(t, "code")), drawName(t)}
	case 2:
		f.goAway = &goAway{goAwayCode(rapid.Int32Min(0).Draw(t, "code")), drawName(t)}
	}
	for range rapid.IntRange(0, 3).Draw(t, "envelopes") {
		f.envelopes = append(f.envelopes, drawEnvelope(t))
	}
	for range rapid.IntRange(0, 3).Draw(t, "answers") {
		f.answers = append(f.answers, wireAnswer{max(1, draw[uint64](t, "number")), drawData(t)})
	}
	return f
})
