package node_test

import "example.com/raftactor/node"

// prng is SplitMix64.
type prng uint64

func (r *prng) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number from 0 to n-1.
func (r *prng) below(n int) int { return int(r.next() % uint64(n)) }

// chance is true p times in a thousand.
func (r *prng) chance(p int) bool { return r.below(1000) < p }

func pick[T any](r *prng, from ...T) T { return from[r.below(len(from))] }

// weather is what a seed draws: which faults there are and how strong.
type weather struct {
	// Steps is how long it lasts before everything is healed.
	Steps     int
	Members   int
	NameLives bool
	Withhold  int

	// Chances in a thousand, per delivery.
	Loss, Duplication, Reordering int
	// Weights of a delivery for each message in flight, and of a completion for each sync.
	Network, Disk int
	// MergedSyncs: a completion covers all that are under way.
	MergedSyncs bool
	// Weights of the rest.
	Propose, Read, Task, Machine                         int
	Cut, Isolate, Heal, Crash, Restart, Wipe, BrokenDisk int
	Pause, Resume, Membership, Transfer, Snapshot        int
	Campaign, Unreachable, Hostile, LateReport, Hurry    int
	SlowMachine, Release                                 int
}

func drawWeather(r *prng) weather {
	w := weather{
		Steps: pick(r, 1000, 3000, 3000, 10_000), Members: pick(r, 3, 3, 4, 5, 5), NameLives: r.chance(500), Withhold: pick(r, 0, 0, 1, 5, 20),
		Network: pick(r, 20, 60, 200), Disk: pick(r, 10, 60, 200), MergedSyncs: r.chance(300),
		Propose: pick(r, 5, 30, 90), Read: pick(r, 0, 10, 60), Task: pick(r, 5, 50), Machine: pick(r, 2, 20, 100),
		Heal: pick(r, 3, 10), Restart: pick(r, 10, 30), Resume: pick(r, 5, 15),
	}
	faults := pick(r, 200, 400, 600)
	draw := func(field *int, values ...int) {
		if r.chance(faults) {
			*field = pick(r, values...)
		}
	}
	draw(&w.Loss, 10, 50, 200)
	draw(&w.Duplication, 20, 100, 300)
	draw(&w.Reordering, 50, 300, 900)
	draw(&w.Cut, 1, 3)
	draw(&w.Isolate, 1, 2)
	draw(&w.Crash, 1, 3)
	draw(&w.Wipe, 1)
	draw(&w.BrokenDisk, 1)
	draw(&w.Pause, 1, 3)
	draw(&w.Membership, 1, 4)
	draw(&w.Transfer, 1, 3)
	draw(&w.Snapshot, 1, 4)
	draw(&w.Campaign, 1, 3)
	draw(&w.Unreachable, 1, 4)
	draw(&w.Hostile, 2, 6)
	draw(&w.LateReport, 1, 4)
	draw(&w.Hurry, 1, 3)
	draw(&w.SlowMachine, 1, 5)
	draw(&w.Release, 1, 5)
	if r.chance(150) { // who leads, and who is a member, changes all the time
		w.Membership, w.Isolate, w.Campaign, w.Heal = pick(r, 10, 40), pick(r, 3, 10), pick(r, 5, 20), 20
	}
	return w
}

func drawConfig(r *prng) node.Config {
	c := node.Config{
		ElectionTicks:       pick(r, 4, 8, 12),
		HeartbeatTicks:      pick(r, 1, 2, 3),
		DiskStallTicks:      pick(r, 0, 0, 3, 60, node.Unlimited),
		CommandBytesMax:     60,
		UncommittedBytesMax: pick(r, 0, 300, 2000),
		UnappliedBytesMax:   pick(r, 0, 0, 1, 150, 1000),
		MessageBytesMax:     pick(r, 0, 40, 200),
		InflightMessagesMax: pick(r, 0, 1, 2, 16),
		InflightBytesMax:    pick(r, 0, 64, 1000),
		ReadsMax:            pick(r, 0, 0, 2),
		SnapshotEntries:     pick(r, 3, 10, 40, 40, node.Unlimited),
		RetainEntries:       pick(r, -1, 2, 10, 0),
		SnapshotHoldTicks:   pick(r, -1, 20, 0),
		SnapshotHoldEntries: pick(r, 5, 0),
	}
	return c
}
