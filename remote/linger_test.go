package raftremote

import (
	"testing"

	"example.com/raftactor/node"
)

func TestWhatIsCommittedWaitsForWhatGoesTheSameWay(t *testing.T) {
	_, one, l, s := playLine(t)
	one.Send(2, "b:1", envelopeOf(heartbeat(1, 0)))
	if len(s.wake) != 0 {
		t.Error("it leaves alone at once")
	}
	one.Send(2, "b:1", envelopeOf(entries(1, 10)))
	if len(s.wake) != 1 {
		t.Error("what is urgent waits, too")
	}
	w := &s.writing
	w.limit, w.parcel.open, w.parcel.itemMax = frameBytesFull, &l.open, frameBytesFull
	if !s.fill() || len(w.parcel.frame.envelopes) != 1 || len(w.parcel.frame.envelopes[0].envelope.Messages) != 2 {
		t.Errorf("both do not go at once: %+v", w.parcel.frame.envelopes)
	}
	<-s.wake
	l.endLinger()
	if len(s.wake) != 0 {
		t.Error("the writer is woken up for nothing")
	}
	one.Send(2, "b:1", envelopeOf(heartbeat(1, 0)))
	l.endLinger()
	if len(s.wake) != 1 {
		t.Error("what nothing follows waits for good")
	}
}

func TestWhatIsCommittedGoesAloneIfNothingFollows(t *testing.T) {
	a, b, one, two := twoSystems(t)
	linked(t, a, b)
	for k := range 10 {
		one.tell(2, b, heartbeat(1, 0))
		eventually(t, "it has come", func() bool { return len(two.heard()) == k+1 })
	}
}

func TestOnlyWhatPassesTheCommitOnMayWait(t *testing.T) {
	for name, c := range map[string]struct {
		envelope *node.PeerEnvelope
		urgent   bool
	}{
		"what is committed":            {envelopeOf(heartbeat(1, 0)), false},
		"a round":                      {envelopeOf(heartbeat(1, 1)), true},
		"what is committed, and votes": {envelopeOf(heartbeat(1, 0), &node.RequestVote{}), true},
		"entries":                      {envelopeOf(entries(1, 1)), true},
		"a reply":                      {envelopeOf(&node.AppendEntriesReply{}), true},
		"a request":                    {&node.PeerEnvelope{Forwards: []node.Forward{&testForward{}}}, true},
		"a chunk":                      {&node.PeerEnvelope{Chunk: &node.SnapshotChunk{}}, true},
		"the answer to a chunk":        {&node.PeerEnvelope{Ack: &node.SnapshotAck{}}, true},
	} {
		if got := isUrgent(c.envelope); got != c.urgent {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
