package node

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// life is the incarnation of a member's storage in the tests.
func life(id ID) Incarnation { return Incarnation(0x100 + uint64(id)) }

// founders is a configuration of voters whose lives are known.
func founders(ids ...ID) Configuration {
	members := make([]Member, len(ids))
	for i, id := range ids {
		members[i] = Member{ID: id, Suffrage: Voter, Incarnation: life(id)}
	}
	return NewConfiguration(members...)
}

// learner is a member that does not vote.
func learner(id ID) Member { return Member{ID: id, Suffrage: Learner, Incarnation: life(id)} }

// given is what a node under test starts from. All of it is durable.
type given struct {
	// id is the node's, 1 if it is zero.
	id ID
	// members are those of the configuration at index 1, {1 2 3} if there are none.
	members Configuration
	// joiner starts with nothing at all.
	joiner bool
	// terms are those of the entries from index 2 on; the one at index 1 has term 1.
	terms []Term
	// hard is the hard state. Its term is at least that of the last entry.
	hard HardState
	// snapshot is the index of a snapshot, behind which entries up to released are gone.
	snapshot, released Index
	// entries replace some of those that terms ask for.
	entries []Entry
	cfg     Config
}

// subject is a node under test.
type subject struct {
	*Node
	tb    testing.TB
	store *MemoryLog
	// rounds are the random numbers that were rendered, in the order of their appearance.
	rounds []uint64
}

// start makes a node.
func start(tb testing.TB, g given) *subject {
	tb.Helper()
	g.cfg.ID = max(g.cfg.ID, g.id, 1)
	if g.cfg.Seed == 0 {
		g.cfg.Seed = uint64(g.cfg.ID)
	}
	return startOn(tb, g.cfg, g.log(tb))
}

func startOn(tb testing.TB, cfg Config, store *MemoryLog) *subject {
	tb.Helper()
	n, err := New(cfg, store)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	return &subject{Node: n, tb: tb, store: store}
}

