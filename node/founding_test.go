package node

import (
	"errors"
	"strings"
	"testing"
)

// foundedLog is that of member 1, which founded a group with 2 and 3 and has seen the membership change.
func foundedLog(t *testing.T) *MemoryLog {
	log := NewMemoryLog(life(1))
	startOn(t, Config{ID: 1, Bootstrap: Voters(1, 2, 3)}, log)
	must(t, log.Append([]Entry{configurationAt(2, 1, Voters(1, 3, 4))}))
	return log
}

// tornLog is that of member 1, which has stored what it founds a group with, and nothing more.
func tornLog(t *testing.T) *MemoryLog {
	log := NewMemoryLog(life(1))
	must(t, log.SetFounding(Voters(1, 2, 3)))
	return log
}

// joinedLog is that of member 1, which joined a group that others have founded.
func joinedLog(t *testing.T) *MemoryLog { return given{}.log(t) }

func TestFoundingMembersThatContradictTheStoredOnesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		log    *MemoryLog
		given  Configuration
		stored int
		says   []string
	}{
		"another member":   {foundedLog(t), Voters(1, 2, 4), 3, []string{"{1 2 4}", "{1 2 3}", "none at all"}},
		"one more":         {foundedLog(t), Voters(1, 2, 3, 4), 3, []string{"{1 2 3 4}", "{1 2 3}"}},
		"itself only":      {foundedLog(t), Voters(1), 3, []string{"{1}", "{1 2 3}"}},
		"the present ones": {foundedLog(t), Voters(1, 3, 4), 3, []string{"whatever the membership is now"}},
		"another suffrage": {
			foundedLog(t), Voters(1, 2).with(Member{ID: 3, Suffrage: Learner}), 3, []string{"{1 2 3l}", "{1 2 3}"},
		},
		"of a log that was torn": {tornLog(t), Voters(1, 2), 3, []string{"{1 2}", "{1 2 3}"}},
		"a joiner":               {joinedLog(t), Voters(1, 2, 3), 0, []string{"joined", "without founding members"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := c.log.Clone()
			_, err := New(Config{ID: 1, Bootstrap: c.given}, c.log)
			var refused *FoundingError
			if !errors.Is(err, ErrFounding) || !errors.As(err, &refused) {
				t.Fatalf("got %v, want a FoundingError", err)
			}
			equal(t, "given", refused.Given.Equal(c.given), true)
			equal(t, "stored members", len(refused.Stored.Members), c.stored)
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			equal(t, "last index", c.log.LastIndex(), before.LastIndex())
			equal(t, "founding", c.log.Founding().Equal(before.Founding()), true)
		})
	}
}

func TestFoundingMembersThatAgreeWithTheStoredOnesAreTaken(t *testing.T) {
	moved := NewConfiguration(
		Member{ID: 3, Suffrage: Voter, Address: "elsewhere"}, Member{ID: 1, Suffrage: Voter}, Member{ID: 2, Suffrage: Voter})
	for name, c := range map[string]struct {
		log   *MemoryLog
		given Configuration
		now   Configuration
	}{
		"the same":                 {foundedLog(t), Voters(1, 2, 3), Voters(1, 3, 4)},
		"at other addresses":       {foundedLog(t), moved, Voters(1, 3, 4)},
		"none":                     {foundedLog(t), Configuration{}, Voters(1, 3, 4)},
		"none for one that joined": {joinedLog(t), Configuration{}, founders(1, 2, 3)},
	} {
		t.Run(name, func(t *testing.T) {
			s := startOn(t, Config{ID: 1, Bootstrap: c.given}, c.log)
			if got := s.Configuration(); !got.Equal(c.now) {
				t.Errorf("configuration %v, want %v", got, c.now)
			}
		})
	}
}

// TestFoundingIsKeptBehindASnapshot: what is stored outlives the entry that it was written with.
func TestFoundingIsKeptBehindASnapshot(t *testing.T) {
	log := foundedLog(t)
	must(t, log.Install(SnapshotMeta{Index: 9, Term: 1, Configuration: Voters(1, 3, 4), ConfigurationIndex: 2}))
	if _, err := New(Config{ID: 1, Bootstrap: Voters(1, 3, 4)}, log); !errors.Is(err, ErrFounding) {
		t.Errorf("got %v, want ErrFounding", err)
	}
	startOn(t, Config{ID: 1, Bootstrap: Voters(1, 2, 3)}, log)
}

// TestAJoinerThatHasOnlyVotedMayFound: its log is empty, so it has joined nothing.
func TestAJoinerThatHasOnlyVotedMayFound(t *testing.T) {
	log := NewMemoryLog(life(1))
	must(t, log.SetHardState(HardState{Term: 5}))
	startOn(t, Config{ID: 1, Bootstrap: founders(1, 2, 3)}, log)
	equal(t, "founding", log.Founding().Equal(founders(1, 2, 3)), true)
}
