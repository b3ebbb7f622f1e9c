package raft

import (
	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
)

// An asking is a request and what came of it. It is the process that gets the reply.
type asking struct {
	trial   *trial
	pid     *actor.PID
	member  ID
	request any
	tag     uint64
	reply   any
	then    func(reply any)
}

var _ actor.Process = (*asking)(nil)

// A letter is a reply that has arrived and was not looked at.
type letter struct {
	to      *asking
	message any
}

func (a *asking) SendUserMessage(_ *actor.PID, message any) {
	a.trial.letters = append(a.trial.letters, letter{a, actor.UnwrapEnvelopeMessage(message)})
}

func (*asking) SendSystemMessage(*actor.PID, any) {}
func (*asking) Stop(*actor.PID)                   {}

// send sends a request, which may take its time. then is called with the reply, unless that gets lost.
func (t *trial) send(id ID, request any, then func(reply any)) *asking {
	a := &asking{trial: t, member: id, request: request, tag: uint64(len(t.asked) + 1), then: then}
	a.pid, _ = t.system.ProcessRegistry.Add(a, "asking"+t.system.ProcessRegistry.NextId())
	t.asked = append(t.asked, a)
	setTag(request, a.tag)
	if t.hooks.request != nil {
		request = t.hooks.request(request)
	}
	t.note("asked %d of %d: %v", a.tag, id, request)
	post := func() { t.system.Root.RequestWithCustomSender(t.pids[id], request, a.pid) }
	if t.chance(t.weather.lateRequest) {
		t.counts["requests delayed"]++
		t.latePosts = append(t.latePosts, post)
		return a
	}
	post()
	return a
}

func setTag(request any, tag uint64) {
	switch m := request.(type) {
	case *Propose:
		m.Tag = tag
	case *OpenSession:
		m.Tag = tag
	case *Query:
		m.Tag = tag
	case *ChangeMembers:
		m.Tag = tag
	case *TransferLeadership:
		m.Tag = tag
	case *TakeSnapshot:
		m.Tag = tag
	}
}

func (t *trial) postLate() {
	late := t.latePosts
	t.latePosts = nil
	t.rng.Shuffle(len(late), func(i, j int) { late[i], late[j] = late[j], late[i] })
	for _, post := range late {
		post()
	}
}

// readLetters has the clients told what has arrived.
func (t *trial) readLetters() {
	for len(t.letters) > 0 {
		l := t.letters[0]
		t.letters = t.letters[1:]
		a, reply := l.to, l.message
		if t.hooks.reply != nil {
			if reply = t.hooks.reply(reply); reply == nil {
				continue
			}
		}
		t.note("told %d: %T{%v}", a.tag, reply, reply)
		if a.reply != nil {
			t.fail("replies", "%v was answered with %v, after %v", a.request, reply, a.reply)
		}
		if m, ok := reply.(interface{ GetTag() uint64 }); ok && m.GetTag() != a.tag {
			t.fail("replies", "a request with the tag %d was answered with %v", a.tag, reply)
		}
		a.reply = reply
		t.countReply(a)
		switch {
		case a.then == nil:
		case t.chance(t.weather.unread):
			t.counts["replies lost"]++
		default:
			a.then(reply)
		}
	}
}

// peek reads what a member has, which is to be as new as a client knows the state to be.
func (t *trial) peek(id ID) {
	least := t.someClient().self().seen
	t.send(id, &Query{
		Payload: []byte(t.someKey()), Consistency: Consistency_LOCAL, MinIndex: uint64(least), TimeoutMs: t.timeout(),
	}, nil)
}

// carry makes of each forwarded request and its reply what a transport between processes would, which may lose a
// reply or take its time with it.
func (t *trial) carry(carried map[*forward]bool) func(e *PeerEnvelope) []*PeerEnvelope {
	return func(e *PeerEnvelope) []*PeerEnvelope {
		copied := *e
		copied.Forwards = nil
		for _, f := range e.Forwards {
			f := f.(*forward)
			if carried[f] && !t.hooks.forwardTwice {
				continue
			}
			carried[f] = true
			there, err := newForward(copyOf(f.message()), func(reply proto.Message) { t.carryBack(f, copyOf(reply)) })
			if err != nil {
				panic(err)
			}
			copied.Forwards = append(copied.Forwards, there)
		}
		return []*PeerEnvelope{&copied}
	}
}

func (t *trial) carryBack(f *forward, reply proto.Message) {
	answer := func() {
		if err := f.answer(reply); err != nil {
			panic(err)
		}
	}
	switch {
	case t.chance(t.weather.unread):
		t.counts["replies to forwarded requests lost"]++
	case t.chance(t.weather.lateRequest):
		t.latePosts = append(t.latePosts, answer)
	default:
		answer()
	}
}
