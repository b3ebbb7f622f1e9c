package node_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/raftactor/node"
	"example.com/raftactor/node/nodetest"
)

var errBrokenDisk = errors.New("the disk is broken")

// stir lets one thing happen.
func (s *simulation) stir() {
	w, c := &s.weather, s.cluster
	syncs, tasks, behind := 0, 0, 0
	for _, m := range c.Members() {
		if m.Up() {
			syncs += len(m.Syncs())
			tasks += len(m.Tasks())
			if m.Behind() {
				behind++
			}
		}
	}
	for len(c.Network()) > 400 {
		c.Drop(s.random.below(len(c.Network())))
	}
	choices := [...]struct {
		weight int
		do     func()
	}{
		{min(len(c.Network())*w.Network, 6000), s.deliver},
		{min(syncs*w.Disk, 3000), s.completeSync},
		{min(tasks*w.Task, 1000), s.doTask},
		{behind * w.Machine, s.work},
		{60 * len(c.Members()), s.tick},
		{w.Propose, s.propose},
		{w.Read, s.read},
		{w.Cut, s.cut},
		{w.Isolate, s.isolate},
		{w.Heal, c.Heal},
		{w.Crash, s.crash},
		{w.Restart, s.restart},
		{w.Wipe, s.wipe},
		{w.BrokenDisk, s.breakDisk},
		{w.Pause, s.pause},
		{w.Resume, s.resume},
		{w.Membership, s.changeMembership},
		{w.Transfer, s.transfer},
		{w.Snapshot, s.snapshot},
		{w.Campaign, s.campaign},
		{w.Unreachable, s.unreachable},
		{w.Hostile, s.attack},
		{w.LateReport, s.endTransfer},
		{w.SlowMachine, s.slow},
		{w.Release, s.release},
	}
	sum := 0
	for i := range choices {
		sum += choices[i].weight
	}
	at := s.random.below(sum)
	for i := range choices {
		if at -= choices[i].weight; at < 0 {
			choices[i].do()
			return
		}
	}
}

// up returns a random member that takes events, or nil.
func (s *simulation) up() *nodetest.Member {
	members := s.cluster.Members()
	start := s.random.below(len(members))
	for i := range members {
		if m := members[(start+i)%len(members)]; m.Up() {
			return m
		}
	}
	return nil
}

// some returns a random member, up or not.
func (s *simulation) some() *nodetest.Member {
	members := s.cluster.Members()
	return members[s.random.below(len(members))]
}

// leader returns a member that believes that it leads, most often the one that does, or else any.
func (s *simulation) leader() *nodetest.Member {
	if m := s.cluster.Leader(); m != nil && !s.random.chance(100) {
		return m
	}
	return s.up()
}

func (s *simulation) deliver() {
	c, r := s.cluster, &s.random
	i := 0
	if r.chance(s.weather.Reordering) {
		i = r.below(len(c.Network()))
	}
	for k := range c.Network() { // not to one that is paused
		if m := s.find(c.Network()[(i+k)%len(c.Network())].To); m == nil || !m.Paused() {
			i = (i + k) % len(c.Network())
			break
		}
	}
	if r.chance(s.weather.Duplication) {
		c.Duplicate(i)
	}
	if r.chance(s.weather.Loss) {
		c.Drop(i)
		return
	}
	c.Deliver(i)
}

func (s *simulation) find(id node.ID) *nodetest.Member {
	for _, m := range s.cluster.Members() {
		if m.ID() == id {
			return m
		}
	}
	return nil
}

func (s *simulation) completeSync() {
	m := s.up()
	if m == nil || len(m.Syncs()) == 0 {
		return
	}
	i := len(m.Syncs()) - 1
	if !s.weather.MergedSyncs {
		i = s.random.below(i + 1)
	}
	s.cluster.CompleteSync(m.ID(), m.Syncs()[i])
}

func (s *simulation) doTask() {
	m := s.up()
	if m == nil || len(m.Tasks()) == 0 {
		return
	}
	i := s.random.below(len(m.Tasks()))
	if s.random.chance(150) {
		s.cluster.Fail(m.ID(), i)
		return
	}
	s.cluster.Do(m.ID(), i)
}

