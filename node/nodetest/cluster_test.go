package nodetest_test

import (
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/node/nodetest"
)

func TestClusterElectsReplicatesAndCompacts(t *testing.T) {
	c := nodetest.New(nodetest.Options{Node: node.Config{SnapshotEntries: 10, RetainEntries: 2}, Withhold: 3, NameLives: true})
	c.Bootstrap(1, 2, 3)
	c.Elect(1)
	c.Isolate(3)
	for range 40 {
		c.Propose(1, "x", "y")
		c.Settle()
	}
	c.Heal()
	c.Run(10)
	for _, m := range c.Members() {
		if got, want := m.Node().Applied(), node.Index(82); got < want {
			t.Errorf("member %d has applied %d, want at least %d", m.ID(), got, want)
		}
	}
	if err := c.Err(); err != nil {
		t.Errorf("the checker found: %v", err)
	}
	t.Logf("\n%s", c)
}
