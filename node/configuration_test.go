package node

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// configurations draws valid ones.
func configurations() *rapid.Generator[Configuration] {
	return rapid.Custom(func(t *rapid.T) Configuration {
		ids := rapid.SliceOfNDistinct(rapid.Uint64Min(1), 1, 12, rapid.ID[uint64]).Draw(t, "ids")
		members := make([]Member, len(ids))
		for i, id := range ids {
			members[i] = Member{
				ID: ID(id), Suffrage: Learner,
				Incarnation: Incarnation(rapid.Uint64().Draw(t, "life")),
				Address:     rapid.StringN(0, 20, 60).Draw(t, "address"),
			}
			if i == 0 || rapid.Bool().Draw(t, "voter") {
				members[i].Suffrage = Voter
			}
		}
		return NewConfiguration(members...)
	})
}

func TestConfigurationSurvivesItsEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := configurations().Draw(t, "configuration")
		data := c.Encode()
		got, err := DecodeConfiguration(data)
		if err != nil || !got.Equal(c) {
			t.Fatalf("%v decodes as %v, %v", c, got, err)
		}
		for cut := range data {
			if got, err := DecodeConfiguration(data[:cut]); err == nil {
				t.Fatalf("its first %d bytes decode as %v", cut, got)
			}
		}
		if got, err := DecodeConfiguration(append(data, 0)); err == nil {
			t.Fatalf("with a byte behind it decodes as %v", got)
		}
	})
}

// FuzzDecodeConfiguration: no panic, no allocation that the length does not justify, and only what
// Encode writes is taken.
func FuzzDecodeConfiguration(f *testing.F) {
	f.Add([]byte{})
	f.Add(founders(1, 2, 3).with(learner(4)).Encode())
	f.Add(NewConfiguration(Member{ID: 1 << 63, Suffrage: Voter, Incarnation: 1 << 63, Address: "a:1"}).Encode())
	f.Add([]byte{1, 0x80, 0x08})
	f.Add([]byte{1, 1, 0x81, 0, 1, 0, 0}) // an id in more bytes than it needs
	f.Add(append([]byte{1, 1, 1, 1, 1}, binary.AppendUvarint(nil, 1<<63)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := DecodeConfiguration(data)
		if err != nil {
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("decodes as %v: %v", c, err)
		}
		if again := c.Encode(); !bytes.Equal(again, data) {
			t.Fatalf("%x decodes as %v, which encodes as %x", data, c, again)
		}
		if len(c.Members) > len(data) {
			t.Fatalf("%d members from %d bytes", len(c.Members), len(data))
		}
	})
}

func TestDecodingAllocatesWithinTheLength(t *testing.T) {
	for name, data := range map[string][]byte{
		"count":   append([]byte{1}, binary.AppendUvarint(nil, 1<<60)...),
		"members": append([]byte{1}, binary.AppendUvarint(nil, membersMax)...),
		"address": append([]byte{1, 1, 1, 1, 0}, binary.AppendUvarint(nil, 1<<62)...),
	} {
		t.Run(name, func(t *testing.T) {
			const rounds = 1000
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range rounds {
				if _, err := DecodeConfiguration(data); err == nil {
					t.Fatal("it decodes")
				}
			}
			runtime.ReadMemStats(&after)
			if bytes := (after.TotalAlloc - before.TotalAlloc) / rounds; bytes > 1024 {
				t.Errorf("%d bytes allocated for %d", bytes, len(data))
			}
		})
	}
}

func TestConfigurationOfAnotherVersionIsRefused(t *testing.T) {
	data := founders(1).Encode()
	data[0] = 2
	_, err := DecodeConfiguration(data)
	if err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("got %v", err)
	}
}

func TestConfigurationFaults(t *testing.T) {
	voter := func(id ID) Member { return Member{ID: id, Suffrage: Voter} }
	for name, c := range map[string]struct {
		members []Member
		want    []string
	}{
		"good":            {[]Member{voter(1), learner(2)}, nil},
		"nobody":          {nil, []string{"without a voter"}},
		"learners only":   {[]Member{learner(1)}, []string{"without a voter"}},
		"member 0":        {[]Member{voter(0), voter(1)}, []string{"member 0"}},
		"twice":           {[]Member{voter(1), voter(1)}, []string{"names member 1 twice"}},
		"out of order":    {[]Member{voter(2), voter(1)}, []string{"names member 1 twice or out of order"}},
		"suffrage":        {[]Member{voter(1), {ID: 2, Suffrage: 7}, {ID: 3}}, []string{"suffrage(7)", "suffrage(0)"}},
		"address":         {[]Member{{ID: 1, Suffrage: Voter, Address: strings.Repeat("x", 1025)}}, []string{"1025 bytes"}},
		"longest address": {[]Member{{ID: 1, Suffrage: Voter, Address: strings.Repeat("x", 1024)}}, nil},
		"all at once": {
			[]Member{{ID: 5, Suffrage: 9}, {ID: 0, Suffrage: Learner, Address: strings.Repeat("x", 2000)}},
			[]string{"without a voter", "suffrage(9)", "member 0", "out of order", "2000 bytes"},
		},
		"too many": {make([]Member, membersMax+1), []string{"1025 members"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := Configuration{Members: c.members}.Validate()
			if len(c.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no fault is found")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not mention %q", err, want)
				}
			}
			if _, err := DecodeConfiguration(Configuration{Members: c.members}.Encode()); err == nil {
				t.Error("it is decoded all the same")
			}
		})
	}
}

func TestConfigurationsAreChangedByMakingNewOnes(t *testing.T) {
	c := founders(1, 3)
	before := slices.Clone(c.Members)
	equal(t, "with", renderConfiguration(c.with(learner(2))), "{1 2l 3}")
	equal(t, "with another", renderConfiguration(c.with(learner(3))), "{1 3l}")
	equal(t, "without", renderConfiguration(c.without(1)), "{3}")
	equal(t, "without a stranger", renderConfiguration(c.without(9)), "{1 3}")
	if !slices.Equal(c.Members, before) {
		t.Errorf("the original is now %v", c)
	}
	input := []Member{learner(9), learner(2)}
	NewConfiguration(input...)
	equal(t, "input", input[0].ID, 9)
}

func TestConfigurationIsReadable(t *testing.T) {
	c := Voters(1, 2).with(Member{ID: 3, Suffrage: Learner, Incarnation: 0xab})
	equal(t, "text", c.String(), "{1 2 3l@ab}")
	equal(t, "voters", c.VoterCount(), 2)
	equal(t, "voter", c.IsVoter(2), true)
	equal(t, "learner", c.IsVoter(3), false)
	equal(t, "stranger", c.IsVoter(4), false)
	equal(t, "suffrages", Voter.String()+Learner.String()+Suffrage(9).String(), "voterlearnersuffrage(9)")
}
