package node_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"example.com/raftactor/node"
	"example.com/raftactor/node/nodetest"
)

// TestScripts plays the protocol scenarios in testdata, one a file, each of which opens with why it
// exists. Write them anew, and read them again, with
//
//	go test ./node -run TestScripts -rewrite
//
// The lines below the first of a directive are commands too. A command that is one step shows every
// action that it causes, in order; one that lets things run (settle, run, elect) shows only what a
// driver would tell somebody. See [scriptCommands].
func TestScripts(t *testing.T) {
	files := 0
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		files++
		s := &script{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return s.run(t, d)
		})
		if s.cluster == nil {
			t.Fatal("the script makes no group")
		}
		if err := s.cluster.Err(); err != nil {
			t.Errorf("the checker found: %v", err)
		}
	})
	if files < 40 {
		t.Errorf("%d scripts, want 40 at least", files)
	}
}

// script is the state of one file.
type script struct {
	cluster *nodetest.Cluster
	trace   bytes.Buffer
}

// words are the arguments of a command.
type words []string

// option takes the argument name=value out.
func (w *words) option(name string, value int) int {
	for i, word := range *w {
		if text, ok := strings.CutPrefix(word, name+"="); ok {
			value = number(text)
			*w = slices.Delete(*w, i, i+1)
			break
		}
	}
	return value
}

// flag takes the argument name out, and tells whether it was there.
func (w *words) flag(name string) bool {
	i := slices.Index(*w, name)
	if i >= 0 {
		*w = slices.Delete(*w, i, i+1)
	}
	return i >= 0
}

// next takes the first argument out.
func (w *words) next() string {
	if len(*w) == 0 {
		panic("an argument is missing")
	}
	word := (*w)[0]
	*w = (*w)[1:]
	return word
}

func (w *words) id() node.ID { return node.ID(number(w.next())) }

func (w *words) ids() (ids []node.ID) {
	for len(*w) > 0 {
		ids = append(ids, w.id())
	}
	return ids
}

