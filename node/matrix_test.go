package node

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// part is a role, as far as a message can tell, and who it takes for the leader.
type part struct {
	name   string
	leader ID
	make   func(t *testing.T) *subject
}

// parts are a node 1 in term 5 in every role. Its log is 1@1 2@1 3@2 but for a joiner, which has
// nothing, a removed one, whose 3@2 is the configuration that it is not in, and a leader, which has
// the empty entry 4@5 of its own. Nothing is known to be committed but the removal.
func parts() []part {
	in := func(role Role) func(t *testing.T) *subject {
		return func(t *testing.T) *subject {
			term := Term(5)
			if role >= Candidate {
				term = 4 // and one more for the election
			}
			s := start(t, given{members: founders(1, 2, 3).with(learner(4)), terms: []Term{1, 2}, hard: HardState{Term: term}})
			if role != Follower {
				s.becomes(role)
			}
			return s
		}
	}
	as := func(g given) func(t *testing.T) *subject {
		g.hard.Term = 5
		return func(t *testing.T) *subject { return start(t, g) }
	}
	joiner := func(t *testing.T) *subject {
		log := NewMemoryLog(life(1))
		must(t, log.SetHardState(HardState{Term: 5}))
		return startOn(t, Config{ID: 1}, log)
	}
	plain := []part{
		{"follower", None, in(Follower)},
		{"learner", None, as(given{members: founders(2, 3, 4).with(learner(1)), terms: []Term{1, 2}})},
		{"removed", None, as(given{
			terms: []Term{1, 2}, hard: HardState{Commit: 3},
			entries: []Entry{configurationAt(3, 2, founders(2, 3))},
		})},
		{"joiner", None, joiner},
	}
	all := []part{
		{"pre-candidate", None, in(PreCandidate)}, {"candidate", None, in(Candidate)}, {"leader", 1, in(Leader)},
	}
	for _, p := range plain {
		led := func(t *testing.T) *subject { return p.make(t).follows(2, 5) }
		all = append(all, p, part{p.name + " that is led", 2, led})
	}
	return all
}

// sender is who a message comes from.
type sender struct {
	name    string
	id      ID
	life    Incarnation
	unknown bool // no member, or not this life of one
}

var senders = []sender{
	{"member 2", 2, life(2), false},
	{"member 3", 3, life(3), false},
	{"a stranger", 9, life(9), true},
	{"another life of 2", 2, 0x999, true},
}

// kinds are one message of each kind, as good as it can be for a node in the state of s.
var kinds = map[string]func(s *subject, h Header) Message{
	"PreVote": func(_ *subject, h Header) Message {
		return &PreVote{Header: h, Round: 1, CampaignTerm: h.Term + 1, LastIndex: 9, LastTerm: h.Term - 1}
	},
	"PreVoteReply": func(s *subject, h Header) Message {
		return &PreVoteReply{Header: h, Round: s.election.round, Granted: true}
	},
	"RequestVote": func(_ *subject, h Header) Message {
		return &RequestVote{Header: h, LastIndex: 9, LastTerm: h.Term - 1}
	},
	"RequestVoteReply": func(_ *subject, h Header) Message { return &RequestVoteReply{Header: h, Granted: true} },
	"AppendEntries": func(_ *subject, h Header) Message {
		return &AppendEntries{Header: h, PrevIndex: 3, PrevTerm: 2, Entries: []Entry{command(4, h.Term, "x")}, Commit: 1}
	},
	"AppendEntriesReply": func(s *subject, h Header) Message {
		return &AppendEntriesReply{Header: h, Success: true, Match: s.terms.last}
	},
	"Heartbeat": func(_ *subject, h Header) Message { return &Heartbeat{Header: h, Round: 1, Commit: 1} },
	"HeartbeatReply": func(s *subject, h Header) Message {
		if s.lead != nil {
			return &HeartbeatReply{Header: h, Round: s.lead.round}
		}
		return &HeartbeatReply{Header: h, Round: 1}
	},
	"InstallSnapshot": func(_ *subject, h Header) Message {
		return &InstallSnapshot{Header: h, Meta: SnapshotMeta{
			Index: 3, Term: 2, Configuration: founders(2, 3), ConfigurationIndex: 3,
		}}
	},
	"InstallSnapshotReply": func(s *subject, h Header) Message { return &InstallSnapshotReply{Header: h, Match: s.terms.last} },
	"TimeoutNow":           func(_ *subject, h Header) Message { return &TimeoutNow{Header: h, Transfer: 1, LastIndex: 3} },
	"ReadIndexRequest":     func(_ *subject, h Header) Message { return &ReadIndexRequest{Header: h, Batch: 1} },
	"ReadIndexReply":       func(s *subject, h Header) Message { return &ReadIndexReply{Header: h, Batch: s.reads.batch, Index: 1} },
	"Refusal":              func(_ *subject, h Header) Message { return &Refusal{Header: h, Known: 0x77} },
}

