package raft

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// A lag is a group of which one member is too far behind for the log, so that it needs a snapshot whose state has
// about that many bytes.
type lag struct {
	*fixture
	leader, late ID
}

func newLag(t *testing.T, stateBytes int) *lag {
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.RetainEntries = -1 }
	for id := ID(1); id <= 3; id++ {
		f.spawn(id, &journal{padding: stateBytes, empty: stateBytes == 0})
	}
	leader := f.elect()
	late := f.others(leader)[0]
	f.apply(leader, "before")
	f.network.isolate(late, f.others(late)...)
	f.pass(30) // it is not heard from any more
	f.apply(leader, "a", "b", "c")
	for _, id := range f.others(late) {
		done[*SnapshotTaken](f, id, &TakeSnapshot{})
	}
	f.apply(leader, "behind")
	return &lag{f, leader, late}
}

// comesUp heals the network and waits until the member that lags has restored a snapshot and has it all.
func (l *lag) comesUp() {
	l.Helper()
	l.network.heal()
	l.until("the snapshot is restored", func() bool {
		return slices.ContainsFunc(events[*SnapshotRestored](l.fixture), func(e *SnapshotRestored) bool {
			return e.Member == l.late
		})
	})
	l.caughtUp()
}

func (l *lag) caughtUp() {
	l.Helper()
	l.elect()
	l.apply(l.fixture.leader(), "after")
	l.pass(3)
	if !l.machines[l.late].empty {
		l.agree(1, 2, 3)
	}
	l.pass(2 * giveUpTicks) // the last sender that nobody answers
	for id := ID(1); id <= 3; id++ {
		if s := l.store(id); s.readers != 0 || s.writers != 0 {
			l.Errorf("member %d: %d readers and %d writers of snapshots are left", id, s.readers, s.writers)
		}
	}
	if failed := events[*Failed](l.fixture); len(failed) > 0 {
		l.Errorf("got %v", failed[0].Err)
	}
}

func TestASnapshotOfAnySizeArrives(t *testing.T) {
	for name, bytes := range map[string]int{
		"no byte": 0, "one byte more than nothing": 1, "a chunk but for a byte": chunkBytes - 1, "a chunk": chunkBytes,
		"a chunk and a byte": chunkBytes + 1, "the window": windowChunks * chunkBytes, "five megabytes": 5 << 20,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLag(t, bytes)
			l.comesUp()
		})
	}
}

func TestASnapshotArrivesThroughABadNetwork(t *testing.T) {
	for name, fault := range map[string]func(*rand.Rand, *PeerEnvelope) []*PeerEnvelope{
		"loss": func(rng *rand.Rand, e *PeerEnvelope) []*PeerEnvelope {
			if rng.IntN(5) == 0 {
				return nil
			}
			return []*PeerEnvelope{e}
		},
		"duplication": func(_ *rand.Rand, e *PeerEnvelope) []*PeerEnvelope { return []*PeerEnvelope{e, e} },
		"lost acks": func(rng *rand.Rand, e *PeerEnvelope) []*PeerEnvelope {
			if e.Ack != nil && rng.IntN(2) == 0 {
				return nil
			}
			return []*PeerEnvelope{e}
		},
		"lost and repeated": func(rng *rand.Rand, e *PeerEnvelope) []*PeerEnvelope {
			return slices.Repeat([]*PeerEnvelope{e}, rng.IntN(4))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLag(t, 4<<20)
			rng := rand.New(rand.NewPCG(1, 2))
			l.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
				if e.Chunk == nil && e.Ack == nil {
					return []*PeerEnvelope{e}
				}
				return fault(rng, e)
			}
			l.comesUp()
		})
	}
}

func TestASnapshotArrivesInAnyOrder(t *testing.T) {
	l := newLag(t, 4<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	attempts := map[uint64]bool{}
	var kept []*PeerEnvelope
	l.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
		if e.Chunk == nil {
			return []*PeerEnvelope{e}
		}
		attempts[e.Chunk.Transfer] = true
		// Each chunk waits for a while, and others overtake it.
		kept = append(kept, e)
		if len(kept) < 3 {
			return nil
		}
		k := rng.IntN(len(kept))
		e = kept[k]
		kept = slices.Delete(kept, k, k+1)
		return []*PeerEnvelope{e}
	}
	l.comesUp()
	if len(attempts) > 1 {
		t.Errorf("it took %d attempts: what comes too early should not end one", len(attempts))
	}
}

