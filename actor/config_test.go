package raft

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/raftactor/node"
)

func TestValidateNamesEveryFault(t *testing.T) {
	valid := Config{
		Group: "g", ID: 1, Members: []Member{{ID: 1}, {ID: 2}}, Store: NewMemoryStore(), Transport: NewMemoryTransport(),
	}
	if err := valid.Validate(); err != nil {
		t.Fatal(err)
	}
	for text, change := range map[string]func(*Config){
		"Group":                             func(c *Config) { c.Group = "" },
		`Group is "a/b"`:                    func(c *Config) { c.Group = "a/b" },
		"ID is 0":                           func(c *Config) { c.ID = 0 },
		"Store is nil":                      func(c *Config) { c.Store = nil },
		"Transport is nil":                  func(c *Config) { c.Transport = nil },
		"does not name member 9":            func(c *Config) { c.ID = 9 },
		"twice":                             func(c *Config) { c.Members = []Member{{ID: 1}, {ID: 1}} },
		"names member 0":                    func(c *Config) { c.Members = []Member{{ID: 1}, {ID: 0}} },
		"TickInterval is -1s":               func(c *Config) { c.TickInterval = -time.Second },
		"TickInterval is 1ns":               func(c *Config) { c.TickInterval = 1 },
		"HeartbeatInterval is -1s":          func(c *Config) { c.HeartbeatInterval = -time.Second },
		"ElectionTimeout is -1s":            func(c *Config) { c.ElectionTimeout = -time.Second },
		"RequestTimeout is -1s":             func(c *Config) { c.RequestTimeout = -time.Second },
		"DiskStallTimeout is -1s":           func(c *Config) { c.DiskStallTimeout = -time.Second },
		`ClusterID is "a/b"`:                func(c *Config) { c.ClusterID = "a/b" },
		`ClusterID is ".a"`:                 func(c *Config) { c.ClusterID = ".a" },
		"must be less than ElectionTimeout": func(c *Config) { c.HeartbeatInterval = time.Second },
		"must be less than ElectionTicks":   func(c *Config) { c.TickInterval = time.Second },
		"CommandBytesMax is -1":             func(c *Config) { c.CommandBytesMax = -1 },
		"UncommittedBytesMax is -1":         func(c *Config) { c.UncommittedBytesMax = -1 },
		"RequestsMax is -1":                 func(c *Config) { c.RequestsMax = -1 },
		"RequestBytesMax is -1":             func(c *Config) { c.RequestBytesMax = -1 },
		"PendingMax is -1":                  func(c *Config) { c.PendingMax = -1 },
		"SubscribersMax is -1":              func(c *Config) { c.SubscribersMax = -1 },
		"PeerBytesMax is -1":                func(c *Config) { c.PeerBytesMax = -1 },
		"SnapshotEntries is -1":             func(c *Config) { c.SnapshotEntries = -1 },
		"address of member 2: 2000 bytes":   func(c *Config) { c.Members[1].Address = strings.Repeat("x", 2000) },
		"at most 1073741824":                func(c *Config) { c.ElectionTimeout, c.TickInterval = 1<<62, time.Millisecond },
	} {
		c := valid
		c.Members = append([]Member(nil), valid.Members...)
		change(&c)
		before := c
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q in it", err, text)
		}
		if !reflect.DeepEqual(c, before) {
			t.Errorf("%q: Validate has changed the configuration", text)
		}
		if _, err := Spawn(quietSystem(), c, &counter{}); err == nil {
			t.Errorf("%q: it was spawned all the same", text)
		}
		if _, err := Props(c, &counter{}); err == nil {
			t.Errorf("%q: there are props of it all the same", text)
		}
	}
}

func TestValidateNamesAllFaultsAtOnce(t *testing.T) {
	err := Config{HeartbeatInterval: time.Minute, PendingMax: -1, CommandBytesMax: -1, PeerBytesMax: -1}.Validate()
	for _, text := range []string{
		"Group", "ID is 0", "Store", "Transport", "HeartbeatInterval", "PendingMax", "CommandBytesMax", "PeerBytesMax",
	} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q in it", err, text)
		}
	}
}

