package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// commandsOf are the commands that a member has applied.
func (f *fixture) commandsOf(id ID) (commands []string) {
	for _, c := range f.machines[id].all() {
		commands = append(commands, string(c.Data))
	}
	return commands
}

func TestProposalsOfOneClientAreAppliedInOrder(t *testing.T) {
	f, leader := newGroup(t)
	client := f.client(ClientConfig{}, leader)
	defer client.Close()
	var all []*promise
	var want []string
	for i := range 1000 {
		all = append(all, f.proposes(context.Background(), client, fmt.Sprint(i)))
		want = append(want, fmt.Sprint(i))
	}
	f.end(all[999])
	for i, a := range all {
		if a.ended != 1 || a.err != nil || number(a.result.Data) != uint64(i+1) {
			t.Fatalf("proposal %d ended %d times: %+v, %v", i, a.ended, a.result, a.err)
		}
	}
	if got := f.commandsOf(leader); !slices.Equal(got, want) {
		t.Errorf("applied %v", got)
	}
}

// Many are told the same at once. What one was told late, of a member that the client asks no more, does not count.
func TestALateHintDoesNotTurnAClientBack(t *testing.T) {
	f, leader := newGroup(t)
	client := f.client(ClientConfig{}, 1, 2, 3)
	defer client.Close()
	others := f.others(leader)
	client.learn(f.pids[leader])
	client.follow(f.pids[others[0]], &Rejected{Code: Code_NOT_LEADER, Leader: uint64(others[1])})
	if got := client.route.Load(); !got.Equal(f.pids[leader]) {
		t.Errorf("it asks %v, want the leader, %d", got, leader)
	}
	client.follow(client.route.Load(), &Rejected{Code: Code_NOT_LEADER, Leader: uint64(others[1])})
	if got := client.route.Load(); !got.Equal(f.pids[others[1]]) {
		t.Errorf("it asks %v, want %d", got, others[1])
	}
}

// A client that knows a follower only is told by it who leads, and asks the leader itself from then on.
func TestAClientLearnsOfTheLeaderFromAFollower(t *testing.T) {
	f, leader := newGroup(t)
	follower := f.others(leader)[0]
	client := f.client(ClientConfig{}, follower)
	defer client.Close()
	if got := f.end(f.proposes(context.Background(), client, "x")); got.err != nil {
		t.Fatal(got.err)
	}
	if got := client.route.Load(); got.Id != Name("g", leader) {
		t.Errorf("it asks %v, want the leader, %d", got, leader)
	}
	f.stop(leader)
	if got := f.end(f.proposes(context.Background(), client, "y")); got.err != nil {
		t.Fatal(got.err)
	}
}

// Those who find the same member gone at the same time move on once, and not past the one that is there.
func TestManyWhoFindMembersGoneGetToOneThatIsThere(t *testing.T) {
	f := newFixture(t)
	f.newStub(3, nil)
	f.newStub(4, nil)
	for _, gone := range []ID{1, 2} {
		f.pids[gone] = actor.NewPID(f.system.Address(), Name("g", gone))
	}
	client := f.client(ClientConfig{NoSession: true}, 1, 2, 3, 4)
	defer client.Close()
	var all []*promise
	for i := range 3 {
		all = append(all, f.proposes(context.Background(), client, fmt.Sprint(i)))
	}
	for _, a := range all {
		if f.end(a); a.err != nil {
			t.Error(a.err)
		}
	}
}

// A leader whose PID means nothing in the client's actor system is not followed.
func TestAClientFollowsOnlyWhereItCanGo(t *testing.T) {
	f := newFixture(t)
	s := f.newStub(1, nil)
	f.newStub(2, nil)
	client := f.client(ClientConfig{}, 1)
	defer client.Close()
	for name, c := range map[string]struct {
		leader *actor.PID
		want   string
	}{
		"none":                  {nil, Name("g", 1)},
		"nobody of this system": {actor.NewPID(f.system.Address(), Name("g", 9)), Name("g", 1)},
		"of this system":        {actor.NewPID(f.system.Address(), Name("g", 2)), Name("g", 2)},
		"of another system":     {actor.NewPID("elsewhere:1", Name("g", 9)), Name("g", 1)},
		"one that it knows":     {actor.NewPID("elsewhere:1", Name("g", 1)), Name("g", 1)},
	} {
		client.route.Store(s.pid)
		client.learn(c.leader)
		if got := client.route.Load(); got.Id != c.want {
			t.Errorf("%s: it asks %v, want %s", name, got, c.want)
		}
	}
}

