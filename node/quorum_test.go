package node

import (
	"math/rand/v2"
	"testing"
)

// electorateOf makes voters 1 to n, and a learner in front and behind, which must not matter.
func electorateOf(n int) electorate {
	c := Configuration{Members: []Member{}}
	for id := range ID(n) {
		c = c.with(Member{ID: id + 10, Suffrage: Voter})
	}
	return newElectorate(c.with(learner(1)).with(learner(99)))
}

// oracleReached tries every value from the top: how many voters have reached it?
func oracleReached(values []uint64) uint64 {
	best := uint64(0)
	for _, candidate := range values {
		count := 0
		for _, v := range values {
			if v >= candidate {
				count++
			}
		}
		if 2*count > len(values) && candidate > best {
			best = candidate
		}
	}
	return best
}

func checkQuorum(t *testing.T, values []uint64) {
	t.Helper()
	e := electorateOf(len(values))
	of := func(id ID) uint64 {
		if id < 10 || id >= 10+ID(len(values)) {
			return 1 << 40 // nobody asks those who do not vote
		}
		return values[id-10]
	}
	if got, want := e.reached(of), oracleReached(values); got != want {
		t.Fatalf("%v: a majority has reached %d, want %d", values, got, want)
	}
	for _, limit := range values {
		yes := 0
		for _, v := range values {
			if v >= limit {
				yes++
			}
		}
		got := e.agree(func(id ID) bool { return of(id) >= limit })
		if want := 2*yes > len(values); got != want {
			t.Fatalf("%v: %d of %d at %d agree: %v, want %v", values, yes, len(values), limit, got, want)
		}
	}
}

// TestQuorumOfAllSmallElectorates tries up to five voters with all values from 0 to 5.
func TestQuorumOfAllSmallElectorates(t *testing.T) {
	const valueMax = 5
	for n := 0; n <= 5; n++ {
		values := make([]uint64, n)
		for more := true; more; {
			checkQuorum(t, values)
			more = false
			for i := range values {
				if values[i]++; values[i] <= valueMax {
					more = true
					break
				}
				values[i] = 0
			}
		}
	}
}

func TestQuorumOfRandomElectorates(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		values := make([]uint64, 1+random.IntN(20))
		for i := range values {
			values[i] = random.Uint64N(12) * random.Uint64N(1<<60)
		}
		checkQuorum(t, values)
	}
}

func TestNobodyAgreesInAnEmptyElectorate(t *testing.T) {
	e := newElectorate(Configuration{})
	equal(t, "agree", e.agree(func(ID) bool { return true }), false)
	equal(t, "reached", e.reached(func(ID) uint64 { return 9 }), 0)
}

func TestMajorities(t *testing.T) {
	for n, majority := range []int{1, 1, 2, 2, 3, 3, 4, 4} {
		e := electorateOf(n)
		equal(t, "majority", e.majority(), majority)
	}
}

func TestQuorumAllocatesNothing(t *testing.T) {
	if checked {
		t.Skip("a checked build allocates")
	}
	e := electorateOf(7)
	var sink uint64
	allocations := testing.AllocsPerRun(100, func() {
		sink += e.reached(func(id ID) uint64 { return uint64(id) % 5 })
	})
	equal(t, "allocations", allocations, 0)
	_ = sink
}