// facts are what a message may change only where the table says so.
type facts struct {
	role          Role
	term          Term
	vote          ID
	leader        ID
	commit, last  Index
	configuration string
}

func (s *subject) facts() facts {
	return facts{
		s.role, s.hard.Term, s.hard.Vote, s.leader, s.commit, s.terms.last, renderConfiguration(s.Configuration()),
	}
}

// cell is one of the matrix.
type cell struct {
	part   part
	kind   string
	rel    int // -1: of a lower term than the node's, 0: of the same, 1: of a higher one
	sender sender
}

func (c cell) fromLeader() bool {
	return slices.Contains([]string{"AppendEntries", "Heartbeat", "InstallSnapshot", "TimeoutNow"}, c.kind)
}

func (c cell) isReply() bool {
	return !c.fromLeader() && c.kind != "PreVote" && c.kind != "RequestVote" && c.kind != "ReadIndexRequest"
}

func (c cell) is(name string) bool { return c.part.name == name }

func (c cell) isJoiner() bool { return c.is("joiner") || c.is("joiner that is led") }

func (c cell) isVoter() bool {
	return c.is("follower") || c.is("follower that is led") || c.is("pre-candidate") || c.is("candidate")
}

// table says what becomes of the facts, and whether the message must have no effect at all.
func (c cell) table(before facts) (after facts, none bool) {
	after = before
	switch {
	case c.kind == "PreVote" || c.kind == "Refusal":
		return after, true // questions, and news for the driver
	case c.isReply():
		return c.tableOfReply(before)
	case c.fromLeader():
		return c.tableOfLeader(before)
	case c.kind == "ReadIndexRequest":
		if c.sender.id == 9 || c.isJoiner() {
			return after, true // no member, as far as this one knows
		}
		if c.rel > 0 {
			after = newTerm(before, None)
		}
		return after, false
	}
	return c.tableOfVote(before)
}

func newTerm(f facts, leader ID) facts {
	f.role, f.term, f.vote, f.leader = Follower, f.term+1, None, leader
	return f
}

func (c cell) tableOfReply(before facts) (after facts, none bool) {
	after = before
	lateGrant := c.kind == "PreVoteReply" && c.rel < 0 // who has a lower term may still grant
	switch {
	case c.sender.unknown || c.isJoiner() || (c.is("removed") || c.is("removed that is led")) && c.sender.id == 9:
		return after, true
	case c.rel > 0:
		return newTerm(before, None), false
	case c.rel < 0 && !lateGrant:
		return after, true
	case c.kind == "PreVoteReply" && c.is("pre-candidate"):
		after.role, after.term, after.vote = Candidate, before.term+1, 1
	case c.kind == "RequestVoteReply" && c.is("candidate"):
		after.role, after.leader, after.last = Leader, 1, before.last+1
	case (c.kind == "AppendEntriesReply" || c.kind == "InstallSnapshotReply") && c.is("leader"):
		after.commit = before.last
	case !c.is("leader"):
		return after, true
	}
	return after, false
}

