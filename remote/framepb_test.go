package raftremote

import (
	"example.com/raftactor/node"
	"example.com/raftactor/remote/internal/linkpb"
)

// generatedFrame says with the generated types what a frame says.
func generatedFrame(f *frame) *linkpb.Frame {
	p := &linkpb.Frame{SentMs: f.sent, Ping: f.ping, Pong: f.pong}
	if h := f.hello; h != nil {
		p.Hello = &linkpb.Hello{
			VersionMin: h.versionMin, VersionMax: h.versionMax, Version: h.version, Cluster: h.cluster, System: h.system,
			Store: h.store, Address: h.address, Dialed: h.dialed, Life: h.life, Bulk: h.bulk, FrameBytesMax: h.frameBytesMax,
		}
	}
	if r := f.refused; r != nil {
		p.Refused = &linkpb.Refusal{Code: linkpb.Refusal_Code(r.code), Reason: r.reason}
	}
	if g := f.goAway; g != nil {
		p.GoAway = &linkpb.GoAway{Code: linkpb.GoAway_Code(g.code), Reason: g.reason}
	}
	for i := range f.envelopes {
		p.Envelopes = append(p.Envelopes, generatedEnvelope(&f.envelopes[i]))
	}
	for _, a := range f.answers {
		p.Answers = append(p.Answers, &linkpb.Answer{Number: a.number, Data: a.data})
	}
	return p
}

func generatedEnvelope(w *wireEnvelope) *linkpb.Envelope {
	e := w.envelope
	p := &linkpb.Envelope{Group: e.Group, From: uint64(e.From), To: uint64(e.To)}
	for _, m := range e.Messages {
		p.Messages = append(p.Messages, generatedMessage(m))
	}
	for _, r := range w.requests {
		p.Requests = append(p.Requests, &linkpb.Request{Number: r.number, Data: r.data})
	}
	if c := e.Chunk; c != nil {
		p.Chunk = &linkpb.SnapshotChunk{
			Offer: generatedMessage(c.Offer), Transfer: c.Transfer, Offset: uint64(c.Offset), Size: uint64(c.Size),
			Data: c.Data, Sum: c.Sum,
		}
	}
	if a := e.Ack; a != nil {
		p.Ack = &linkpb.SnapshotAck{Transfer: a.Transfer, Received: uint64(a.Received), Done: a.Done, Failed: a.Failed}
	}
	return p
}

func generatedMessage(m node.Message) *linkpb.Message {
	h := m.Head()
	p := &linkpb.Message{
		Term: uint64(h.Term), FromIncarnation: uint64(h.FromIncarnation), ToIncarnation: uint64(h.ToIncarnation),
	}
	switch m := m.(type) {
	case *node.PreVote:
		p.Kind = &linkpb.Message_PreVote{PreVote: &linkpb.PreVote{
			Round: m.Round, CampaignTerm: uint64(m.CampaignTerm), LastIndex: uint64(m.LastIndex), LastTerm: uint64(m.LastTerm),
		}}
	case *node.PreVoteReply:
		p.Kind = &linkpb.Message_PreVoteReply{PreVoteReply: &linkpb.PreVoteReply{Round: m.Round, Granted: m.Granted}}
	case *node.RequestVote:
		p.Kind = &linkpb.Message_RequestVote{RequestVote: &linkpb.RequestVote{
			LastIndex: uint64(m.LastIndex), LastTerm: uint64(m.LastTerm), Transfer: m.Transfer,
		}}
	case *node.RequestVoteReply:
		p.Kind = &linkpb.Message_RequestVoteReply{RequestVoteReply: &linkpb.RequestVoteReply{Granted: m.Granted}}
	case *node.AppendEntries:
		p.Kind = &linkpb.Message_AppendEntries{AppendEntries: generatedAppend(m)}
	case *node.AppendEntriesReply:
		p.Kind = &linkpb.Message_AppendEntriesReply{AppendEntriesReply: &linkpb.AppendEntriesReply{
			Success: m.Success, Match: uint64(m.Match), Rejected: uint64(m.Rejected), HintIndex: uint64(m.HintIndex),
			HintTerm: uint64(m.HintTerm), Commit: uint64(m.Commit),
		}}
	case *node.Heartbeat:
		p.Kind = &linkpb.Message_Heartbeat{Heartbeat: &linkpb.Heartbeat{Round: m.Round, Commit: uint64(m.Commit)}}
	case *node.HeartbeatReply:
		p.Kind = &linkpb.Message_HeartbeatReply{
			HeartbeatReply: &linkpb.HeartbeatReply{Round: m.Round, Commit: uint64(m.Commit)},
		}
	case *node.InstallSnapshot:
		p.Kind = &linkpb.Message_InstallSnapshot{InstallSnapshot: &linkpb.InstallSnapshot{Meta: &linkpb.SnapshotMeta{
			Index: uint64(m.Meta.Index), Term: uint64(m.Meta.Term), Configuration: m.Meta.Configuration.Encode(),
			ConfigurationIndex: uint64(m.Meta.ConfigurationIndex),
		}}}
	case *node.InstallSnapshotReply:
		p.Kind = &linkpb.Message_InstallSnapshotReply{
			InstallSnapshotReply: &linkpb.InstallSnapshotReply{Match: uint64(m.Match)},
		}
	case *node.TimeoutNow:
		p.Kind = &linkpb.Message_TimeoutNow{
			TimeoutNow: &linkpb.TimeoutNow{Transfer: m.Transfer, LastIndex: uint64(m.LastIndex)},
		}
	case *node.ReadIndexRequest:
		p.Kind = &linkpb.Message_ReadIndexRequest{ReadIndexRequest: &linkpb.ReadIndexRequest{Batch: m.Batch}}
	case *node.ReadIndexReply:
		p.Kind = &linkpb.Message_ReadIndexReply{
			ReadIndexReply: &linkpb.ReadIndexReply{Batch: m.Batch, Index: uint64(m.Index)},
		}
	case *node.Refusal:
		p.Kind = &linkpb.Message_IncarnationRefusal{
			IncarnationRefusal: &linkpb.IncarnationRefusal{Known: uint64(m.Known)},
		}
	}
	return p
}

func generatedAppend(m *node.AppendEntries) *linkpb.AppendEntries {
	p := &linkpb.AppendEntries{PrevIndex: uint64(m.PrevIndex), PrevTerm: uint64(m.PrevTerm), Commit: uint64(m.Commit)}
	term, kind := m.PrevTerm, node.EntryCommand
	for k, e := range m.Entries {
		p.Lengths = append(p.Lengths, uint32(len(e.Data)))
		p.Data = append(p.Data, e.Data...)
		if e.Term != term || e.Kind != kind {
			term, kind = e.Term, e.Kind
			p.Runs = append(p.Runs, &linkpb.Run{
				Begin: uint32(k), Term: uint64(term), Kind: linkpb.EntryKind(kind - node.EntryCommand),
			})
		}
	}
	return p
}
