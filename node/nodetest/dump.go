package nodetest

import (
	"fmt"
	"strings"
)

// String shows the state: a line for each member, with what waits there, then the network.
func (c *Cluster) String() string {
	var b strings.Builder
	for _, m := range c.members {
		b.WriteString(m.String())
		b.WriteByte('\n')
	}
	for i, f := range c.network {
		what := FormatMessage(f.Message)
		if f.Payload != nil {
			what = "state of " + what
		}
		fmt.Fprintf(&b, "  [%d] %s\n", i, what)
	}
	return b.String()
}

// String shows the member on one line.
func (m *Member) String() string {
	if m.node == nil {
		return fmt.Sprintf("%d down", m.id)
	}
	s := m.node.Status()
	var b strings.Builder
	fmt.Fprintf(&b, "%d %v t%d vote=%d leader=%d log=%d..%d", s.ID, s.Role, s.Term, s.Vote, s.Leader,
		s.FirstIndex, s.LastIndex)
	if s.Snapshot > 0 {
		fmt.Fprintf(&b, " snapshot=%d", s.Snapshot)
	}
	fmt.Fprintf(&b, " durable=%d commit=%d applied=%d", s.Durable, s.Commit, s.Applied)
	if m.machine.Index != s.Applied {
		fmt.Fprintf(&b, " machine=%d", m.machine.Index)
	}
	fmt.Fprintf(&b, " %v", s.Configuration)
	if s.TransferTarget != 0 {
		fmt.Fprintf(&b, " transfer=%d", s.TransferTarget)
	}
	if len(m.syncs) > 0 {
		fmt.Fprintf(&b, " syncs=%v", m.syncs)
	}
	if len(m.held) > 0 {
		fmt.Fprintf(&b, " held=%d", len(m.held))
	}
	for _, t := range m.tasks {
		fmt.Fprintf(&b, " task=%v", t.Kind)
	}
	if m.paused {
		b.WriteString(" paused")
	}
	if m.failed != nil {
		fmt.Fprintf(&b, " failed: %v", m.failed)
	}
	return b.String()
}
