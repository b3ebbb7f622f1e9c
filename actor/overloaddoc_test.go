package raft

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// The table of queues in ARCHITECTURE.md names limits that there are, and all that there are.
func TestTheTableOfQueuesNamesTheLimits(t *testing.T) {
	text, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Queues\n")
	section, _, _ = strings.Cut(section, "\n## ")
	named := map[string]bool{}
	for _, name := range regexp.MustCompile("`(\\w+Max)`").FindAllStringSubmatch(section, -1) {
		named[name[1]] = true
	}
	limits := map[string]bool{}
	for _, config := range []any{Config{}, ClientConfig{}} {
		for field := range reflect.TypeOf(config).Fields() {
			if strings.HasSuffix(field.Name, "Max") {
				limits[field.Name] = true
			}
		}
	}
	for name := range named {
		if !limits[name] {
			t.Errorf("%s is named, and there is no such limit", name)
		}
	}
	for name := range limits {
		if !named[name] {
			t.Errorf("%s is not named", name)
		}
	}
	for what, n := range map[string]int{
		"| changes of members, transfers and snapshots that were asked for | 1,024 |": adminMax - 1024,
		"| 256 syncs, and for each a message of a kind to a peer |":                   syncsMax - 256,
		"| events, and log records | 4,096 of each |":                                 outletMax - 4096,
		"| what `Client.Applied` holds for its loop | 1,024 commands, or 4 MiB and one more |": appliedWindow - 1024 +
			appliedWindowBytes - 4<<20,
		"in bytes, too: 4 MiB, or what it grants, up to 16 MiB;":                    creditBytesDefault - 4<<20 + creditBytesMax - 16<<20,
		"| members that a client has learned of; addresses that are silent | 1,024": learnedMax - 1024 + silentMax - 1024,
		"| 8 chunks of 256 KiB unanswered; 16 for a receiver that is slow, 2 receivers |": windowChunks - 8 + chunkBytes - 256<<10 +
			waitingMax - 16 + receiversMax - 2,
		"is between 10 ms and 1 s,": hintMin - 10 + hintMax - 1000,
	} {
		if !strings.Contains(section, what) || n != 0 {
			t.Errorf("%q is not what the table says, or not what is", what)
		}
	}
}