func (c cell) tableOfLeader(before facts) (after facts, none bool) {
	after = before
	switch {
	case c.rel < 0:
		return after, true // and it is told
	case c.rel == 0 && c.part.leader != None && c.part.leader != c.sender.id:
		return after, true // a second leader
	case c.isJoiner() && c.kind == "Heartbeat":
		return after, true // it claims that the joiner has acknowledged something
	}
	if c.rel > 0 {
		after = newTerm(before, None)
	}
	after.role, after.leader = Follower, c.sender.id
	switch {
	case c.kind == "TimeoutNow" && c.isVoter():
		after.role, after.term, after.vote, after.leader = Candidate, after.term+1, 1, None
	case c.isJoiner():
	case c.kind == "AppendEntries" && c.is("leader"): // its own 4 of the old term gives way
		after.commit = max(before.commit, 1)
	case c.kind == "AppendEntries":
		after.commit, after.last = max(before.commit, 1), 4
	case c.kind == "Heartbeat":
		after.commit = max(before.commit, 1)
	case c.kind == "InstallSnapshot":
		after.commit = 3
	}
	return after, false
}

func (c cell) tableOfVote(before facts) (after facts, none bool) {
	after = before
	if c.rel < 0 {
		return after, true
	}
	if c.rel > 0 {
		if c.part.leader != None {
			return after, true // there is no reason to depose it
		}
		after = newTerm(before, None)
	}
	knownLife := c.sender.life == life(c.sender.id) || c.isJoiner()
	if after.vote == None && knownLife {
		after.vote, after.role = c.sender.id, Follower
		return after, false
	}
	return after, c.rel == 0
}

// TestEveryRoleAgainstEveryMessage: no panic, and role, term, vote, leader, commit, log and
// configuration change only where the table says so. Where it says that nothing happens, nothing at
// all does.
func TestEveryRoleAgainstEveryMessage(t *testing.T) {
	for _, p := range parts() {
		for kind, message := range kinds {
			for _, from := range senders {
				for rel := -1; rel <= 1; rel++ {
					c := cell{p, kind, rel, from}
					name := fmt.Sprintf("%s gets %s of term %+d from %s", p.name, kind, rel, from.name)
					t.Run(name, func(t *testing.T) { c.run(t, message) })
				}
			}
		}
	}
}

func (c cell) run(t *testing.T, message func(*subject, Header) Message) {
	s := c.part.make(t)
	s.ticks(1)
	s.syncs()
	h := Header{From: c.sender.id, To: 1, FromIncarnation: c.sender.life, Term: s.hard.Term + Term(c.rel)}
	m := message(s, h)
	if isReply(m) {
		m.Head().ToIncarnation = s.incarnation
	}
	before, state := s.facts(), s.state()
	want, none := c.table(before)
	got := s.gets(m)
	if s.facts() != want {
		t.Errorf("from %+v to %+v, want %+v; it asked for %q", before, s.facts(), want, got)
	}
	if none && s.state() != state {
		t.Errorf("it has an effect; it asked for %q", got)
	}
	s.checkFully()
	s.syncs()
	s.gets(m) // once more
	for range 25 {
		s.ticks(1)
		s.syncs()
		s.checkFully()
	}
}

