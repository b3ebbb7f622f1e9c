package raft

import (
	"math/rand/v2"
	"slices"
	"time"

	"example.com/raftactor/node"
)

// A weather is what a seed draws for its trial: which troubles there are, and how bad each is. What has no unit is a
// likelihood in thousandths of the steps.
type weather struct {
	steps, clients, operations, pipeline int
	// Beside the three founders some wait to be added.
	members int

	// Of the clients: how many have no session, and how they behave.
	sessionless         int
	realClients         int // in thousandths of the clients
	patienceMax         int // ticks after which they ask another member
	abandon, follow     int // of the tries, in thousandths: that they give up, and that they ask whom they are told
	lateRequest, unread int // of the requests and of the replies, in thousandths

	lose, repeat, reorder                    int // as in chaos
	tick, client, disk                       int
	stop, blackout, restart                  int
	pause, stall, resume                     int
	isolate, oneWay, heal, delay, catchUp    int
	calm                                     int
	stuckMax                                 int64 // steps without an answer, after which it gets calm
	breakDisk, upset, change, transfer       int
	snapshot, jump, subscribe, peek          int
	slowDisk, betweenProcesses               bool
	sessionsMax, pendingMax, requestsMax     []int // of which each start of a member draws one
	unappliedBytesMax, uncommittedBytesMax   int
	snapshotEntries, retainEntries, inMemory int
	requestTimeout, electionTimeout          time.Duration
}

// drawWeather draws a part of the troubles, so that each is met alone as well as with others.
func drawWeather(rng *rand.Rand) weather {
	w := weather{
		steps: 2500 + rng.IntN(2500), members: 3,
		clients: 3 + rng.IntN(6), operations: 40 + rng.IntN(41), pipeline: pick(rng, 1, 1, 2, 3),
		realClients: pick(rng, 0, 0, 500, 1000), patienceMax: pick(rng, 4, 10, 30), follow: pick(rng, 0, 500, 900),
		tick: pick(rng, 3, 10, 30), client: pick(rng, 15, 40, 100), disk: pick(rng, 10, 40, 150),
		restart: pick(rng, 8, 30), resume: pick(rng, 1, 5, 20), heal: pick(rng, 1, 4, 15), catchUp: pick(rng, 5, 20),
		calm: pick(rng, 0, 1, 2), stuckMax: pick[int64](rng, 500, 1000, 2000),
		sessionsMax: []int{0}, pendingMax: []int{0}, requestsMax: []int{0},
		snapshotEntries: node.Unlimited, retainEntries: pick(rng, -1, 3, 100),
		requestTimeout:  pick(rng, 300*time.Millisecond, time.Second, 5*time.Second),
		electionTimeout: pick[time.Duration](rng, 200, 300, 500) * time.Millisecond,
	}
	often := pick(rng, 150, 350, 650)
	some := func(field *int, values ...int) {
		if rng.IntN(1000) < often {
			*field = pick(rng, values...)
		}
	}
	some(&w.sessionless, 1, 2, w.clients)
	some(&w.abandon, 20, 150)
	some(&w.lateRequest, 30, 200)
	some(&w.unread, 20, 150)
	some(&w.lose, 10, 50, 150)
	some(&w.repeat, 20, 100, 300)
	some(&w.reorder, 50, 250, 900)
	some(&w.stop, 2, 5)
	some(&w.blackout, 1, 2)
	some(&w.pause, 2, 5)
	some(&w.stall, 3, 8)
	some(&w.isolate, 2, 6)
	some(&w.oneWay, 2, 6)
	some(&w.delay, 3, 8)
	some(&w.breakDisk, 1, 3)
	some(&w.upset, 1, 3)
	some(&w.transfer, 2, 6)
	some(&w.snapshot, 2, 6)
	some(&w.jump, 1, 3)
	some(&w.snapshotEntries, 4, 12, 40)
	some(&w.inMemory, 20, 60)
	some(&w.unappliedBytesMax, 1, 150)
	some(&w.uncommittedBytesMax, 100, 400)
	if rng.IntN(1000) < often {
		w.change, w.members = pick(rng, 3, 8), 3+rng.IntN(3)
	}
	if rng.IntN(1000) < often {
		w.sessionsMax = pick(rng, []int{1}, []int{2, 3}, []int{2, 4, 0}, []int{4})
	}
	if rng.IntN(1000) < often {
		w.pendingMax = pick(rng, []int{1}, []int{1, 2, 4}, []int{3, 0})
	}
	if rng.IntN(1000) < often {
		w.requestsMax = pick(rng, []int{1}, []int{1, 2, 0})
	}
	if rng.IntN(1000) < 150 { // leaders are left behind with what they have taken, until a snapshot covers it
		w.isolate, w.heal, w.snapshotEntries, w.retainEntries = 6, 2, 4, -1
		w.sessionless, w.requestTimeout = w.clients/2, longTimeout
	}
	w.slowDisk, w.betweenProcesses = rng.IntN(1000) < often, rng.IntN(2) == 0
	if w.slowDisk && rng.IntN(2) == 0 { // what was promised too early is lost
		w.blackout, w.restart = 2, 30
	}
	w.subscribe, w.peek = pick(rng, 5, 20), 8
	return w
}