func TestUnlimitedAndNegativeMeanWhatTheySay(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.SnapshotEntries, c.RetainEntries = 5, -1 }
	f.spawnFounders()
	f.elect()
	f.applyMany(1, 20)
	if s := f.status(1); s.SnapshotIndex == 0 || s.FirstIndex != s.SnapshotIndex+1 {
		t.Errorf("got %v, want a snapshot with no entries kept behind it", s)
	}
	f.configure = func(c *Config) { c.SnapshotEntries = node.Unlimited }
	f.stop(1)
	f.spawn(1, &journal{})
	f.elect()
	before := f.status(1).SnapshotIndex
	f.applyMany(1, 100)
	if s := f.status(1); s.SnapshotIndex != before {
		t.Errorf("a snapshot was taken at %d though nobody asked", s.SnapshotIndex)
	}
}

func TestAMachineIsNeeded(t *testing.T) {
	f := newFixture(t, 1)
	if _, err := Spawn(f.system, f.config(1), nil); err == nil || !strings.Contains(err.Error(), "machine") {
		t.Errorf("got %v", err)
	}
}

func TestAStoreThatCannotBeOpenedIsAnErrorOfSpawn(t *testing.T) {
	f := newFixture(t, 1)
	c := f.config(1)
	c.Store = brokenStore{}
	if _, err := Spawn(f.system, c, &counter{}); !errors.Is(err, errTest) {
		t.Errorf("got %v", err)
	}
	if f.isThere(1) {
		t.Error("something was started")
	}
}

func TestAMemberIsNotSpawnedOnTheStoreOfAnotherCluster(t *testing.T) {
	f := newFixture(t, 1)
	store := NewMemoryStore()
	config := func(cluster string) Config {
		c := f.config(1)
		c.Store, c.ClusterID = store, cluster
		return c
	}
	pid, err := Spawn(f.system, config("here"), &journal{})
	if err != nil {
		t.Fatal(err)
	}
	f.pids[1] = pid
	f.settle()
	f.stop(1)
	_, err = Spawn(f.system, config("elsewhere"), &journal{})
	for _, want := range []string{"Config.ClusterID", `"here"`, `"elsewhere"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s in it", err, want)
		}
	}
	f.expectGone(1)
	for _, cluster := range []string{"here", ""} { // the store is free, and nobody need say where he belongs
		if f.pids[1], err = Spawn(f.system, config(cluster), &journal{}); err != nil {
			t.Fatal(err)
		}
		f.settle()
		f.stop(1)
	}
}

func TestAStoreIsClaimedBeforeItIsOpened(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.ClusterID = "here" }
	f.store(1).claimErr = errTest
	if _, err := Spawn(f.system, f.config(1), &journal{}); !errors.Is(err, errTest) {
		t.Errorf("got %v, want it to wrap %v", err, errTest)
	}
	if f.isThere(1) || f.store(1).storage != nil {
		t.Error("something was started, or opened")
	}
	// By the actor itself, where it is spawned from its props.
	props, err := Props(f.config(1), &journal{})
	if err != nil {
		t.Fatal(err)
	}
	if f.pids[1], err = f.system.Root.SpawnNamed(props, Name("g", 1)); err != nil {
		t.Fatal(err)
	}
	f.settle()
	f.failure(1, errTest.Error())
	f.store(1).claimErr = nil
	f.spawn(1, &journal{})
	if got := f.store(1).cluster; got != "here" {
		t.Errorf("claimed for %q", got)
	}
}

func TestAStoreIsNotClaimedForNobody(t *testing.T) {
	f := newFixture(t, 1)
	f.store(1).claimErr = errTest
	f.spawn(1, &journal{})
}

type brokenStore struct{}

func (brokenStore) Open(string, ID) (Storage, error) { return nil, errTest }

func (brokenStore) Claim(string) error { return nil }

// The default of the one follows from the other, and is no fault of its own.
func TestAnElectionTimeoutThatIsTooLongIsOneFault(t *testing.T) {
	err := Config{Group: "g", ID: 1, ElectionTimeout: 1<<63 - 1}.Validate()
	if err == nil || !strings.Contains(err.Error(), "ElectionTicks") || strings.Contains(err.Error(), "DiskStallTimeout") {
		t.Errorf("got %v, want a fault of ElectionTicks, and none of DiskStallTimeout", err)
	}
}