func (g given) log(tb testing.TB) *MemoryLog {
	tb.Helper()
	log := NewMemoryLog(life(max(g.id, 1)))
	if g.joiner {
		return log
	}
	members := g.members
	if len(members.Members) == 0 {
		members = founders(1, 2, 3)
	}
	entries := []Entry{configurationAt(1, 1, members)}
	for i, term := range g.terms {
		entries = append(entries, command(Index(i+2), term, fmt.Sprint("c", i+2)))
	}
	for _, e := range g.entries {
		entries[e.Index-1] = e
	}
	g.hard.Term = max(g.hard.Term, entries[len(entries)-1].Term)
	must(tb, log.Append(entries))
	must(tb, log.SetHardState(g.hard))
	if g.snapshot > 0 {
		meta := SnapshotMeta{
			Index: g.snapshot, Term: entries[g.snapshot-1].Term, Configuration: members, ConfigurationIndex: 1,
			Handle: "local",
		}
		must(tb, log.Compact(meta, g.released))
	}
	return log
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// command and the others are entries.
func command(i Index, t Term, data string) Entry {
	return Entry{Index: i, Term: t, Kind: EntryCommand, Data: []byte(data)}
}

func empty(i Index, t Term) Entry { return Entry{Index: i, Term: t, Kind: EntryEmpty} }

func configurationAt(i Index, t Term, c Configuration) Entry {
	return Entry{Index: i, Term: t, Kind: EntryConfiguration, Data: c.Encode()}
}

// does steps the node and renders what it asks for, one line for each action.
func (s *subject) does(e Event) []string {
	s.tb.Helper()
	actions, err := s.Step(e)
	if err != nil {
		s.tb.Fatalf("%T: %v", e, err)
	}
	lines := []string{}
	for _, a := range actions {
		lines = append(lines, s.renderAction(a))
	}
	return lines
}

// gets delivers a message.
func (s *subject) gets(m Message) []string {
	s.tb.Helper()
	return s.does(&Receive{Message: m})
}

// syncs completes all that is staged.
func (s *subject) syncs() []string {
	s.tb.Helper()
	return s.does(&Synced{Seq: s.disk.seq})
}

// ticks lets n ticks pass, one by one.
func (s *subject) ticks(n int) []string {
	s.tb.Helper()
	var lines []string
	for range n {
		lines = append(lines, s.does(&Tick{Elapsed: 1})...)
	}
	return lines
}

// timesOut lets time pass until just before the election timer fires, and returns what firing does.
func (s *subject) timesOut() []string {
	s.tb.Helper()
	s.ticks(s.election.timeout - s.election.elapsed - 1)
	return s.ticks(1)
}

// from heads a request to the node, and re a reply.
func (s *subject) from(id ID, term Term) Header {
	return Header{From: id, To: s.id, FromIncarnation: life(id), Term: term}
}

func (s *subject) re(id ID, term Term) Header {
	h := s.from(id, term)
	h.ToIncarnation = s.incarnation
	return h
}

// preVoteGrant and the others are replies that a healthy peer would give now.
func (s *subject) preVoteGrant(id ID) Message {
	return &PreVoteReply{Header: s.re(id, s.hard.Term), Round: s.election.round, Granted: true}
}

func (s *subject) voteGrant(id ID) Message {
	return &RequestVoteReply{Header: s.re(id, s.hard.Term), Granted: true}
}

func (s *subject) ack(id ID, match Index) Message {
	return &AppendEntriesReply{Header: s.re(id, s.hard.Term), Success: true, Match: match, Commit: min(match, s.commit)}
}

// pulse confirms the newest round of heartbeats.
func (s *subject) pulse(id ID) Message {
	s.tb.Helper()
	if s.lead == nil {
		s.tb.Fatalf("is %v, and has no rounds", s.role)
	}
	return &HeartbeatReply{Header: s.re(id, s.hard.Term), Round: s.lead.round}
}

// append is what a leader of term sends.
func (s *subject) append(leader ID, term Term, prev Entry, commit Index, entries ...Entry) Message {
	return &AppendEntries{
		Header: s.from(leader, term), PrevIndex: prev.Index, PrevTerm: prev.Term, Entries: entries, Commit: commit,
	}
}

// becomes brings the node into a role by the events that do so in life, all synced.
func (s *subject) becomes(role Role) *subject {
	s.tb.Helper()
	s.does(&Campaign{})
	voters := s.members.electorate.voters
	if role >= Candidate {
		for _, id := range voters {
			if id != s.id && s.role == PreCandidate {
				s.gets(s.preVoteGrant(id))
			}
		}
	}
	if role >= Leader {
		s.syncs()
		for _, id := range voters {
			if id != s.id && s.role == Candidate {
				s.gets(s.voteGrant(id))
			}
		}
	}
	s.syncs()
	if s.role != role {
		s.tb.Fatalf("is %v, want %v", s.role, role)
	}
	return s
}

// leads makes the node leader, and lets every other member acknowledge all of the log.
func (s *subject) leads() *subject {
	s.tb.Helper()
	s.becomes(Leader)
	for _, m := range s.Configuration().Members {
		if m.ID != s.id {
			s.gets(s.ack(m.ID, s.terms.last))
		}
	}
	if s.commit != s.terms.last {
		s.tb.Fatalf("commit %d, want %d", s.commit, s.terms.last)
	}
	return s
}

// follows makes the node a follower of leader in term.
func (s *subject) follows(leader ID, term Term) *subject {
	s.tb.Helper()
	s.gets(&Heartbeat{Header: s.from(leader, term)})
	s.syncs()
	return s
}

// accepts proposes commands and returns what happens.
func (s *subject) proposes(commands ...string) []string {
	s.tb.Helper()
	p := &Propose{}
	for _, c := range commands {
		p.Commands = append(p.Commands, []byte(c))
	}
	return s.does(p)
}

// want compares a list of actions.
func want(tb testing.TB, got []string, lines ...string) {
	tb.Helper()
	if !slices.Equal(got, lines) {
		tb.Errorf("got actions\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

// wantSome checks that there is a line with the prefix.
func wantSome(tb testing.TB, got []string, prefix string) {
	tb.Helper()
	if !some(got, prefix) {
		tb.Errorf("got actions\n\t%s\nwant %q among them", strings.Join(got, "\n\t"), prefix)
	}
}

// wantNo checks that there is none.
func wantNo(tb testing.TB, got []string, prefix string) {
	tb.Helper()
	if some(got, prefix) {
		tb.Errorf("got actions\n\t%s\nwant no %q among them", strings.Join(got, "\n\t"), prefix)
	}
}

func some(got []string, prefix string) bool {
	return slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, prefix) })
}

// equal compares any two values.
func equal[T comparable](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s is %v, want %v", what, got, want)
	}
}

// holds renders the entries of the log.
func (s *subject) holds() string {
	s.tb.Helper()
	var parts []string
	for i := s.store.FirstIndex(); i <= s.store.LastIndex(); {
		entries, err := s.store.Entries(i, s.store.LastIndex()+1, Unlimited)
		must(s.tb, err)
		for _, e := range entries {
			parts = append(parts, renderEntry(e))
		}
		i += Index(len(entries))
	}
	return strings.Join(parts, " ")
}