// sessionsExpire tells whether there may be more sessions than are kept.
func (w *weather) sessionsExpire() bool { return !slices.Equal(w.sessionsMax, []int{0}) }

// configure makes the Config of a member's next start.
func (t *trial) configure(c *Config) {
	w := &t.weather
	c.SessionsMax, c.PendingMax = pick(t.rng, w.sessionsMax...), pick(t.rng, w.pendingMax...)
	c.RequestsMax = pick(t.rng, w.requestsMax...)
	c.UnappliedBytesMax, c.UncommittedBytesMax = w.unappliedBytesMax, w.uncommittedBytesMax
	c.SnapshotEntries, c.RetainEntries, c.RequestTimeout = w.snapshotEntries, w.retainEntries, w.requestTimeout
	c.ElectionTimeout, c.HeartbeatInterval = w.electionTimeout, step
	if t.hooks.config != nil {
		t.hooks.config(c)
	}
}

// act does one thing.
func (t *trial) act() {
	t.now++
	w := &t.weather
	roll := t.rng.IntN(1000)
	happens := func(likely int) bool {
		roll -= likely
		return roll < 0 && roll >= -likely
	}
	switch {
	case happens(w.client):
		t.someClient().step()
	case happens(w.tick):
		t.clock.Advance(step)
	case happens(w.disk):
		t.completeSyncs(t.someone())
	case happens(w.restart):
		t.restart(t.someone())
	case happens(w.resume):
		clear(t.held)
	case happens(w.heal):
		t.heal()
	case happens(w.catchUp):
		t.postLate()
		clear(t.late)
	case happens(w.subscribe):
		t.stepSubscriber()
	case happens(w.peek):
		t.peek(t.target())
	case happens(w.calm):
		t.calmDown()
	case t.ticks() >= t.calmUntil && t.trouble(happens):
	case t.rng.IntN(3) == 0 && t.deliverOne(), t.turn():
	case t.rng.IntN(2) == 0: // nobody has anything to do
		t.clock.Advance(step)
	default:
		t.someClient().step()
	}
	t.readLetters()
	if t.now-t.lastEnd > w.stuckMax {
		t.calmDown() // a group that gets nowhere shows nothing
	}
}

// calmTicks is for how long no trouble begins: enough for the members to find a leader and get on.
const calmTicks = 30

