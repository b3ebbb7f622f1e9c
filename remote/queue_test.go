package raftremote

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"example.com/raftactor/node"
)

// A queueFixture is a queue with a parcel that is filled from it.
type queueFixture struct {
	queue
	parcel parcel
	open   openForwards
	counts dropCounts
}

func newQueueFixture(bytesMax int) *queueFixture {
	q := &queueFixture{}
	q.queue = queue{bytesMax: bytesMax, drops: &q.counts}
	q.open.bytesMax = 1 << 20
	q.parcel.open, q.parcel.itemMax = &q.open, 1<<30
	return q
}

// frame takes one frame, and returns what it says: group/from/to, and what is in the messages.
func (q *queueFixture) frame(limit int, oldest int64) (said []string) {
	q.parcel.reset()
	q.take(&q.parcel, limit, oldest)
	for _, w := range q.parcel.frame.envelopes {
		for _, m := range w.envelope.Messages {
			said = append(said, fmt.Sprintf("%s %d>%d %s", w.envelope.Group, w.envelope.From, w.envelope.To, sayMessage(m)))
		}
	}
	return said
}

func sayMessage(m node.Message) string {
	switch m := m.(type) {
	case *node.AppendEntries:
		return fmt.Sprint("entries ", m.PrevIndex+1)
	case *node.Heartbeat:
		return fmt.Sprint("heartbeat ", m.Round, " of ", m.Term)
	case *node.AppendEntriesReply:
		return fmt.Sprint("match ", m.Match)
	case *node.RequestVote:
		return fmt.Sprint("vote in ", m.Term)
	default:
		return fmt.Sprintf("%T", m)
	}
}

func groupMember(group string) *member { return &member{group: group, id: 1} }

func envelopeOf(messages ...node.Message) *node.PeerEnvelope {
	return &node.PeerEnvelope{Messages: messages}
}

func TestWhatIsSmallDoesNotWaitBehindTheEntriesOfOthers(t *testing.T) {
	q := newQueueFixture(64 << 20)
	busy, quiet := groupMember("busy"), groupMember("quiet")
	for k := range 8 {
		q.put(busy, 2, envelopeOf(entries(node.Index(k+1), 1000<<10)), 0)
	}
	q.put(quiet, 2, envelopeOf(heartbeat(1, 1)), 0)
	q.put(quiet, 2, envelopeOf(entries(1, 10)), 0)
	got := q.frame(1<<20, 0)
	slices.Sort(got)
	want := []string{"busy 1>2 entries 1", "quiet 1>2 entries 1", "quiet 1>2 heartbeat 1 of 1"}
	if !slices.Equal(got, want) {
		t.Errorf("first frame: got %q, want %q", got, want)
	}
	if got, want := q.frame(1<<20, 0), []string{"busy 1>2 entries 2"}; !slices.Equal(got, want) {
		t.Errorf("second frame: got %q, want %q", got, want)
	}
}

// Otherwise whoever has a steady stream of answers or heartbeats for a peer would never get a large command there.
func TestWhatIsLargeDoesNotWaitForAFrameOfItsOwn(t *testing.T) {
	q, m := newQueueFixture(64<<20), groupMember("g")
	q.parcel.itemMax = 4<<20 - frameRest
	q.put(m, 2, envelopeOf(entries(1, 3<<20), entries(2, 3<<20)), 0)
	for k := range 2 {
		q.putAnswer(wireAnswer{1, make([]byte, 100<<10)})
		want := []string{fmt.Sprint("g 1>2 entries ", k+1)}
		if got := q.frame(1<<20, 0); !slices.Equal(got, want) || q.parcel.wire > q.parcel.itemMax {
			t.Errorf("got %q in %d bytes, want %q", got, q.parcel.wire, want)
		}
	}
}

