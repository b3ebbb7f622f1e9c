package nodetest

import (
	"fmt"
	"strings"

	"example.com/raftactor/node"
)

func (c *Cluster) tracef(format string, args ...any) {
	if c.options.Trace != nil {
		fmt.Fprintf(c.options.Trace, format+"\n", args...)
	}
}

func (c *Cluster) traceEvent(id node.ID, event node.Event) {
	if c.options.Trace != nil {
		fmt.Fprintf(c.options.Trace, "%d < %s\n", id, FormatEvent(event))
	}
}

func (c *Cluster) traceAction(id node.ID, action node.Action) {
	if c.options.Trace != nil {
		fmt.Fprintf(c.options.Trace, "%d >   %s\n", id, FormatAction(action))
	}
}

// name is the bare name of a variant's type.
func name(v any) string { return strings.TrimPrefix(fmt.Sprintf("%T", v), "*node.") }

// FormatEvent writes an event on one line, all of it.
func FormatEvent(event node.Event) string {
	switch e := event.(type) {
	case *node.Tick:
		return fmt.Sprintf("Tick %d", e.Elapsed)
	case *node.Receive:
		return "Receive " + FormatMessage(e.Message)
	case *node.Propose:
		return fmt.Sprintf("Propose %q", e.Commands)
	case *node.Synced:
		return fmt.Sprintf("Synced %d", e.Seq)
	case *node.EntriesRead:
		return fmt.Sprintf("EntriesRead for=%d %d..%d %s", e.For, e.Lo, e.Hi, formatEntries(e.Entries))
	case *node.Snapshotted:
		return "Snapshotted " + formatMeta(e.Meta)
	case *node.SnapshotReceived:
		return fmt.Sprintf("SnapshotReceived handle=%v %s", e.Handle, FormatMessage(e.Message))
	default:
		return fmt.Sprintf("%s%s", name(e), strings.TrimPrefix(fmt.Sprintf("%+v", e), "&"))
	}
}

// FormatAction writes an action on one line, all of it.
func FormatAction(action node.Action) string {
	switch a := action.(type) {
	case *node.Send:
		return fmt.Sprintf("Send to=%d %s", a.To, FormatMessage(a.Message))
	case *node.Sync:
		return fmt.Sprintf("Sync %d", a.Seq)
	case *node.Apply:
		return "Apply " + formatEntries(a.Entries)
	case *node.TakeSnapshot:
		return "TakeSnapshot " + formatMeta(a.Meta)
	case *node.SendSnapshot:
		return fmt.Sprintf("SendSnapshot to=%d %s", a.To, FormatMessage(a.Message))
	case *node.AcceptSnapshot:
		return "AcceptSnapshot " + FormatMessage(a.Message)
	case *node.RestoreSnapshot:
		return "RestoreSnapshot " + formatMeta(a.Meta)
	case *node.MembershipChanged:
		return fmt.Sprintf("MembershipChanged index=%d committed=%t %v", a.Index, a.Committed, a.Configuration)
	case *node.Rejected:
		return fmt.Sprintf("Rejected %d+%d: %v", a.Offset, a.Count, a.Err)
	case *node.ReadFailed:
		return fmt.Sprintf("ReadFailed %d: %v", a.ID, a.Err)
	case *node.TransferEnded:
		return fmt.Sprintf("TransferEnded target=%d: %v", a.Target, a.Err)
	case *node.PeerFault:
		return fmt.Sprintf("PeerFault %d %v: %s: %s", a.Peer, a.Fault, a.Detail, FormatMessage(a.Message))
	default:
		return fmt.Sprintf("%s%s", name(a), strings.TrimPrefix(fmt.Sprintf("%+v", a), "&"))
	}
}

// FormatMessage writes a message on one line, all of it: sender, receiver and term in front, lives
// where they are of interest.
func FormatMessage(message node.Message) string {
	h := message.Head()
	head := fmt.Sprintf("%s %d@%x>%d@%x t%d", name(message), h.From, uint64(h.FromIncarnation),
		h.To, uint64(h.ToIncarnation), h.Term)
	switch m := message.(type) {
	case *node.PreVote:
		return fmt.Sprintf("%s round=%x campaign=%d last=%d/%d", head, m.Round, m.CampaignTerm, m.LastIndex, m.LastTerm)
	case *node.PreVoteReply:
		return fmt.Sprintf("%s round=%x granted=%t", head, m.Round, m.Granted)
	case *node.RequestVote:
		return fmt.Sprintf("%s last=%d/%d transfer=%d", head, m.LastIndex, m.LastTerm, m.Transfer)
	case *node.RequestVoteReply:
		return fmt.Sprintf("%s granted=%t", head, m.Granted)
	case *node.AppendEntries:
		return fmt.Sprintf("%s prev=%d/%d %s commit=%d", head, m.PrevIndex, m.PrevTerm, formatEntries(m.Entries), m.Commit)
	case *node.AppendEntriesReply:
		if m.Success {
			return fmt.Sprintf("%s match=%d commit=%d", head, m.Match, m.Commit)
		}
		return fmt.Sprintf("%s rejected=%d hint=%d/%d commit=%d", head, m.Rejected, m.HintIndex, m.HintTerm, m.Commit)
	case *node.Heartbeat:
		return fmt.Sprintf("%s round=%d commit=%d", head, m.Round, m.Commit)
	case *node.HeartbeatReply:
		return fmt.Sprintf("%s round=%d commit=%d", head, m.Round, m.Commit)
	case *node.InstallSnapshot:
		return fmt.Sprintf("%s %s", head, formatMeta(m.Meta))
	case *node.InstallSnapshotReply:
		return fmt.Sprintf("%s match=%d", head, m.Match)
	case *node.TimeoutNow:
		return fmt.Sprintf("%s transfer=%d last=%d", head, m.Transfer, m.LastIndex)
	case *node.ReadIndexRequest:
		return fmt.Sprintf("%s batch=%x", head, m.Batch)
	case *node.ReadIndexReply:
		return fmt.Sprintf("%s batch=%x index=%d", head, m.Batch, m.Index)
	case *node.Refusal:
		return fmt.Sprintf("%s known=%x", head, uint64(m.Known))
	default:
		panic("nodetest: a message of no known kind")
	}
}

func formatMeta(meta node.SnapshotMeta) string {
	return fmt.Sprintf("snapshot=%d/%d %v@%d handle=%v", meta.Index, meta.Term,
		meta.Configuration, meta.ConfigurationIndex, meta.Handle)
}

// formatEntries writes entries as index/term and what they hold.
func formatEntries(entries []node.Entry) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, e := range entries {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d/%d", e.Index, e.Term)
		switch e.Kind {
		case node.EntryCommand:
			fmt.Fprintf(&b, ":%q", e.Data)
		case node.EntryConfiguration:
			if c, err := node.DecodeConfiguration(e.Data); err == nil {
				fmt.Fprintf(&b, ":%v", c)
				break
			}
			fmt.Fprintf(&b, ":configuration %q", e.Data)
		case node.EntryEmpty:
		default:
			fmt.Fprintf(&b, ":%v %q", e.Kind, e.Data)
		}
	}
	b.WriteByte(']')
	return b.String()
}
