package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A planted replica acknowledges everything, and does to its log what alter
// says: which commands are applied when one comes.
type planted struct {
	mu    sync.Mutex
	state tally
	alter func(count int, command []byte) [][]byte
	peers []*planted
	count int
}

func (p *planted) propose(_ context.Context, command []byte) error {
	for _, peer := range append(p.peers, p) {
		peer.mu.Lock()
		peer.count++
		for _, c := range peer.alter(peer.count, append([]byte(nil), command...)) {
			peer.state.apply(c)
		}
		peer.mu.Unlock()
	}
	return nil
}

func (p *planted) tally() tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.clone()
}

func (p *planted) lead(context.Context) error { return nil }
func (p *planted) read(context.Context) error { return errNoReads }
func (p *planted) stop() error                { return nil }

func faithful(_ int, command []byte) [][]byte { return [][]byte{command} }

// plant is a deployment whose replicas do to their logs what these say.
func plant(alter ...func(int, []byte) [][]byte) *deployment {
	d := &deployment{}
	for _, a := range alter {
		d.here = append(d.here, &planted{alter: a})
	}
	leader := d.here[0].(*planted)
	for _, r := range d.here[1:] {
		leader.peers = append(leader.peers, r.(*planted))
	}
	d.leader = leader
	return d
}

func TestTheCheckFindsWhatAContenderDoesWrong(t *testing.T) {
	var held []byte
	tests := map[string]struct {
		deployment *deployment
		want       error
	}{
		"nothing": {plant(faithful, faithful, faithful), nil},
		"a follower loses a command": {plant(faithful, faithful, func(n int, c []byte) [][]byte {
			if n == 3 {
				return nil
			}
			return [][]byte{c}
		}), errLost},
		"a follower changes the order": {plant(faithful, func(n int, c []byte) [][]byte {
			switch n {
			case 3:
				held = c
				return nil
			case 4:
				return [][]byte{c, held}
			}
			return [][]byte{c}
		}, faithful), errLost},
		"a follower applies twice": {plant(faithful, faithful, func(n int, c []byte) [][]byte {
			if n == 2 {
				return [][]byte{c, c}
			}
			return [][]byte{c}
		}), errLost},
		"nobody has anything":      {plant(nothingAtAll, nothingAtAll, nothingAtAll), errLost},
		"nobody has the last ones": {plant(firstOnly, firstOnly, firstOnly), errLost},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLoad(test.deployment.leader, false, 16, 1)
			w := l.workers[0]
			command := make([]byte, 16)
			for range 10 {
				w.acknowledged++
				number(command, w.proposer, w.acknowledged)
				if err := l.leader.propose(t.Context(), command); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if err := check(ctx, test.deployment.tallies, l.workers); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// A replica that gets on is waited for, however slow it is; one that stands still is not.
func TestTheCheckWaitsForReplicasThatGetOn(t *testing.T) {
	for name, test := range map[string]struct {
		every time.Duration // after which the third replica applies another command
		took  time.Duration
		want  error
	}{
		"slow":  {checkPatience - time.Second, 3 * (checkPatience - time.Second), nil},
		"stuck": {time.Hour, checkPatience, errLost},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &worker{acknowledged: 3}
				replicas := make([]tally, 3)
				command := make([]byte, commandBytesMin)
				apply := func(r *tally) {
					number(command, 0, r.Applied+1)
					r.apply(command)
				}
				for range 3 {
					apply(&replicas[0])
					apply(&replicas[1])
				}
				began, next := time.Now(), time.Now().Add(test.every)
				look := func() ([]tally, error) {
					if !time.Now().Before(next) {
						next = next.Add(test.every)
						apply(&replicas[2])
					}
					return replicas, nil
				}
				if err := check(t.Context(), look, []*worker{w}); !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if took := time.Since(began); took < test.took || took > test.took+time.Second {
					t.Errorf("took %s, want %s", took, test.took)
				}
			})
		})
	}
}

func nothingAtAll(int, []byte) [][]byte { return nil }

func firstOnly(n int, c []byte) [][]byte {
	if n > 5 {
		return nil
	}
	return [][]byte{c}
}

// Two proposers whose commands are in another order on one replica only: each
// proposer's own order is right, and the sum is not.
func TestTheCheckFindsReplicasThatDisagreeOnTheOrderOfProposers(t *testing.T) {
	a, b := make([]byte, 16), make([]byte, 16)
	number(a, 0, 1)
	number(b, 1, 1)
	var one, other tally
	for _, c := range [][]byte{a, b} {
		one.apply(c)
	}
	for _, c := range [][]byte{b, a} {
		other.apply(c)
	}
	workers := []*worker{{proposer: 0, acknowledged: 1}, {proposer: 1, acknowledged: 1}}
	if err := compare([]tally{one, one, one}, workers); err != nil {
		t.Errorf("equal replicas: %v", err)
	}
	if err := compare([]tally{one, one, other}, workers); err == nil {
		t.Error("replicas with another order passed")
	}
}

func TestACommandWhoseProposalFailedMayHaveBeenApplied(t *testing.T) {
	c := make([]byte, 16)
	number(c, 0, 1)
	var applied tally
	applied.apply(c)
	failed := []*worker{{err: errors.New("no answer")}}
	if err := compare([]tally{applied, applied}, failed); err != nil {
		t.Errorf("applied: %v", err)
	}
	if err := compare([]tally{{}, {}}, failed); err != nil {
		t.Errorf("not applied: %v", err)
	}
	if err := compare([]tally{applied, applied}, []*worker{{}}); err == nil {
		t.Error("a command that nobody proposed passed")
	}
}
