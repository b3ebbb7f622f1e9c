package nodetest

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"example.com/raftactor/node"
)

// Options say how the members of a [Cluster] are made.
type Options struct {
	// Node is the configuration of every member, but for ID, Seed and Bootstrap.
	Node node.Config
	// Seed is that of the seeds of the nodes.
	Seed uint64
	// NameLives names the lives of the founding members in the first configuration.
	NameLives bool
	// Withhold is passed to [Log.Withhold].
	Withhold int
	// Trace, if not nil, is told every event and action, one a line.
	Trace io.Writer
	// Observe, if not nil, is shown every step whose actions have been carried out.
	Observe func(id node.ID, event node.Event, actions []node.Action)
	// Unchecked switches the checker off, for groups in which a member lies.
	Unchecked bool
}

// A Cluster is a group under the control of a test. It is not safe for concurrent use. Calls that
// make no sense, such as a step of a member that is down, panic.
type Cluster struct {
	options Options
	seeds   uint64
	lives   uint64
	// founders is the first configuration.
	founders node.Configuration
	// members are in ascending order of ID.
	members []*Member
	network []*Flight
	sent    uint64
	cuts    map[link]bool
	// states are the snapshots ever taken; a handle is a position here, plus one.
	states  []*State
	checker *checker
	steps   int
	err     error
}

// New makes a cluster without members.
func New(options Options) *Cluster {
	return &Cluster{
		options: options, seeds: options.Seed, cuts: map[link]bool{}, checker: newChecker(),
	}
}

// Bootstrap starts the founding members of the group, all of them voters.
func (c *Cluster) Bootstrap(ids ...node.ID) {
	founding := make([]node.Member, 0, len(ids))
	for _, id := range ids {
		m := c.add(id)
		f := node.Member{ID: id, Suffrage: node.Voter}
		if c.options.NameLives {
			f.Incarnation = m.log.Incarnation()
		}
		founding = append(founding, f)
	}
	c.founders = node.NewConfiguration(founding...)
	c.checker.founded(c.founders)
	for _, id := range ids {
		m := c.Member(id)
		m.founder = true
		c.start(m)
	}
}

// Join starts a member that knows nobody, for the group to add.
func (c *Cluster) Join(id node.ID) { c.start(c.add(id)) }

func (c *Cluster) add(id node.ID) *Member {
	m := &Member{id: id, config: c.options.Node, log: c.newLog(id)}
	at := 0
	for at < len(c.members) && c.members[at].id < id {
		at++
	}
	if at < len(c.members) && c.members[at].id == id {
		panic(fmt.Sprintf("nodetest: there is a member %d already", id))
	}
	c.members = append(c.members, nil)
	copy(c.members[at+1:], c.members[at:])
	c.members[at] = m
	return m
}

// newLog makes storage for a new life: the lives of member 3 are 0x301, 0x302 and so on.
func (c *Cluster) newLog(id node.ID) *Log {
	c.lives++
	l := NewLog(node.Incarnation(uint64(id)<<8 + c.lives))
	l.Withhold(c.options.Withhold)
	return l
}

// start makes a node on the member's log.
func (c *Cluster) start(m *Member) {
	config := m.config
	config.ID, config.Seed = m.id, c.nextSeed()
	if m.founder {
		config.Bootstrap = c.founders
	}
	n, err := node.New(config, m.log)
	if err != nil {
		c.fail(fmt.Errorf("member %d cannot start: %w", m.id, err))
		return
	}
	m.up(n)
	c.tracef("start %d life %x seed %x", m.id, uint64(m.log.Incarnation()), config.Seed)
	c.check(c.checker.started(m))
}

// nextSeed draws by other means than nodes do, lest two of them draw the same numbers.
func (c *Cluster) nextSeed() uint64 {
	c.seeds = c.seeds*6364136223846793005 + 1442695040888963407
	return c.seeds ^ c.seeds>>33
}

// Crash stops a member at once. What its log had not made durable is lost, as are its messages that
// waited for a sync, and its tasks.
func (c *Cluster) Crash(id node.ID) {
	m := c.running(id)
	c.tracef("crash %d", id)
	m.log.Crash()
	c.checker.crashed(m)
	m.down()
}