// trouble makes trouble, or tells that it is not time for it.
func (t *trial) trouble(happens func(int) bool) bool {
	w, id := &t.weather, t.target()
	switch {
	case happens(w.stop):
		t.stopMember(id)
	case happens(w.blackout):
		t.blackOut()
	case happens(w.pause):
		t.pause(id)
	case happens(w.stall):
		t.held[Name("g", id)+"/applier"] = true
		t.counts["machines stalled"]++
	case happens(w.isolate):
		t.network.isolate(id, t.ids...)
		t.lure = pick(t.rng, 0, id) // what it takes now is likely to be superseded
		t.counts["members isolated"]++
	case happens(w.oneWay):
		t.network.cutWay(id, t.someone())
		t.counts["one-way partitions"]++
	case happens(w.delay):
		t.late[[2]ID{id, t.someone()}] = true
		t.counts["ways delayed"]++
	case happens(w.breakDisk):
		t.store(id).set(func(s *testStore) { s.slow, s.syncErr = true, errTest })
	case happens(w.upset):
		t.upset[id] = pick(t.rng, "apply: panic", "apply: error", "query: panic")
	case happens(w.change):
		t.change(id)
	case happens(w.transfer):
		t.send(id, &TransferLeadership{Target: uint64(t.someone())}, nil)
	case happens(w.snapshot):
		t.send(id, &TakeSnapshot{}, nil)
	case happens(w.jump):
		t.clock.Jump(step * time.Duration(t.rng.IntN(30)))
		t.counts["clock jumps"]++
	default:
		return false
	}
	return true
}

// someone is any member, and target rather one that matters.
func (t *trial) someone() ID { return t.ids[t.rng.IntN(len(t.ids))] }

func (t *trial) target() ID {
	id := t.someone()
	if t.rng.IntN(2) == 0 {
		return t.likelyLeader(id)
	}
	return id
}

// blackOut stops all members at once: what is not durable is gone.
func (t *trial) blackOut() {
	for _, id := range t.ids {
		t.stopMember(id)
	}
	t.counts["blackouts"]++
}

// pause gives a member, or a Client, no turn for a while.
func (t *trial) pause(id ID) {
	if c, ok := t.someClient().(*realClient); ok && t.rng.IntN(3) == 0 {
		t.held[c.client.courier.self.Id] = true
		t.counts["Clients paused"]++
		return
	}
	t.held[Name("g", id)] = true
	t.counts["members paused"]++
}

func (t *trial) stopMember(id ID) {
	if t.isThere(id) {
		t.counts["members stopped"]++
		t.system.Root.Stop(t.pids[id])
	}
}

func (t *trial) completeSyncs(id ID) {
	if t.store(id).storage != nil {
		t.store(id).complete(1 + t.rng.IntN(5))
	}
}

// restart mends a member's disk and starts it, if it is not there.
func (t *trial) restart(id ID) {
	store := t.store(id)
	if t.isThere(id) || store.storage.open {
		return
	}
	store.set(func(s *testStore) { s.slow, s.syncErr = t.weather.slowDisk, nil })
	t.start(id)
	t.counts["members restarted"]++
}

// change asks for a change of the group's members that may or may not make sense.
func (t *trial) change(id ID) {
	m := t.someone()
	request := pick(t.rng, addLearner(m, ""), promote(m), promote(m), demote(m), remove(m))
	t.send(id, request, nil)
}

func (t *trial) heal() {
	t.network.heal()
	t.lure = 0
}

// calmDown ends what troubles there are, and lets no new ones begin for a while.
func (t *trial) calmDown() {
	t.calmUntil, t.lastEnd = t.ticks()+calmTicks, t.now
	t.heal()
	clear(t.late)
	clear(t.held)
	clear(t.upset)
	for _, id := range t.ids {
		t.restart(id)
	}
}

// clear ends all troubles for good.
func (t *trial) clear() {
	t.calmDown()
	t.lose, t.repeat, t.reorder = 0, 0, 0
	w := &t.weather
	w.abandon, w.unread, w.lateRequest, w.slowDisk = 0, 0, 0, false
	t.postLate()
	for _, id := range t.ids {
		t.store(id).set(func(s *testStore) { s.slow, s.syncErr = false, nil })
		t.store(id).complete(1 << 30)
	}
	t.readLetters()
}