func TestADamagedSnapshotIsNotTaken(t *testing.T) {
	for name, damage := range map[string]func(*SnapshotChunk){
		"a bit":    func(c *SnapshotChunk) { c.Data[len(c.Data)/2] ^= 4 },
		"the sum":  func(c *SnapshotChunk) { c.Sum++ },
		"the size": func(c *SnapshotChunk) { c.Size-- },
		"the end":  func(c *SnapshotChunk) { c.Data = c.Data[:len(c.Data)-1] },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLag(t, 2<<20)
			damaged := 0
			l.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
				if e.Chunk != nil && isLast(e.Chunk) && damaged < 3 {
					damaged++
					c := *e.Chunk
					c.Data = slices.Clone(c.Data)
					damage(&c)
					return []*PeerEnvelope{{Group: e.Group, From: e.From, To: e.To, Chunk: &c}}
				}
				return []*PeerEnvelope{e}
			}
			l.comesUp()
			if damaged == 0 {
				t.Error("nothing was damaged")
			}
		})
	}
}

// midway lets the transfer begin, and stops the network in the middle of it.
func (l *lag) midway() {
	l.Helper()
	chunks := 0
	l.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
		if e.Chunk != nil {
			if chunks++; chunks > 3 {
				return nil
			}
		}
		return []*PeerEnvelope{e}
	}
	l.network.heal()
	l.until("the transfer is under way", func() bool { return chunks > 3 })
	l.network.fault = nil
}

func TestTheReceiverStopsMidway(t *testing.T) {
	l := newLag(t, 4<<20)
	l.midway()
	l.stop(l.late)
	if l.store(l.late).writers != 0 {
		t.Error("a writer is left")
	}
	l.pass(20)
	l.spawn(l.late, &journal{})
	l.comesUp()
}

func TestTheSenderStopsMidway(t *testing.T) {
	l := newLag(t, 4<<20)
	l.midway()
	l.stop(l.leader)
	if l.store(l.leader).readers != 0 {
		t.Error("a reader is left")
	}
	l.until("the snapshot of the other comes", func() bool {
		return len(events[*SnapshotRestored](l.fixture)) > 0
	})
	l.spawn(l.leader, &journal{})
	l.caughtUp()
}

// A sender that has started again counts its attempts from the start; the receiver still has what the one before has
// sent of another snapshot.
func TestTheSenderComesBackMidway(t *testing.T) {
	l := newLag(t, 4<<20)
	other := l.others(l.leader)
	other = slices.DeleteFunc(other, func(id ID) bool { return id == l.late })
	l.midway()
	l.stop(l.leader)
	l.network.isolate(l.late, 1, 2, 3)
	l.spawn(l.leader, &journal{padding: 4 << 20})
	l.until("the others are at peace", func() bool {
		a, b := l.status(l.leader), l.status(other[0])
		return a.Leader != 0 && a.Leader == b.Leader && a.CommitIndex == a.LastIndex && b.CommitIndex == a.LastIndex
	})
	if l.status(l.leader).Role != Status_LEADER {
		done[*LeadershipTransferred](l.fixture, other[0], &TransferLeadership{Target: uint64(l.leader)})
	}
	l.apply(l.leader, "more")
	done[*SnapshotTaken](l.fixture, l.leader, &TakeSnapshot{})
	damaged := 0
	l.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
		if e.Ack != nil && e.Ack.Failed {
			damaged++
		}
		return []*PeerEnvelope{e}
	}
	l.comesUp()
	if damaged > 0 {
		t.Errorf("%d attempts failed: the snapshots were mixed up", damaged)
	}
}

func TestTheLeaderChangesMidway(t *testing.T) {
	l := newLag(t, 4<<20)
	l.midway()
	other := slices.DeleteFunc(l.others(l.leader), func(id ID) bool { return id == l.late })[0]
	done[*LeadershipTransferred](l.fixture, l.leader, &TransferLeadership{Target: uint64(other)})
	l.comesUp()
}

func TestSnapshotsGoOnWhileCommandsDo(t *testing.T) {
	l := newLag(t, 4<<20)
	l.network.heal()
	for i := range 20 {
		l.apply(l.leader, fmt.Sprint("meanwhile", i))
		l.pass(1)
		if i%5 == 0 {
			l.ask(l.leader, &TakeSnapshot{})
		}
	}
	l.caughtUp()
}

