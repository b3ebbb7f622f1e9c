package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// askTime is how long a process of a replica may take to answer.
const askTime = 60 * time.Second

// A replicaRequest asks the process of one replica something: Start first.
type replicaRequest struct {
	Start *replicaStart `json:",omitempty"`
	What  string        `json:",omitempty"` // "tally", "usage" or "stop"
}

// A replicaStart is a plan, as it travels.
type replicaStart struct {
	Contender                         string
	Kind                              kind
	Number                            uint64
	Addresses, Dirs                   []string
	PayloadBytes, Outstanding, Groups int
}

// A replicaReply answers a replicaRequest.
type replicaReply struct {
	Error string
	Tally tally
	Usage usage
}

// A child is a replica in a process of its own.
type child struct {
	number uint64
	pipe   *pipe
}

// startChild starts a replica in a process of its own.
func startChild(ctx context.Context, c contender, p plan, number uint64) (*child, error) {
	s := &replicaStart{
		Contender: c.name, Kind: p.kind, Number: number,
		PayloadBytes: p.payloadBytes, Outstanding: p.outstanding, Groups: p.groups,
	}
	for _, m := range p.members {
		s.Addresses, s.Dirs = append(s.Addresses, m.address), append(s.Dirs, m.dir)
	}
	pipe, err := startProcess(replicaProcess)
	if err != nil {
		return nil, err
	}
	ch := &child{number: number, pipe: pipe}
	if _, err := ch.ask(ctx, replicaRequest{Start: s}); err != nil {
		return nil, errors.Join(err, pipe.close())
	}
	return ch, nil
}

func (c *child) ask(ctx context.Context, q replicaRequest) (replicaReply, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var a replicaReply
	err := c.pipe.ask(ctx, q, &a)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		return a, fmt.Errorf("replica %d: %w; it said:\n%s", c.number, err, c.pipe.saids)
	}
	return a, nil
}

func (c *child) tally() (tally, error) {
	a, err := c.ask(context.Background(), replicaRequest{What: "tally"})
	return a.Tally, err
}

func (c *child) usage() (usage, error) {
	a, err := c.ask(context.Background(), replicaRequest{What: "usage"})
	return a.Usage, err
}

func (c *child) stop() error {
	_, err := c.ask(context.Background(), replicaRequest{What: "stop"})
	return errors.Join(err, c.pipe.close())
}

// beReplica is what the process of a replica does.
func beReplica() error {
	var own replica
	return serve(func(_ context.Context, q replicaRequest) (a replicaReply, err error) {
		switch {
		case q.Start != nil && own == nil:
			own, err = q.Start.start()
		case own == nil:
			err = errors.New("the replica has not been started")
		case q.What == "tally":
			a.Tally = own.tally()
		case q.What == "usage":
			a.Usage, err = ownUsage()
		case q.What == "stop":
			err = own.stop()
		default:
			err = fmt.Errorf("there is no request %q", q.What)
		}
		if err != nil {
			a.Error = err.Error()
		}
		return a, nil
	})
}

func (s *replicaStart) start() (replica, error) {
	c, err := contenderNamed(s.Contender)
	if err != nil {
		return nil, err
	}
	p := plan{
		kind: s.Kind, here: []uint64{s.Number}, payloadBytes: s.PayloadBytes, outstanding: s.Outstanding, groups: s.Groups,
		log: os.Stderr,
	}
	for i := range s.Addresses {
		p.members = append(p.members, endpoint{number: uint64(i) + 1, address: s.Addresses[i], dir: s.Dirs[i]})
	}
	replicas, err := c.start(p)
	if err != nil {
		return nil, err
	}
	return replicas[0], nil
}