// count takes a number out, if one is left.
func (w *words) count(otherwise int) int {
	if len(*w) == 0 {
		return otherwise
	}
	return number(w.next())
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

// scriptCommand is what a script can ask for. A quiet one shows only what a driver would tell.
type scriptCommand struct {
	quiet bool
	do    func(s *script, w *words) string
}

func loud(do func(s *script, w *words)) scriptCommand {
	return scriptCommand{do: func(s *script, w *words) string { do(s, w); return "" }}
}

func quiet(do func(s *script, w *words)) scriptCommand {
	return scriptCommand{quiet: true, do: func(s *script, w *words) string { do(s, w); return "" }}
}

func show(do func(s *script, w *words) string) scriptCommand {
	return scriptCommand{quiet: true, do: do}
}

// event makes a command of a step: the first argument is the member.
func event(of func(w *words) node.Event) scriptCommand {
	return loud(func(s *script, w *words) {
		id := w.id()
		s.cluster.Step(id, of(w))
	})
}

// flights makes a command of what can happen to something in flight.
func flights(do func(c *nodetest.Cluster, i int)) scriptCommand {
	return scriptCommand{do: func(s *script, w *words) string {
		return s.each(w, func(i int) { do(s.cluster, i) })
	}}
}

var scriptCommands = map[string]scriptCommand{
	// group 1 2 3 [option=value]... founds a group.
	"group": quiet((*script).group),

	// MEMBER ARGUMENTS: one event.
	"campaign":    event(func(*words) node.Event { return &node.Campaign{} }),
	"add":         event(func(w *words) node.Event { return &node.AddMember{ID: w.id()} }),
	"promote":     event(func(w *words) node.Event { return &node.Promote{ID: w.id()} }),
	"demote":      event(func(w *words) node.Event { return &node.Demote{ID: w.id()} }),
	"remove":      event(func(w *words) node.Event { return &node.RemoveMember{ID: w.id()} }),
	"transfer":    event(func(w *words) node.Event { return &node.TransferLeadership{Target: w.id()} }),
	"read":        event(func(w *words) node.Event { return &node.ReadIndex{ID: uint64(w.id())} }),
	"snapshot":    event(func(*words) node.Event { return &node.RequestSnapshot{} }),
	"unreachable": event(func(w *words) node.Event { return &node.Unreachable{Peer: w.id()} }),
	"tick":        loud(func(s *script, w *words) { s.cluster.Tick(w.id(), w.count(1)) }),
	"propose":     loud(func(s *script, w *words) { s.cluster.Propose(w.id(), *w...) }),
	// MEMBER [SEQ]: its disk is done.
	"sync": {do: (*script).sync},
	// MEMBER...: they hear from nobody for an election timeout at its shortest.
	"wait": quiet(func(s *script, w *words) {
		for _, id := range w.ids() {
			for range 10 {
				s.cluster.Tick(id, 1)
			}
		}
	}),

	// FROM->TO [KIND] [newest|oldest]: what is in flight there now; without arguments all that is.
	"deliver":   flights(func(c *nodetest.Cluster, i int) { c.Deliver(i) }),
	"drop":      flights(func(c *nodetest.Cluster, i int) { c.Drop(i) }),
	"duplicate": flights(func(c *nodetest.Cluster, i int) { c.Duplicate(i) }),

	// MEMBER: the oldest task of its driver.
	"do":   loud(func(s *script, w *words) { s.cluster.Do(w.id(), 0) }),
	"fail": loud(func(s *script, w *words) { s.cluster.Fail(w.id(), 0) }),
	// MEMBER: its machine does its jobs only when it is told to: MEMBER [JOBS], and reports how far it is.
	"slow": quiet(func(s *script, w *words) { s.cluster.Slow(w.id(), true) }),
	"work": loud(func(s *script, w *words) { s.cluster.Work(w.id(), w.count(node.Unlimited)) }),
	// MEMBER ok|lost: the end of the snapshot that it is sending.
	"sent": loud(func(s *script, w *words) {
		id := w.id()
		s.cluster.EndTransfer(id, 0, w.next() == "ok")
		s.cluster.Do(id, len(s.cluster.Member(id).Tasks())-1)
	}),

	"cut":     quiet(func(s *script, w *words) { s.cluster.Cut(w.id(), w.id()) }),
	"isolate": quiet(func(s *script, w *words) { s.cluster.Isolate(w.id()) }),
	"heal":    quiet(func(s *script, _ *words) { s.cluster.Heal() }),
	"crash":   quiet(func(s *script, w *words) { s.cluster.Crash(w.id()) }),
	"restart": quiet(func(s *script, w *words) { s.cluster.Restart(w.id()) }),
	"wipe":    quiet(func(s *script, w *words) { s.cluster.Wipe(w.id(), w.flag("founder")) }),
	"join":    quiet(func(s *script, w *words) { s.cluster.Join(w.id()) }),
	"pause":   quiet(func(s *script, w *words) { s.cluster.Pause(w.id()) }),
	"resume":  quiet(func(s *script, w *words) { s.cluster.Resume(w.id()) }),
	// MEMBER WRITES: let so many succeed, and fail then.
	"break": quiet(func(s *script, w *words) {
		s.cluster.Member(w.id()).Log().FailAfter(w.count(0), errDiskBroken)
	}),

	// MEMBER: it campaigns, and everything settles. Nothing is shown if it leads then.
	"elect": show((*script).elect),
	// MEMBER VOTER...: those who are named elect it, and hear nothing else. What it sends in office
	// stays in flight.
	"vote":   show((*script).vote),
	"settle": quiet(func(s *script, _ *words) { s.cluster.Settle() }),
	"run":    quiet(func(s *script, w *words) { s.cluster.Run(w.count(1)) }),

	"members": show((*script).members),
	"network": show((*script).network),
	"log":     show((*script).log),
	"applied": show((*script).applied),
	"peers":   show((*script).peers),
	"held":    show((*script).held),
	"stale":   show((*script).stale),
}

var errDiskBroken = fmt.Errorf("the disk is broken")

// run plays the command of a directive, and those in the lines below it.
func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	var b strings.Builder
	b.WriteString(s.command(t, d, d.Cmd, d.CmdArgs))
	for line := range strings.Lines(d.Input) {
		name, args, err := datadriven.ParseLine(line)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		if output := s.command(t, d, name, args); output != "" {
			fmt.Fprintf(&b, "> %s\n%s", strings.TrimSpace(line), output)
		}
	}
	if b.Len() == 0 {
		return "ok"
	}
	return b.String()
}

func (s *script) command(t *testing.T, d *datadriven.TestData, name string, args []datadriven.CmdArg) (output string) {
	command, ok := scriptCommands[name]
	if !ok {
		d.Fatalf(t, "there is no command %q", name)
	}
	w := words{}
	for _, a := range args {
		w = append(w, a.String())
	}
	defer func() {
		if r := recover(); r != nil {
			d.Fatalf(t, "%s %v: %v", name, args, r)
		}
	}()
	s.trace.Reset()
	output = command.do(s, &w)
	if output == "" {
		output = s.traced(command.quiet)
	}
	if err := s.cluster.Err(); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		output += fmt.Sprintf("CHECKER: %s\n", first)
	}
	return output
}