// Restart starts a member that is down, on what its log has kept.
func (c *Cluster) Restart(id node.ID) {
	m := c.Member(id)
	if m.node != nil {
		panic(fmt.Sprintf("nodetest: restarting member %d, which is up", id))
	}
	if c.err == nil {
		c.start(m)
	}
}

// Wipe gives a member that is down an empty storage, which is a new life. Its next start is that of
// a joiner, or with asFounder, if it was one, that of a founding member which believes that the group
// is new.
func (c *Cluster) Wipe(id node.ID, asFounder bool) {
	m := c.Member(id)
	if m.node != nil {
		panic(fmt.Sprintf("nodetest: wiping member %d, which is up", id))
	}
	c.tracef("wipe %d", id)
	_, founded := c.founders.Member(id)
	m.log, m.founder = c.newLog(id), asFounder && founded
}

// Pause stops a member's process for a while: until [Cluster.Resume] nothing reaches it and no sync
// completes, and its ticks add up.
func (c *Cluster) Pause(id node.ID) { c.running(id).paused = true }

// Resume lets a paused member go on. Its next tick counts those that it missed.
func (c *Cluster) Resume(id node.ID) { c.running(id).paused = false }

// Member returns the member with the id.
func (c *Cluster) Member(id node.ID) *Member {
	for _, m := range c.members {
		if m.id == id {
			return m
		}
	}
	panic(fmt.Sprintf("nodetest: there is no member %d", id))
}

// Members returns all members in ascending order of ID. It must not be changed.
func (c *Cluster) Members() []*Member { return c.members }

// Err is the first thing found to be wrong, or nil.
func (c *Cluster) Err() error { return c.err }

// Report stops the cluster with a finding of the caller's own.
func (c *Cluster) Report(finding error) { c.fail(finding) }

// Steps is how many events all nodes have taken.
func (c *Cluster) Steps() int { return c.steps }

// running returns a member that is up.
func (c *Cluster) running(id node.ID) *Member {
	m := c.Member(id)
	if m.node == nil {
		panic(fmt.Sprintf("nodetest: member %d is down", id))
	}
	return m
}

func (c *Cluster) fail(err error) {
	if c.err == nil && err != nil {
		c.err = fmt.Errorf("step %d: %w", c.steps, err)
		c.tracef("FAILED: %v", c.err)
	}
}

func (c *Cluster) check(finding error) {
	if !c.options.Unchecked {
		c.fail(finding)
	}
}

// Step gives a member an event and carries out what it asks for. The actions are the node's own:
// they are valid until its next step. If the node fails, the member stops for good, which
// [Member.Failed] tells and [Cluster.Crash] with [Cluster.Restart] undo.
func (c *Cluster) Step(id node.ID, event node.Event) []node.Action {
	m := c.running(id)
	if c.err != nil || m.failed != nil || m.paused {
		return nil
	}
	c.steps++
	c.traceEvent(id, event)
	c.checker.before(m, event)
	actions, err := c.stepSafely(m, event)
	if err != nil {
		c.tracef("  failed: %v", err)
		c.stop(m, err)
		return nil
	}
	if c.err != nil {
		return nil
	}
	c.check(c.checker.staged(m))
	c.carryOut(m, actions)
	c.check(c.checker.after(m, event, actions))
	if c.options.Observe != nil {
		c.options.Observe(id, event, actions)
	}
	return actions
}

// stop ends a member whose node has failed, which only a failing disk excuses.
func (c *Cluster) stop(m *Member, err error) {
	m.failed = err
	m.forget()
	c.checker.crashed(m)
	if m.log.failWith == nil || !errors.Is(err, m.log.failWith) {
		c.fail(fmt.Errorf("member %d stops: %w", m.id, err))
	}
}

// stepSafely makes a panic of the node a finding.
func (c *Cluster) stepSafely(m *Member, event node.Event) (actions []node.Action, err error) {
	defer func() {
		if r := recover(); r != nil {
			c.fail(fmt.Errorf("member %d panicked: %v\n%s", m.id, r, debug.Stack()))
		}
	}()
	return m.node.Step(event)
}