// mutations make a good message impossible. Those under the empty name suit every kind.
var mutations = map[string]map[string]func(m Message){
	"": {
		"no sender":               func(m Message) { m.Head().From = 0 },
		"itself as sender":        func(m Message) { m.Head().From = 1 },
		"no life":                 func(m Message) { m.Head().FromIncarnation = 0 },
		"term beyond all":         func(m Message) { m.Head().Term = TermMax + 1 },
		"term at the end":         func(m Message) { m.Head().Term = math.MaxUint64 },
		"term at the end of sign": func(m Message) { m.Head().Term = 1 << 63 },
	},
	"PreVote": {
		"no other term":     func(m Message) { m.(*PreVote).CampaignTerm-- },
		"a term left out":   func(m Message) { m.(*PreVote).CampaignTerm++ },
		"index beyond all":  func(m Message) { m.(*PreVote).LastIndex = IndexMax + 1 },
		"index at the end":  func(m Message) { m.(*PreVote).LastIndex = math.MaxUint64 },
		"index without":     func(m Message) { m.(*PreVote).LastTerm = 0 },
		"term without":      func(m Message) { m.(*PreVote).LastIndex = 0 },
		"log of the future": func(m Message) { m.(*PreVote).LastTerm = m.Head().Term + 1 },
	},
	"RequestVote": {
		"term 0":            func(m Message) { m.Head().Term = 0 },
		"index beyond all":  func(m Message) { m.(*RequestVote).LastIndex = IndexMax + 1 },
		"index without":     func(m Message) { m.(*RequestVote).LastTerm = 0 },
		"term without":      func(m Message) { m.(*RequestVote).LastIndex = 0 },
		"log of its own":    func(m Message) { m.(*RequestVote).LastTerm = m.Head().Term },
		"term at the end 2": func(m Message) { m.(*RequestVote).LastTerm = math.MaxUint64 },
	},
	"AppendEntries": {
		"term 0":                func(m Message) { m.Head().Term = 0 },
		"previous beyond all":   func(m Message) { m.(*AppendEntries).PrevIndex = IndexMax + 1 },
		"previous at the end":   func(m Message) { m.(*AppendEntries).PrevIndex = math.MaxUint64 },
		"the last of all":       func(m Message) { m.(*AppendEntries).PrevIndex = IndexMax },
		"previous term 0":       func(m Message) { m.(*AppendEntries).PrevTerm = 0 },
		"previous index 0":      func(m Message) { m.(*AppendEntries).PrevIndex = 0 },
		"previous of future":    func(m Message) { m.(*AppendEntries).PrevTerm = m.Head().Term + 1 },
		"commit beyond all":     func(m Message) { m.(*AppendEntries).Commit = IndexMax + 1 },
		"commit at the end":     func(m Message) { m.(*AppendEntries).Commit = math.MaxUint64 },
		"a gap in front":        func(m Message) { m.(*AppendEntries).Entries[0].Index++ },
		"an index twice":        func(m Message) { appendOne(m, func(e *Entry) { e.Index-- }) },
		"a gap":                 func(m Message) { appendOne(m, func(e *Entry) { e.Index++ }) },
		"terms that go back":    func(m Message) { appendOne(m, func(e *Entry) { e.Term-- }) },
		"terms before previous": func(m Message) { m.(*AppendEntries).Entries[0].Term = 1 },
		"term 0 inside":         func(m Message) { m.(*AppendEntries).Entries[0].Term = 0 },
		"entry of the future":   func(m Message) { appendOne(m, func(e *Entry) { e.Term++ }) },
		"kind 0":                func(m Message) { appendOne(m, func(e *Entry) { e.Kind = 0 }) },
		"unknown kind":          func(m Message) { appendOne(m, func(e *Entry) { e.Kind = 77 }) },
		"empty with data":       func(m Message) { appendOne(m, func(e *Entry) { e.Kind = EntryEmpty }) },
		"no configuration":      func(m Message) { appendOne(m, func(e *Entry) { e.Kind = EntryConfiguration }) },
		"nobody votes": func(m Message) {
			appendOne(m, func(e *Entry) { e.Kind, e.Data = EntryConfiguration, NewConfiguration(learner(2)).Encode() })
		},
	},
	"AppendEntriesReply": {
		"match beyond all":    func(m Message) { m.(*AppendEntriesReply).Match = IndexMax + 1 },
		"match at the end":    func(m Message) { m.(*AppendEntriesReply).Match = math.MaxUint64 },
		"rejected beyond all": func(m Message) { m.(*AppendEntriesReply).Rejected = IndexMax + 1 },
		"hint beyond all":     func(m Message) { m.(*AppendEntriesReply).HintIndex = math.MaxUint64 },
		"hint of the future":  func(m Message) { m.(*AppendEntriesReply).HintTerm = m.Head().Term + 1 },
		"commit beyond all":   func(m Message) { m.(*AppendEntriesReply).Commit = IndexMax + 1 },
	},
	"Heartbeat": {
		"term 0":            func(m Message) { m.Head().Term = 0 },
		"commit beyond all": func(m Message) { m.(*Heartbeat).Commit = math.MaxUint64 },
	},
	"HeartbeatReply": {
		"commit beyond all": func(m Message) { m.(*HeartbeatReply).Commit = IndexMax + 1 },
	},
	"InstallSnapshot": {
		"term 0":               func(m Message) { m.Head().Term = 0 },
		"index 0":              func(m Message) { m.(*InstallSnapshot).Meta.Index = 0 },
		"index beyond all":     func(m Message) { m.(*InstallSnapshot).Meta.Index = IndexMax + 1 },
		"no term":              func(m Message) { m.(*InstallSnapshot).Meta.Term = 0 },
		"of the future":        func(m Message) { m.(*InstallSnapshot).Meta.Term = m.Head().Term + 1 },
		"configuration at 0":   func(m Message) { m.(*InstallSnapshot).Meta.ConfigurationIndex = 0 },
		"configuration behind": func(m Message) { m.(*InstallSnapshot).Meta.ConfigurationIndex = 4 },
		"no configuration":     func(m Message) { m.(*InstallSnapshot).Meta.Configuration = Configuration{} },
	},
	"InstallSnapshotReply": {
		"match beyond all": func(m Message) { m.(*InstallSnapshotReply).Match = math.MaxUint64 },
	},
	"TimeoutNow": {
		"term 0":           func(m Message) { m.Head().Term = 0 },
		"no transfer":      func(m Message) { m.(*TimeoutNow).Transfer = 0 },
		"index beyond all": func(m Message) { m.(*TimeoutNow).LastIndex = IndexMax + 1 },
	},
	"ReadIndexReply": {
		"index beyond all": func(m Message) { m.(*ReadIndexReply).Index = IndexMax + 1 },
	},
	"Refusal": {
		"no other life": func(m Message) { m.(*Refusal).Known = 0 },
	},
}

