package node

// electorate is the voters of a configuration, in ascending order. Decisions are by majority of
// them; with joint consensus there will be two lists.
type electorate struct {
	voters []ID
	// scratch is room to sort in.
	scratch []uint64
}

func newElectorate(c Configuration) electorate {
	e := electorate{}
	for _, m := range c.Members {
		if m.Suffrage == Voter {
			e.voters = append(e.voters, m.ID)
		}
	}
	e.scratch = make([]uint64, 0, len(e.voters))
	return e
}

// majority is how many voters make a decision.
func (e *electorate) majority() int { return len(e.voters)/2 + 1 }

func (e *electorate) includes(id ID) bool {
	for _, voter := range e.voters {
		if voter == id {
			return true
		}
	}
	return false
}

// reached returns the highest value that a majority of voters has reached, where value tells how
// far each has come.
func (e *electorate) reached(value func(ID) uint64) uint64 {
	sorted := e.scratch[:0]
	for _, id := range e.voters {
		v := value(id)
		sorted = append(sorted, v)
		at := len(sorted) - 1
		for at > 0 && sorted[at-1] < v {
			sorted[at] = sorted[at-1]
			at--
		}
		sorted[at] = v
	}
	if len(sorted) == 0 {
		return 0
	}
	return sorted[e.majority()-1]
}

// agree tells whether a majority of voters says yes.
func (e *electorate) agree(yes func(ID) bool) bool {
	count := 0
	for _, id := range e.voters {
		if yes(id) {
			count++
		}
	}
	return len(e.voters) > 0 && count >= e.majority()
}
