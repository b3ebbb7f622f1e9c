package node

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// commitCase is a leader's log, how much of it is durable where, and what must be committed.
type commitCase struct {
	terms   []Term // of entries 2 and up; entry 1 has term 1
	matches []Index
	durable Index // on the leader
	// self tells whether the leader is one of the voters.
	self bool
}

// oracleCommit goes through all indices: the highest that more than half of the voters have and that
// is of the leader's term takes all before it along.
func (c commitCase) oracle(before Index, term Term) Index {
	voters := len(c.matches)
	if c.self {
		voters++
	}
	commit := before
	for k, t := range c.terms {
		i := Index(k + 2)
		count := 0
		for _, match := range c.matches {
			if match >= i {
				count++
			}
		}
		if c.self && c.durable >= i {
			count++
		}
		if t == term && 2*count > voters {
			commit = max(commit, i)
		}
	}
	return commit
}

func (c commitCase) check(t *testing.T) {
	t.Helper()
	last := Index(len(c.terms) + 1)
	term := c.terms[len(c.terms)-1]
	members := Configuration{}
	peers := []*progress{}
	for k, match := range c.matches {
		id := ID(k + 2)
		members = members.with(Member{ID: id, Suffrage: Voter})
		peers = append(peers, &progress{id: id, match: match, next: match + 1})
	}
	if c.self {
		members = members.with(Member{ID: 1, Suffrage: Voter})
	}
	start := Index(slices.Index(c.terms, term) + 2)
	n := &Node{id: 1, role: Leader, hard: HardState{Term: term}, lead: &leadership{start: start, peers: peers}}
	n.terms.append(1, 1)
	for _, term := range c.terms {
		n.terms.append(term, 1)
	}
	n.members.history = []configured{{1, members}}
	n.members.elect()
	n.disk.durable = c.durable
	n.commit = 1
	n.advanceCommit()
	if want := c.oracle(1, term); n.commit != want {
		t.Fatalf("%+v: committed %d of %d, want %d", c, n.commit, last, want)
	}
}

// TestCommitOfAllSmallGroups tries every group of up to five voters, with the leader among them and
// without, whose logs have four entries, in every state of replication.
func TestCommitOfAllSmallGroups(t *testing.T) {
	histories := [][]Term{{2, 2, 2}, {1, 2, 2}, {1, 1, 2}, {1, 1, 1}}
	for _, terms := range histories {
		if terms[2] == 1 {
			terms = []Term{1, 1, 1, 2} // the leader's own entry is at the end
		}
		last := Index(len(terms) + 1)
		for peers := 0; peers <= 4; peers++ {
			matches := make([]Index, peers)
			for more := true; more; {
				for durable := Index(1); durable <= last; durable++ {
					if peers > 0 {
						commitCase{terms: terms, matches: matches, durable: durable}.check(t)
					}
					commitCase{terms: terms, matches: matches, durable: durable, self: true}.check(t)
				}
				more = false
				for i := range matches {
					if matches[i]++; matches[i] <= last {
						more = true
						break
					}
					matches[i] = 0
				}
			}
		}
	}
}

func TestCommitOfRandomGroups(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		c := commitCase{self: random.IntN(4) > 0}
		term := Term(1)
		for range 1 + random.IntN(30) {
			term += Term(random.IntN(2) * random.IntN(3))
			c.terms = append(c.terms, term)
		}
		c.terms = append(c.terms, term+1) // the leader's own
		last := len(c.terms) + 1
		for range 1 + random.IntN(9) {
			c.matches = append(c.matches, Index(random.IntN(last+1)))
		}
		c.durable = Index(1 + random.IntN(last))
		c.check(t)
	}
}

// TestCommitFollowsAcknowledgementsInAnyOrder drives a real leader.
func TestCommitFollowsAcknowledgementsInAnyOrder(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 5))
		voters := 1 + random.IntN(6) // even ones too
		ids := []ID{1}
		for id := ID(2); id <= ID(voters); id++ {
			ids = append(ids, id)
		}
		s := start(t, given{members: founders(ids...)}).becomes(Leader)
		matches := make([]Index, voters-1)
		for range 60 {
			switch random.IntN(4) {
			case 0:
				s.proposes(fmt.Sprint(s.terms.last))
			case 1:
				if s.disk.synced < s.disk.seq {
					s.does(&Synced{Seq: s.disk.synced + 1 + random.Uint64N(s.disk.seq-s.disk.synced)})
				}
			default:
				if voters == 1 {
					continue
				}
				k := random.IntN(voters - 1)
				match := Index(random.IntN(int(s.terms.last) + 1)) // old ones too
				s.gets(s.ack(ID(k+2), match))
				matches[k] = max(matches[k], match)
			}
			c := commitCase{matches: matches, durable: s.disk.durable, self: true}
			for i := Index(2); i <= s.terms.last; i++ {
				term, _ := s.terms.term(i)
				c.terms = append(c.terms, term)
			}
			// Entry 1 is committed only with the first of the leader's term.
			if want := c.oracle(0, s.hard.Term); s.commit != want {
				t.Fatalf("seed %d: committed %d, want %d: %+v", seed, s.commit, want, c)
			}
		}
	}
}

func TestBytesTakenAreCountedByBatch(t *testing.T) {
	var taken intake
	counts := func(uncommitted, unhanded int) {
		t.Helper()
		equal(t, "bytes uncommitted", taken.uncommitted, uncommitted)
		equal(t, "bytes committed and not handed over", taken.unhanded, unhanded)
	}
	taken.add(3, 100)
	taken.add(5, 50)
	taken.commit(2)
	counts(150, 0)
	taken.commit(4)
	counts(50, 100)
	taken.handed(2)
	counts(50, 100)
	taken.add(6, 7)
	taken.commit(5)
	counts(7, 150)
	taken.handed(4)
	counts(7, 50)
	taken.commit(9)
	taken.handed(9)
	counts(0, 0)
	equal(t, "batches", taken.batches.count, 0)
}