// renderEntry writes INDEX@TERM and what the entry carries.
func renderEntry(e Entry) string {
	where := fmt.Sprintf("%d@%d", e.Index, e.Term)
	switch e.Kind {
	case EntryCommand:
		return where + "=" + string(e.Data)
	case EntryEmpty:
		return where + "~"
	case EntryConfiguration:
		c, err := DecodeConfiguration(e.Data)
		if err != nil {
			return where + "=" + err.Error()
		}
		return where + renderConfiguration(c)
	default:
		return fmt.Sprintf("%s=%v", where, e.Kind)
	}
}

func renderEntries(entries []Entry) string {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(" " + renderEntry(e))
	}
	return b.String()
}

// renderConfiguration leaves out the lives that are as they should be, and marks those that are not
// known.
func renderConfiguration(c Configuration) string {
	var parts []string
	for _, m := range c.Members {
		part := fmt.Sprint(m.ID)
		if m.Suffrage == Learner {
			part += "l"
		}
		switch m.Incarnation {
		case 0:
			part += "?"
		case life(m.ID):
		default:
			part += fmt.Sprintf("@%x", uint64(m.Incarnation))
		}
		if m.Address != "" {
			part += "(" + m.Address + ")"
		}
		parts = append(parts, part)
	}
	return "{" + strings.Join(parts, " ") + "}"
}

func renderMeta(m SnapshotMeta) string {
	text := fmt.Sprintf("%d@%d %s@%d", m.Index, m.Term, renderConfiguration(m.Configuration), m.ConfigurationIndex)
	if m.Handle != nil {
		text += fmt.Sprintf(" %v", m.Handle)
	}
	return text
}

// ordinal renders a random number by when it was seen first, and a small one as it is.
func (s *subject) ordinal(x uint64) string {
	if x < 1<<20 {
		return fmt.Sprint(x)
	}
	at := slices.Index(s.rounds, x)
	if at < 0 {
		s.rounds = append(s.rounds, x)
		at = len(s.rounds) - 1
	}
	return fmt.Sprintf("#%d", at+1)
}

// renderAction writes everything that an action says.
func (s *subject) renderAction(a Action) string {
	switch a := a.(type) {
	case *Send:
		return fmt.Sprintf("->%d %s", a.To, s.renderMessage(a.To, a.Message))
	case *Sync:
		return fmt.Sprintf("sync %d", a.Seq)
	case *Apply:
		return "apply" + renderEntries(a.Entries)
	case *ReadEntries:
		return fmt.Sprintf("read for %d: %d to %d", a.For, a.Lo, a.Hi)
	case *TakeSnapshot:
		return "take snapshot " + renderMeta(a.Meta)
	case *SendSnapshot:
		return fmt.Sprintf("send snapshot to %d: %s", a.To, s.renderMessage(a.To, a.Message))
	case *AcceptSnapshot:
		return fmt.Sprintf("accept snapshot %s of %d", renderMeta(a.Message.Meta), a.Message.From)
	case *RestoreSnapshot:
		return "restore " + renderMeta(a.Meta)
	case *MembershipChanged:
		return fmt.Sprintf("members %s@%d committed=%v", renderConfiguration(a.Configuration), a.Index, a.Committed)
	case *LeaderChanged:
		return fmt.Sprintf("leader %d t%d", a.Leader, a.Term)
	case *Accepted:
		return fmt.Sprintf("accepted %d+%d at %d@%d", a.Offset, a.Count, a.First, a.Term)
	case *Rejected:
		return fmt.Sprintf("rejected %d+%d: %v", a.Offset, a.Count, a.Err)
	case *Superseded:
		return fmt.Sprintf("superseded %d to %d of t%d", a.First, a.Last, a.Term)
	case *Forgotten:
		return fmt.Sprintf("forgotten %d to %d of t%d", a.First, a.Last, a.Term)
	case *ReadReady:
		return fmt.Sprintf("read %d ready at %d", a.ID, a.Index)
	case *ReadFailed:
		return fmt.Sprintf("read %d failed: %v", a.ID, a.Err)
	case *TransferEnded:
		return fmt.Sprintf("transfer to %d ended: %v", a.Target, a.Err)
	case *PeerFault:
		return fmt.Sprintf("fault of %d: %v: %s", a.Peer, a.Fault, a.Detail)
	case *Disowned:
		return fmt.Sprintf("disowned by %d, who knows %x", a.By, uint64(a.Known))
	case *DiskStalled:
		return fmt.Sprintf("disk stalled for %d gave up=%v", a.Ticks, a.GaveUp)
	case *DiskRecovered:
		return fmt.Sprintf("disk recovered after %d", a.Ticks)
	default:
		return fmt.Sprintf("%T", a)
	}
}