// group founds a group and lets its first entry become durable.
func (s *script) group(w *words) {
	options := nodetest.Options{
		Trace: &s.trace, NameLives: !w.flag("unnamed"), Unchecked: w.flag("unchecked"), Withhold: w.option("withhold", 0),
		Node: node.Config{
			SnapshotEntries:     w.option("snapshot", node.Unlimited),
			RetainEntries:       w.option("retain", 0),
			SnapshotHoldTicks:   w.option("hold", 0),
			InflightMessagesMax: w.option("inflight", 0),
			UncommittedBytesMax: w.option("uncommitted", 0),
			UnappliedBytesMax:   w.option("unapplied", 0),
			CommandBytesMax:     w.option("command", 0),
		},
	}
	s.cluster = nodetest.New(options)
	s.cluster.Bootstrap(w.ids()...)
	s.cluster.Run(1)
	s.trace.Reset()
}

func (s *script) elect(w *words) string {
	id := w.id()
	s.cluster.Elect(id)
	return s.won(id)
}

// won shows what has happened if id does not lead.
func (s *script) won(id node.ID) string {
	if s.cluster.Member(id).Node().Role() != node.Leader {
		return s.traced(true) + fmt.Sprintf("%d is not elected\n", id)
	}
	s.trace.Reset()
	return ""
}

func (s *script) vote(w *words) string {
	id := w.id()
	voters := w.ids()
	for _, voter := range voters {
		for range 10 {
			s.cluster.Tick(voter, 1)
		}
	}
	s.cluster.Step(id, &node.Campaign{})
	for range 4 { // requests and replies, twice
		if s.cluster.Member(id).Node().Role() == node.Leader {
			break
		}
		s.cluster.CompleteAll(id)
		for _, voter := range voters {
			s.ballots(id, voter, "Vote")
			s.cluster.CompleteAll(voter)
		}
		for _, voter := range voters {
			s.ballots(voter, id, "VoteReply")
		}
	}
	return s.won(id)
}

// ballots delivers what elections consist of: kinds of messages that end so.
func (s *script) ballots(from, to node.ID, ending string) {
	for i := 0; i < len(s.cluster.Network()); i++ {
		f := s.cluster.Network()[i]
		if f.From == from && f.To == to && strings.HasSuffix(kindOf(f.Message), ending) {
			s.cluster.Deliver(i)
			i = -1
		}
	}
}

// sync completes syncs, and shows what has waited for them, then what they cause.
func (s *script) sync(w *words) string {
	id := w.id()
	m := s.cluster.Member(id)
	waited := m.Held()
	if len(*w) > 0 {
		s.cluster.CompleteSync(id, uint64(w.count(0)))
	} else if !s.cluster.CompleteAll(id) {
		return "there is no sync under way\n"
	}
	var b strings.Builder
	for _, message := range waited {
		if slices.Contains(m.Held(), message) {
			break
		}
		fmt.Fprintf(&b, "%d: %s leaves\n", id, shorten(nodetest.FormatMessage(message)))
	}
	return b.String() + s.traced(false)
}

// each does something with every flight that the arguments select, of those that are there now.
func (s *script) each(w *words, do func(i int)) string {
	newest, oldest := w.flag("newest"), w.flag("oldest")
	var chosen []uint64
	for _, f := range s.cluster.Network() {
		link := fmt.Sprintf("%d->%d", f.From, f.To)
		match := true
		for _, word := range *w {
			switch {
			case word == "state":
				match = match && f.Payload != nil
			case strings.Contains(word, "->"):
				match = match && link == word
			default:
				match = match && kindOf(f.Message) == word && f.Payload == nil
			}
		}
		if match {
			chosen = append(chosen, f.Number)
		}
	}
	switch {
	case len(chosen) == 0:
		return "nothing of the kind is in flight\n"
	case newest:
		chosen = chosen[len(chosen)-1:]
	case oldest:
		chosen = chosen[:1]
	}
	for _, number := range chosen {
		for i, f := range s.cluster.Network() {
			if f.Number == number {
				do(i)
				break
			}
		}
	}
	return ""
}

func kindOf(m node.Message) string { return strings.TrimPrefix(fmt.Sprintf("%T", m), "*node.") }