// appendOne puts a second entry behind the first, changed.
func appendOne(m Message, change func(*Entry)) {
	a := m.(*AppendEntries)
	e := command(a.Entries[0].Index+1, a.Entries[0].Term, "y")
	change(&e)
	a.Entries = append(a.Entries, e)
}

// TestMalformedMessagesAreRefusedInEveryRole: reported with the evidence, counted, and no trace left.
func TestMalformedMessagesAreRefusedInEveryRole(t *testing.T) {
	for _, p := range parts() {
		for kind, message := range kinds {
			for _, rel := range []Term{0, 1} {
				for _, of := range []string{"", kind} {
					for name, mutate := range mutations[of] {
						t.Run(fmt.Sprintf("%s gets %s+%d with %s", p.name, kind, rel, name), func(t *testing.T) {
							s := p.make(t)
							s.ticks(1)
							m := message(s, s.from(2, s.hard.Term+rel))
							if isReply(m) {
								m.Head().ToIncarnation = s.incarnation
							}
							mutate(m)
							s.refuses(m, FaultMalformed)
						})
					}
				}
			}
		}
	}
}

// refuses checks that a message is reported as a fault, counted, and has no effect.
func (s *subject) refuses(m Message, fault Fault) {
	s.tb.Helper()
	state, counters := s.state(), s.Status().Counters
	actions, err := s.Step(&Receive{Message: m})
	must(s.tb, err)
	if len(actions) != 1 {
		s.tb.Fatalf("it asked for %d actions, want a PeerFault alone", len(actions))
	}
	got, ok := actions[0].(*PeerFault)
	if !ok || got.Peer != m.Head().From || got.Fault != fault || got.Detail == "" || got.Message != m {
		s.tb.Errorf("it asked for %s, want %v", s.renderAction(actions[0]), fault)
	}
	counters.Faults[fault]++
	equal(s.tb, "counters", s.Status().Counters, counters)
	if s.state() != state {
		s.tb.Errorf("it has an effect: from\n%s\nto\n%s", state, s.state())
	}
}

func TestMessagesForAnotherMemberAreCounted(t *testing.T) {
	for _, p := range parts() {
		for kind, message := range kinds {
			s := p.make(t)
			s.ticks(1)
			m := message(s, s.from(2, s.hard.Term+1))
			m.Head().To = 3
			state, counted := s.state(), s.counters.Misaddressed
			want(t, s.gets(m))
			equal(t, p.name+", "+kind, s.counters.Misaddressed, counted+1)
			if s.state() != state {
				t.Errorf("%s, %s: it has an effect", p.name, kind)
			}
		}
	}
}