// It is larger than what small things leave of any frame.
func TestWhatIsAlmostAsLargeAsAFrameWaitsForOneFrameAtMost(t *testing.T) {
	q, m := newQueueFixture(64<<20), groupMember("g")
	q.parcel.itemMax = 4<<20 - frameRest
	for k := range 3 {
		q.put(m, 2, envelopeOf(entries(node.Index(k+1), 3900<<10)), 0)
	}
	var got []string
	for range 6 {
		q.putAnswer(wireAnswer{1, make([]byte, 400<<10)})
		got = append(got, q.frame(1<<20, 0)...)
		if q.parcel.wire > q.parcel.itemMax {
			t.Errorf("a frame of %d bytes", q.parcel.wire)
		}
		checkQueue(t, &q.queue)
	}
	if want := []string{"g 1>2 entries 1", "g 1>2 entries 2", "g 1>2 entries 3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNoFrameIsLargerThanThePeerTakes(t *testing.T) {
	q, m := newQueueFixture(64<<20), groupMember("g")
	q.parcel.itemMax = 4<<20 - frameRest
	q.put(m, 2, envelopeOf(entries(1, 3<<20)), 0)
	for k, bytes := range []int{400 << 10, 3900 << 10, 5 << 20, 10} {
		q.putAnswer(wireAnswer{uint64(k + 1), make([]byte, bytes)})
	}
	var numbers []uint64
	for !q.isEmpty() {
		q.frame(1<<20, 0)
		bytes := 0
		for _, a := range q.parcel.frame.answers {
			numbers = append(numbers, a.number)
			bytes += len(a.data)
		}
		if bytes > q.parcel.itemMax || q.parcel.wire > q.parcel.itemMax {
			t.Errorf("a frame has answers of %d bytes, in all %d", bytes, q.parcel.wire)
		}
	}
	if want := []uint64{1, 2, 4}; !slices.Equal(numbers, want) || q.counts[dropTooLarge].Load() != 1 {
		t.Errorf("got the answers %v, and %d were too large; want %v", numbers, q.counts[dropTooLarge].Load(), want)
	}
}

func TestGroupsTakeTurns(t *testing.T) {
	q := newQueueFixture(64 << 20)
	for _, group := range []string{"a", "b", "c"} {
		m := groupMember(group)
		for k := range 3 {
			q.put(m, 2, envelopeOf(entries(node.Index(k+1), 600<<10)), 0)
		}
	}
	var got []string
	for !q.isEmpty() {
		got = append(got, q.frame(1<<20, 0)...)
	}
	want := []string{
		"a 1>2 entries 1", "b 1>2 entries 1", "c 1>2 entries 1", "a 1>2 entries 2", "b 1>2 entries 2", "c 1>2 entries 2",
		"a 1>2 entries 3", "b 1>2 entries 3", "c 1>2 entries 3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAFrameHasTheHeartbeatsOfAllGroups(t *testing.T) {
	q := newQueueFixture(1 << 20)
	for k := range 1000 {
		q.put(groupMember(fmt.Sprint("group", k)), 2, envelopeOf(heartbeat(1, 1)), 0)
	}
	if got := q.frame(1<<20, 0); len(got) != 1000 {
		t.Errorf("got %d heartbeats, want 1000", len(got))
	}
}

func TestANewerMessageTakesThePlaceOfAnOlderOne(t *testing.T) {
	match := func(index node.Index) *node.AppendEntriesReply {
		return &node.AppendEntriesReply{Header: node.Header{Term: 1}, Success: true, Match: index}
	}
	vote := func(term node.Term) *node.RequestVote { return &node.RequestVote{Header: node.Header{Term: term}} }
	for name, c := range map[string]struct {
		messages []node.Message
		want     []string
	}{
		"heartbeats":                       {[]node.Message{heartbeat(1, 1), heartbeat(1, 2)}, []string{"heartbeat 2 of 1"}},
		"one that asks for nothing":        {[]node.Message{heartbeat(1, 7), heartbeat(1, 0)}, []string{"heartbeat 7 of 1"}},
		"heartbeat of a later term":        {[]node.Message{heartbeat(1, 7), heartbeat(2, 1)}, []string{"heartbeat 1 of 2"}},
		"heartbeat of an earlier term":     {[]node.Message{heartbeat(2, 1), heartbeat(1, 7)}, []string{"heartbeat 1 of 2", "heartbeat 7 of 1"}},
		"replies":                          {[]node.Message{match(1), match(3), match(2)}, []string{"match 3"}},
		"votes":                            {[]node.Message{vote(1), vote(2)}, []string{"vote in 2"}},
		"others stay":                      {[]node.Message{vote(1), heartbeat(1, 1), match(1)}, []string{"vote in 1", "heartbeat 1 of 1", "match 1"}},
		"entries stay, and so does order":  {[]node.Message{heartbeat(1, 1), entries(1, 1), heartbeat(1, 2)}, []string{"entries 1", "heartbeat 2 of 1"}},
		"what is in front keeps its place": {[]node.Message{vote(1), entries(1, 1), heartbeat(1, 2)}, []string{"vote in 1", "entries 1", "heartbeat 2 of 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			q, m := newQueueFixture(1<<20), groupMember("g")
			for _, message := range c.messages {
				q.put(m, 2, envelopeOf(message), 0)
			}
			var want []string
			for _, w := range c.want {
				want = append(want, "g 1>2 "+w)
			}
			if got := q.frame(1<<20, 0); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if q.bytes != 0 || !q.isEmpty() {
				t.Errorf("%d bytes wait in an empty queue", q.bytes)
			}
		})
	}
}

func TestAFullQueueDropsTheNewestEntriesAndSaysSoOnce(t *testing.T) {
	q, m := newQueueFixture(4<<20), groupMember("g")
	for k := range 10 {
		q.put(m, 2, envelopeOf(entries(node.Index(k+1), 1<<20), heartbeat(1, uint64(k+1))), 0)
	}
	lost := q.takeLost()
	if len(lost.reports) != 1 || lost.reports[0] != (lossReport{m, 2}) {
		t.Errorf("got the reports %v, want one", lost.reports)
	}
	want := []string{"g 1>2 entries 1", "g 1>2 entries 2", "g 1>2 entries 3", "g 1>2 heartbeat 10 of 1"}
	if got := q.frame(64<<20, 0); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	q.put(m, 2, envelopeOf(entries(1, 5<<20)), 0)
	q.put(m, 2, envelopeOf(entries(2, 1<<20)), 0)
	if lost := q.takeLost(); len(lost.reports) != 1 {
		t.Errorf("got the reports %v once it was empty again, want one", lost.reports)
	}
	if got, want := q.frame(64<<20, 0), []string{"g 1>2 entries 1"}; !slices.Equal(got, want) {
		t.Errorf("one that is larger than the queue: got %q, want %q", got, want)
	}
}

func TestAGroupThatFillsTheQueueMakesRoomForOthers(t *testing.T) {
	q, busy, quiet := newQueueFixture(4<<20), groupMember("busy"), groupMember("quiet")
	for k := range 4 {
		q.put(busy, 2, envelopeOf(entries(node.Index(k+1), 1<<20-1024)), 0)
	}
	q.put(quiet, 2, envelopeOf(entries(1, 1<<20)), 0)
	lost := q.takeLost()
	if len(lost.reports) != 1 || lost.reports[0].member != busy {
		t.Errorf("got the reports %v, want that the busy group has lost something", lost.reports)
	}
	got := q.frame(64<<20, 0)
	slices.Sort(got)
	want := []string{"busy 1>2 entries 1", "busy 1>2 entries 2", "busy 1>2 entries 3", "quiet 1>2 entries 1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatHasWaitedForTooLongIsDropped(t *testing.T) {
	q, m, f := newQueueFixture(4<<20), groupMember("g"), &testForward{data: []byte("x")}
	q.put(m, 2, &node.PeerEnvelope{
		Messages: []node.Message{heartbeat(1, 1), entries(1, 1)}, Forwards: []node.Forward{f},
		Ack: &node.SnapshotAck{Transfer: 1},
	}, 10)
	q.put(m, 2, envelopeOf(heartbeat(2, 1)), 20)
	if got, want := q.frame(1<<20, 15), []string{"g 1>2 heartbeat 1 of 2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	lost := q.takeLost()
	lost.forwards[0].Drop()
	if _, drops := f.outcome(); drops != 1 || len(q.parcel.forwards) != 0 || len(lost.reports) != 1 {
		t.Errorf("a forward was dropped %d times, %d were sent, reports: %v", drops, len(q.parcel.forwards), lost.reports)
	}
	if e := q.parcel.frame.envelopes[0].envelope; e.Ack == nil {
		t.Error("the answer to a chunk was dropped")
	}
}

func TestAChunkThatWaitsIsNotQueuedAgain(t *testing.T) {
	q, m := newQueueFixture(64<<20), groupMember("g")
	for range 3 {
		for k := range int64(12) {
			q.put(m, 2, &node.PeerEnvelope{Chunk: &node.SnapshotChunk{Transfer: 1, Offset: k << 18, Data: make([]byte, 1<<18)}}, 0)
		}
	}
	var got []int64
	for !q.isEmpty() {
		q.frame(chunkFrameBytes, forever)
		for _, w := range q.parcel.frame.envelopes {
			got = append(got, w.envelope.Chunk.Offset>>18)
		}
	}
	if want := []int64{0, 1, 2, 3, 4, 5, 6, 7}; !slices.Equal(got, want) {
		t.Errorf("got the chunks %v, want %v", got, want)
	}
}

// The model of a queue: what is sent comes in order, once, or is lost; only what may be replaced is missing without a word.
func TestAQueueKeepsOrderAndCountsItsBytes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	q := newQueueFixture(1 << 20)
	members := []*member{groupMember("a"), groupMember("b"), groupMember("c")}
	sent, arrived := map[string]node.Index{}, map[string]node.Index{}
	lostForwards, sentForwards, putForwards := 0, 0, 0
	for step := range 20_000 {
		m := members[random.IntN(len(members))]
		key := fmt.Sprint(m.group, " 1>2 ")
		switch random.IntN(6) {
		case 0, 1, 2:
			sent[key]++
			q.put(m, 2, envelopeOf(entries(sent[key], random.IntN(64<<10))), int64(step))
		case 3:
			q.put(m, 2, envelopeOf(heartbeat(1, uint64(step)), &node.AppendEntriesReply{Success: true}), int64(step))
		case 4:
			putForwards++
			q.put(m, 2, &node.PeerEnvelope{Forwards: []node.Forward{&testForward{data: make([]byte, 100)}}}, int64(step))
		default:
			oldest := int64(step - random.IntN(200))
			q.frame(random.IntN(128<<10), oldest)
			sentForwards += len(q.parcel.forwards)
			for _, w := range q.parcel.frame.envelopes {
				for _, message := range w.envelope.Messages {
					if e, ok := message.(*node.AppendEntries); ok {
						if e.PrevIndex+1 <= arrived[w.envelope.Group] {
							t.Fatalf("step %d: the entries %d of %s came after %d", step, e.PrevIndex+1, w.envelope.Group, arrived[w.envelope.Group])
						}
						arrived[w.envelope.Group] = e.PrevIndex + 1
					}
				}
			}
		}
		lostForwards += len(q.takeLost().forwards)
		checkQueue(t, &q.queue)
	}
	q.drop()
	lostForwards += len(q.takeLost().forwards)
	checkQueue(t, &q.queue)
	if q.bytes != 0 || !q.isEmpty() {
		t.Errorf("%d bytes wait after all was dropped", q.bytes)
	}
	if lostForwards+sentForwards != putForwards {
		t.Errorf("of %d forwards %d were sent and %d lost", putForwards, sentForwards, lostForwards)
	}
}

// checkQueue checks what is always so.
func checkQueue(t *testing.T, q *queue) {
	t.Helper()
	all, ring := q.answerBytes, map[*flow]bool{}
	for _, f := range q.ring {
		bytes, dead := 0, 0
		for _, i := range f.items[f.head:] {
			bytes += i.bytes
			if i.dead {
				dead++
			}
		}
		if bytes != f.bytes || dead != f.dead || ring[f] {
			t.Fatalf("flow %v: %d bytes and %d dead, counted %d and %d; twice in the ring: %t", f.key, bytes, dead, f.bytes, f.dead, ring[f])
		}
		ring[f] = true
		all += bytes
	}
	if all != q.bytes || q.bytes > q.bytesMax+q.bytesMax/8 {
		t.Fatalf("%d bytes wait, counted %d, and there is room for %d", all, q.bytes, q.bytesMax)
	}
}