// work lets a machine get on, or report again, or less than it has done.
func (s *simulation) work() {
	m := s.up()
	for _, other := range s.cluster.Members() {
		if other.Up() && other.Behind() && (!m.Behind() || s.random.chance(300)) {
			m = other
		}
	}
	if s.random.chance(100) {
		s.cluster.Step(m.ID(), &node.MachineApplied{Index: node.Index(s.random.below(int(m.Machine().Index) + 1))})
		return
	}
	s.cluster.Work(m.ID(), s.random.below(m.Jobs()+2))
}

// slow makes a machine slow, or fast again.
func (s *simulation) slow() {
	if m := s.up(); m != nil {
		s.cluster.Slow(m.ID(), s.random.chance(700))
	}
}

func (s *simulation) tick() {
	m := s.some()
	if m.Node() == nil || m.Failed() != nil {
		return
	}
	ticks := 1
	if s.random.chance(10 * s.weather.Hurry) {
		ticks = 1 + s.random.below(2*s.config.ElectionTicks)
	}
	s.cluster.Tick(m.ID(), ticks)
}

func (s *simulation) propose() {
	m := s.leader()
	if m == nil {
		return
	}
	batch := make([]string, pick(&s.random, 1, 1, 2, 5))
	for i := range batch {
		s.commands++
		batch[i] = fmt.Sprintf("%d", s.commands)
		if s.random.chance(100) {
			batch[i] += strings.Repeat("x", s.random.below(60))
		}
	}
	s.cluster.Propose(m.ID(), batch...)
}

func (s *simulation) read() {
	m := s.up()
	if m == nil {
		return
	}
	for _, other := range s.cluster.Members() { // one that believes that it leads is of more interest
		if other.Up() && other.Node().Role() == node.Leader && s.random.chance(300) {
			m = other
		}
	}
	s.readID++
	s.cluster.Step(m.ID(), &node.ReadIndex{ID: s.readID})
}

func (s *simulation) cut() {
	from, to := s.some().ID(), s.some().ID()
	s.cluster.Cut(from, to)
	if s.random.chance(500) {
		s.cluster.Cut(to, from)
	}
}

func (s *simulation) isolate() { s.cluster.Isolate(s.some().ID()) }

func (s *simulation) crash() {
	m := s.up()
	if m == nil {
		return
	}
	if n := m.Log().Pending(); n > 0 && s.random.chance(500) {
		s.cluster.CrashTorn(m.ID(), s.random.below(n+1))
		return
	}
	if n := len(m.Syncs()); n > 0 && s.random.chance(500) {
		s.cluster.CrashDurable(m.ID(), m.Syncs()[s.random.below(n)])
		return
	}
	s.cluster.Crash(m.ID())
}

func (s *simulation) restart() {
	m := s.some()
	if m.Failed() != nil {
		s.cluster.Crash(m.ID())
	}
	if m.Node() == nil {
		s.cluster.Restart(m.ID())
	}
}

func (s *simulation) pause() {
	if m := s.up(); m != nil {
		s.cluster.Pause(m.ID())
	}
}

func (s *simulation) resume() {
	if m := s.some(); m.Paused() {
		s.cluster.Resume(m.ID())
		if s.random.chance(500) {
			s.cluster.Tick(m.ID(), s.random.below(5*s.config.ElectionTicks))
		}
	}
}

func (s *simulation) breakDisk() {
	if m := s.up(); m != nil {
		m.Log().FailAfter(s.random.below(4), errBrokenDisk)
	}
}

func (s *simulation) transfer() {
	if m := s.leader(); m != nil {
		s.cluster.Step(m.ID(), &node.TransferLeadership{Target: s.some().ID()})
	}
}

func (s *simulation) snapshot() {
	if m := s.up(); m != nil {
		s.cluster.Step(m.ID(), &node.RequestSnapshot{})
	}
}

// release has a storage want entries released: most often some that it has, else any.
func (s *simulation) release() {
	if m := s.up(); m != nil {
		through := node.Index(s.random.below(int(m.Node().Commit())*5/4 + 5))
		s.cluster.Step(m.ID(), &node.ReleaseEntries{Through: through})
	}
}

func (s *simulation) campaign() {
	if m := s.up(); m != nil {
		s.cluster.Step(m.ID(), &node.Campaign{})
	}
}

func (s *simulation) unreachable() {
	if m := s.leader(); m != nil {
		s.cluster.Step(m.ID(), &node.Unreachable{Peer: s.some().ID()})
	}
}

func (s *simulation) endTransfer() {
	m := s.up()
	if m == nil {
		return
	}
	if n := s.cluster.Transfers(m.ID()); n > 0 {
		s.cluster.EndTransfer(m.ID(), s.random.below(n), s.random.chance(300))
	}
}