func TestHeartbeatsFlowWhileASnapshotIsSent(t *testing.T) {
	l := newLag(t, 4<<20)
	term := l.status(l.leader).Term
	l.network.fault = func(e *PeerEnvelope) []*PeerEnvelope { // no chunk but the first ever arrives
		if e.Chunk != nil && e.Chunk.Offset > 0 {
			return nil
		}
		return []*PeerEnvelope{e}
	}
	l.network.heal()
	l.pass(500)
	if s := l.status(l.leader); s.Term > term+1 {
		t.Errorf("the term went from %d to %d", term, s.Term)
	}
	l.network.fault = nil
	l.comesUp()
}

func TestASenderToARemovedMemberGivesUp(t *testing.T) {
	l := newLag(t, 4<<20)
	l.midway()
	l.network.isolate(l.late, 1, 2, 3)
	done[*MembersChanged](l.fixture, l.leader, &ChangeMembers{
		Change: &ChangeMembers_Remove{Remove: &RemoveMember{Id: uint64(l.late)}},
	})
	l.pass(2 * giveUpTicks)
	if n := l.store(l.leader).readers; n != 0 {
		t.Errorf("%d readers of snapshots are open", n)
	}
}

func TestAReceiverThatHearsNothingGivesUp(t *testing.T) {
	l := newLag(t, 4<<20)
	l.midway()
	l.network.isolate(l.late, 1, 2, 3)
	l.pass(2 * giveUpTicks)
	if n := l.store(l.late).writers; n != 0 {
		t.Errorf("%d writers of snapshots are open", n)
	}
	l.comesUp()
}

func TestAStorageErrorOfTheReceiverEndsIt(t *testing.T) {
	for name, set := range map[string]func(*testStore, error){
		"create": func(s *testStore, err error) { s.createErr = err },
		"write":  func(s *testStore, err error) { s.writeErr = err },
		"commit": func(s *testStore, err error) { s.commitErr = err },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLag(t, 1<<20)
			set(l.store(l.late), errTest)
			l.network.heal()
			l.until("the failure", func() bool { return !l.isThere(l.late) })
			l.failure(l.late, errTest.Error())
			set(l.store(l.late), nil)
			l.spawn(l.late, &journal{})
			l.elect()
			l.agree(1, 2, 3)
			if n := l.store(l.late).writers; n != 0 {
				t.Errorf("%d writers of snapshots are open", n)
			}
		})
	}
}

func TestAChunkThatNobodyWaitsForIsTurnedDown(t *testing.T) {
	f, leader := newGroup(t)
	follower := f.others(leader)[0]
	f.network.links[memberKey{"g", follower}].inbox.Deliver(&PeerEnvelope{Group: "g", From: leader, To: follower, Chunk: &SnapshotChunk{}})
	f.settle() // no offer: ignored
	f.network.links[memberKey{"g", follower}].inbox.Deliver(&PeerEnvelope{Group: "g", From: leader, To: follower, Ack: &SnapshotAck{Transfer: 3}})
	f.settle() // nothing was sent: ignored
	f.apply(leader, "it goes on")
	if _, there := f.system.ProcessRegistry.GetLocal(f.pids[follower].Id); !there {
		t.Error("the follower has stopped")
	}
}

// A receiver whose storage hangs is sent what it does not acknowledge again and again.
func TestChunksForAReceiverThatHangsAreBounded(t *testing.T) {
	system := quietSystem()
	hangs := newInbox(system)
	r := &raftActor{system: system}
	r.snapshots.receiver = &transferring{pid: hangs.pid, peer: 2, transfer: 5}
	chunk := &SnapshotChunk{Offer: &node.InstallSnapshot{Header: node.Header{From: 2}}, Transfer: 5, Size: 10}
	for range 1000 {
		r.chunkArrived(&PeerEnvelope{From: 2, Chunk: chunk})
	}
	if n := len(hangs.all()); n != waitingMax {
		t.Errorf("%d chunks wait, want %d", n, waitingMax)
	}
	s := &snapshotReceiver{now: r.snapshots.receiver, received: 1, send: func(ID, string, *PeerEnvelope) {}}
	s.Receive(messageContext{message: chunk}) // it has some time
	r.chunkArrived(&PeerEnvelope{From: 2, Chunk: chunk})
	if n := len(hangs.all()); n != waitingMax+1 {
		t.Errorf("%d chunks have been passed on after one was taken, want %d", n, waitingMax+1)
	}
}

// messageContext is the context of an actor that looks at nothing but its message.
type messageContext struct {
	actor.Context
	message any
}

func (c messageContext) Message() any { return c.message }