var (
	traceLine = regexp.MustCompile(`^(\d+) >   (.*)$`)
	header    = regexp.MustCompile(`(Send to=\d+ |SendSnapshot to=\d+ )?(\w+) (\d+)@[0-9a-f]+>(\d+)@[0-9a-f]+ t`)
	random    = regexp.MustCompile(`(round|batch)=[0-9a-f]{9,}`)
	lives     = regexp.MustCompile(`(\d)@[0-9a-f]{3}\b`)
	handle    = regexp.MustCompile(` handle=\S+`)
	notTold   = []string{"Send", "Sync", "Apply", "ReadEntries", "AcceptSnapshot"}
)

// traced renders what has been traced since the command began.
func (s *script) traced(quiet bool) string {
	var b strings.Builder
	for line := range strings.Lines(s.trace.String()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "  failed: ") {
			fmt.Fprintf(&b, "%s\n", strings.TrimSpace(line))
		}
		parts := traceLine.FindStringSubmatch(line)
		if parts == nil {
			continue
		}
		name, _, _ := strings.Cut(strings.ReplaceAll(parts[2], "{", " "), " ")
		if quiet && slices.Contains(notTold, name) {
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", parts[1], shorten(parts[2]))
	}
	return b.String()
}

// shorten leaves out what only machines want to know.
func shorten(text string) string {
	text = header.ReplaceAllStringFunc(text, func(match string) string {
		parts := header.FindStringSubmatch(match)
		return fmt.Sprintf("%s->%s %s t", parts[3], parts[4], parts[2])
	})
	text = random.ReplaceAllString(text, "$1=*")
	text = handle.ReplaceAllString(text, "")
	return lives.ReplaceAllString(text, "$1")
}

// members shows the state of all members, or of those that are named.
func (s *script) members(w *words) string {
	only := w.ids()
	var b strings.Builder
	for _, m := range s.cluster.Members() {
		if len(only) == 0 || slices.Contains(only, m.ID()) {
			fmt.Fprintf(&b, "%s\n", lives.ReplaceAllString(m.String(), "$1"))
		}
	}
	return b.String()
}

// network shows what is in flight.
func (s *script) network(*words) string {
	var b strings.Builder
	for _, f := range s.cluster.Network() {
		text := shorten(nodetest.FormatMessage(f.Message))
		if f.Payload != nil {
			text = "state of " + text
		}
		fmt.Fprintf(&b, "%s\n", text)
	}
	return b.String()
}

// log shows the entries of members.
func (s *script) log(w *words) string {
	var b strings.Builder
	for _, id := range w.ids() {
		log := s.cluster.Member(id).Log()
		fmt.Fprintf(&b, "%d:", id)
		for _, e := range log.Read(log.FirstIndex(), log.LastIndex()+1, node.Unlimited) {
			fmt.Fprintf(&b, " %d/%d", e.Index, e.Term)
			switch e.Kind {
			case node.EntryCommand:
				fmt.Fprintf(&b, ":%s", e.Data)
			case node.EntryConfiguration:
				c, err := node.DecodeConfiguration(e.Data)
				fmt.Fprintf(&b, ":%s", lives.ReplaceAllString(c.String(), "$1"))
				if err != nil {
					fmt.Fprintf(&b, "%v", err)
				}
			default:
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// applied shows the commands that machines have taken.
func (s *script) applied(w *words) string {
	var b strings.Builder
	for _, id := range w.ids() {
		fmt.Fprintf(&b, "%d: %s\n", id, bytes.Join(s.cluster.Member(id).Machine().Commands(), []byte(" ")))
	}
	return b.String()
}

// peers shows what a leader knows of the others.
func (s *script) peers(w *words) string {
	var b strings.Builder
	for _, p := range s.cluster.Member(w.id()).Node().Status().Peers {
		fmt.Fprintf(&b, "%d: %s match=%d next=%d in flight %d", p.ID, p.State, p.Match, p.Next, p.InflightMessages)
		if p.Paused {
			b.WriteString(" paused")
		}
		if p.Leaving {
			b.WriteString(" leaving")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// held shows the messages of a member that wait for a sync.
func (s *script) held(w *words) string {
	var b strings.Builder
	for _, m := range s.cluster.Member(w.id()).Held() {
		fmt.Fprintf(&b, "%s\n", shorten(nodetest.FormatMessage(m)))
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

// stale shows how many messages a member has found to have no effect.
func (s *script) stale(w *words) string {
	c := s.cluster.Member(w.id()).Node().Status().Counters
	return fmt.Sprintf("stale %d strangers %d another life %d\n", c.Stale, c.Strangers, c.Faults[node.FaultIncarnation])
}