// While leaders come and go, and messages are lost, every proposal is applied once.
func TestProposalsAreAppliedOnceWhateverHappensToLeaders(t *testing.T) {
	f, _ := newGroup(t)
	client := f.client(ClientConfig{InFlightMax: 64}, 1, 2, 3)
	defer client.Close()
	var all []*promise
	propose := func(n int) {
		for range n {
			a := &promise{}
			err := client.TryProposeAsync(context.Background(), fmt.Append(nil, len(all)), func(r Result, err error) {
				a.ended++
				a.result, a.err = r, err
			})
			if err == nil {
				all = append(all, a)
			}
			f.run()
		}
	}
	for round := range 12 {
		leader := f.elect()
		propose(20)
		switch round % 4 {
		case 0:
			f.network.isolate(leader, f.others(leader)...)
			propose(20)
			f.pass(100)
			f.network.heal()
		case 1:
			f.held[Name("g", leader)] = true // it hangs, with proposals in its mailbox
			propose(20)
			f.pass(60)
			delete(f.held, Name("g", leader))
		case 2:
			f.stop(leader)
			propose(20)
			f.pass(30)
			f.spawn(leader, &journal{})
		default:
			f.ask(leader, &TransferLeadership{Target: uint64(leader%3 + 1)})
			propose(20)
			f.pass(10)
		}
	}
	f.elect()
	var want []string
	for i, a := range all {
		if f.until("the end of all proposals", func() bool { return a.ended > 0 }); a.ended != 1 || a.err != nil {
			t.Fatalf("proposal %d ended %d times, with %v", i, a.ended, a.err)
		}
		want = append(want, fmt.Sprint(i))
	}
	f.pass(20)
	got := f.commandsOf(f.leader())
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d commands were proposed, and %d applied", len(want), len(got))
	}
	f.agree(1, 2, 3)
}

// Goroutines propose, synchronously and not, while the leader is stopped and started again. Without a doubt each command
// is applied once.
func TestConcurrentProposalsAreAppliedOnce(t *testing.T) {
	const goroutines = 8
	g := newRealGroup(t, 3)
	g.leader()
	c := g.client(1, 2, 3)
	ctx := within(t, 60*time.Second)
	enough := make(chan struct{})
	var all sync.WaitGroup
	var counts [goroutines]int
	for k := range goroutines {
		all.Go(func() {
			var under sync.WaitGroup
			defer under.Wait()
			for {
				select {
				case <-enough:
					return
				default:
				}
				counts[k]++
				if k%2 == 0 {
					if _, err := c.Propose(ctx, []byte("x")); err != nil {
						t.Errorf("got %v", err)
						return
					}
					continue
				}
				under.Add(1)
				if err := c.ProposeAsync(ctx, []byte("x"), func(_ Result, err error) {
					if err != nil {
						t.Errorf("got %v", err)
					}
					under.Done()
				}); err != nil {
					t.Errorf("got %v", err)
					return
				}
				if counts[k]%100 == 0 {
					under.Wait()
				}
			}
		})
	}
	for range 2 {
		leader := g.leader()
		g.pause(100 * time.Millisecond)
		g.stop(leader)
		g.pause(300 * time.Millisecond)
		g.spawn(leader)
	}
	g.leader()
	close(enough)
	all.Wait()
	want := 0
	for _, n := range counts {
		want += n
	}
	for id := ID(1); id <= 3; id++ {
		if got, err := g.client(id).Query(ctx, nil); err != nil || number(got.Data) != uint64(want) {
			t.Errorf("member %d counts %v (%v), want %d", id, got.Data, err, want)
		}
	}
}

// Contexts end while answers come: whatever is said to be not applied is not.
func TestContextsThatEndWhileAnswersCome(t *testing.T) {
	g := newRealGroup(t, 3)
	g.leader()
	c := g.client(1, 2, 3)
	var applied, inDoubt, not int
	for i := range 400 {
		ctx, cancel := context.WithCancel(context.Background())
		timer := time.AfterFunc(time.Duration(i%40)*5*time.Microsecond, cancel)
		switch _, err := c.Propose(ctx, nil); {
		case err == nil:
			applied++
		case errors.Is(err, ErrUnknown) && errors.Is(err, context.Canceled):
			inDoubt++
		case errors.Is(err, ErrNotApplied) && errors.Is(err, context.Canceled):
			not++
		default:
			t.Fatal(err)
		}
		timer.Stop()
		cancel()
	}
	got, err := c.Query(within(t, 20*time.Second), nil)
	if n := int(number(got.Data)); err != nil || n < applied || n > applied+inDoubt {
		t.Errorf("%d applied, %d in doubt, %d not; counted are %d (%v)", applied, inDoubt, not, n, err)
	}
	await(t, "nothing under way", c.courier.isIdle)
}
