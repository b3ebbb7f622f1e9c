package main

import "context"

// null is an empty round trip through the harness: a command is handed to
// another goroutine, counted, and answered. What it costs, every contender
// pays for being measured.
var null = contender{
	name:     "null",
	kinds:    []kind{inMemory},
	settings: "no replication: a command is handed to another goroutine and answered",
	start: func(p plan) ([]replica, error) {
		if p.groups > 1 {
			return nil, errNoGroups
		}
		n := &nothing{intake: newIntake(), done: make(chan struct{})}
		go n.run()
		return []replica{n, n, n}, nil
	},
}

type nothing struct {
	*intake
	machine
	done chan struct{}
}

func (n *nothing) run() {
	defer close(n.done)
	var batch []*request
	for {
		var more bool
		if batch, more = n.take(batch); !more {
			return
		}
		for _, r := range batch {
			n.apply(r.command)
		}
		answer(batch, nil)
	}
}

func (n *nothing) lead(context.Context) error                    { return nil }
func (n *nothing) propose(ctx context.Context, cmd []byte) error { return n.put(ctx, cmd) }
func (n *nothing) read(context.Context) error                    { return errNoReads }
func (n *nothing) tally() tally                                  { return n.look() }
func (n *nothing) stop() error {
	n.close()
	<-n.done
	return nil
}