// renderMessage writes what a message says. Addressing is mentioned only where it is wrong.
func (s *subject) renderMessage(to ID, m Message) string {
	h := m.Head()
	name := reflect.TypeOf(m).Elem().Name()
	text := fmt.Sprintf("%s t%d", name, h.Term)
	expected := Header{From: s.id, To: to, FromIncarnation: s.incarnation, Term: h.Term}
	if isReply(m) {
		expected.ToIncarnation = life(to)
	}
	switch m.(type) {
	case *AppendEntries, *Heartbeat, *InstallSnapshot, *TimeoutNow:
		if expected.ToIncarnation = life(to); h.ToIncarnation == 0 {
			expected.ToIncarnation = 0 // it knows none
		}
	}
	if *h != expected {
		text += fmt.Sprintf(" HEADER %+v", *h)
	}
	switch m := m.(type) {
	case *PreVote:
		text += fmt.Sprintf(" %s for t%d last %d@%d", s.ordinal(m.Round), m.CampaignTerm, m.LastIndex, m.LastTerm)
	case *PreVoteReply:
		text += fmt.Sprintf(" %s %s", s.ordinal(m.Round), granted(m.Granted))
	case *RequestVote:
		text += fmt.Sprintf(" last %d@%d", m.LastIndex, m.LastTerm)
		if m.Transfer != 0 {
			text += fmt.Sprintf(" transfer %d", m.Transfer)
		}
	case *RequestVoteReply:
		text += " " + granted(m.Granted)
	case *AppendEntries:
		text += fmt.Sprintf(" prev %d@%d commit %d:%s", m.PrevIndex, m.PrevTerm, m.Commit, renderEntries(m.Entries))
	case *AppendEntriesReply:
		if m.Success {
			text += fmt.Sprintf(" match %d commit %d", m.Match, m.Commit)
		} else {
			text += fmt.Sprintf(" rejected %d hint %d@%d commit %d", m.Rejected, m.HintIndex, m.HintTerm, m.Commit)
		}
	case *Heartbeat:
		text += fmt.Sprintf(" round %d commit %d", m.Round, m.Commit)
	case *HeartbeatReply:
		text += fmt.Sprintf(" round %d commit %d", m.Round, m.Commit)
	case *InstallSnapshot:
		text += " " + renderMeta(m.Meta)
	case *InstallSnapshotReply:
		text += fmt.Sprintf(" match %d", m.Match)
	case *TimeoutNow:
		text += fmt.Sprintf(" transfer %d last %d", m.Transfer, m.LastIndex)
	case *ReadIndexRequest:
		text += " " + s.ordinal(m.Batch)
	case *ReadIndexReply:
		text += fmt.Sprintf(" batch %d at %d", m.Batch, m.Index)
	case *Refusal:
		text += fmt.Sprintf(" known as %x", uint64(m.Known))
	}
	return text
}

func granted(yes bool) string {
	if yes {
		return "granted"
	}
	return "refused"
}

// state renders everything that a node and its log hold, but for what each step starts afresh or only
// checks itself by, and for what it counts or has told.
func (s *subject) state() string {
	var b strings.Builder
	skip := map[string]bool{
		"out": true, "counters": true, "disownings": true, "log": true, "scratch": true, "checkpoint": true,
	}
	dump(&b, reflect.ValueOf(s.Node).Elem(), skip)
	b.WriteString("\nlog ")
	dump(&b, reflect.ValueOf(s.store).Elem(), nil)
	return b.String()
}

// dump writes a value with all that it points to.
func dump(b *strings.Builder, v reflect.Value, skip map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			b.WriteString("nil")
			return
		}
		dump(b, v.Elem(), skip)
	case reflect.Struct:
		b.WriteByte('{')
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; !skip[name] {
				b.WriteString(name + ":")
				dump(b, v.Field(i), skip)
				b.WriteByte(' ')
			}
		}
		b.WriteByte('}')
	case reflect.Slice:
		b.WriteByte('[')
		for i := range v.Len() {
			dump(b, v.Index(i), skip)
			b.WriteByte(' ')
		}
		b.WriteByte(']')
	default:
		fmt.Fprint(b, v)
	}
}