// changeMembership asks for some change, most often of the leader.
func (s *simulation) changeMembership() {
	m := s.leader()
	if m == nil {
		return
	}
	if s.replaceWiped(m) {
		return
	}
	members := m.Node().Configuration().Members
	target := s.some().ID()
	switch s.random.below(5) {
	case 0, 1:
		if target = s.outsider(m.Node().Configuration()); target == node.None {
			return
		}
		s.add(m, target)
	case 2:
		for _, member := range members {
			if member.Suffrage == node.Learner {
				target = member.ID
			}
		}
		s.cluster.Step(m.ID(), &node.Promote{ID: target})
	case 3:
		s.cluster.Step(m.ID(), &node.Demote{ID: target})
	case 4:
		s.cluster.Step(m.ID(), &node.RemoveMember{ID: target})
	}
}

// add asks m to add a member, most often by its present life.
func (s *simulation) add(m *nodetest.Member, id node.ID) {
	add := node.AddMember{ID: id}
	if !s.random.chance(300) {
		add.Incarnation = s.find(id).Log().Incarnation()
	}
	s.cluster.Step(m.ID(), &add)
}

// outsider finds a running member that the configuration lacks, or makes one.
func (s *simulation) outsider(c node.Configuration) node.ID {
	for _, m := range s.cluster.Members() {
		if _, ok := c.Member(m.ID()); !ok && s.random.chance(700) {
			return m.ID()
		}
	}
	if len(s.cluster.Members()) >= s.weather.Members+3 {
		return node.None
	}
	s.cluster.Join(s.nextID)
	s.nextID++
	return s.nextID - 1
}

// wipe takes the storage of a member away. What it promised is gone with it, so this is done to a
// minority only, and to those whose life everybody knows, so that the next is not taken for it.
func (s *simulation) wipe() {
	m := s.some()
	leader := s.cluster.Leader()
	if m.Node() == nil || leader == nil || leader == m || s.wiped[m.ID()] {
		return
	}
	if !s.leavesMajority(m.ID()) || !s.isKnownToAll(m) {
		return
	}
	s.cluster.Crash(m.ID())
	s.cluster.Wipe(m.ID(), s.random.chance(500))
	s.wiped[m.ID()] = true
	s.tally.wipes++
}

// leavesMajority tells whether enough voters keep their storage when that of id is lost, whichever of
// the configurations that are about comes to be in force.
func (s *simulation) leavesMajority(id node.ID) bool {
	for _, m := range s.cluster.Members() {
		if m.Node() == nil {
			return false
		}
		configuration, gone := m.Node().Configuration(), 0
		for _, member := range configuration.Members {
			if s.wiped[member.ID] || member.ID == id {
				gone++
			}
		}
		if gone > 0 && 2*gone >= configuration.VoterCount() {
			return false
		}
	}
	return true
}

// isKnownToAll tells whether every other member would tell the present life of m from another one,
// whatever else is forgotten.
func (s *simulation) isKnownToAll(m *nodetest.Member) bool {
	life := m.Log().Incarnation()
	for _, other := range s.cluster.Members() {
		durable := other.Log().Durable()
		known := slices.Contains(durable.Met(), node.Acquaintance{ID: m.ID(), Incarnation: life})
		if in, ok := durable.Snapshot().Configuration.Member(m.ID()); ok {
			known = known || in.Incarnation == life
		}
		entries, _ := durable.Configurations()
		for _, e := range entries {
			if c, err := node.DecodeConfiguration(e.Data); err == nil && e.Index <= s.cluster.Committed() {
				in, ok := c.Member(m.ID())
				known = known && ok || ok && in.Incarnation == life
			}
		}
		if !known && other != m {
			return false
		}
	}
	return true
}

// replaceWiped has the leader m remove and add again what was wiped, and tells whether there was
// something to do.
func (s *simulation) replaceWiped(m *nodetest.Member) bool {
	for _, other := range s.cluster.Members() {
		id := other.ID()
		if !s.wiped[id] || m.ID() == id {
			continue
		}
		status := m.Node().Status()
		if _, ok := status.Configuration.Member(id); ok {
			s.cluster.Step(m.ID(), &node.RemoveMember{ID: id})
			return true
		}
		if status.Role == node.Leader && status.ConfigurationIndex <= status.Commit {
			delete(s.wiped, id)
			s.add(m, id)
		}
		return true
	}
	return false
}
