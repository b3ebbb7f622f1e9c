package raft

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// At Debug a member tells of its elections, and at Info of leaders and members.
func TestElectionsAreLogged(t *testing.T) {
	for level, want := range map[hclog.Level][]string{
		hclog.Debug: {"role changed", "role=leader", "leader changed", "membership changed"},
		hclog.Info:  {"leader changed", "membership changed"},
	} {
		t.Run(level.String(), func(t *testing.T) {
			var out bytes.Buffer
			f := newFixture(t, 1)
			f.configure = func(c *Config) {
				c.Logger = hclog.New(&hclog.LoggerOptions{Output: &out, Level: level})
			}
			f.spawnFounders()
			f.elect()
			for _, text := range want {
				if !strings.Contains(out.String(), text) {
					t.Errorf("%q is missing in:\n%s", text, out.String())
				}
			}
			if level == hclog.Info && strings.Contains(out.String(), "role") {
				t.Errorf("more than asked for:\n%s", out.String())
			}
		})
	}
}
