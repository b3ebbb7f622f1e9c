package raft

import (
	"fmt"
	"math"
	"slices"
)

// A fate is what a client knows of an operation.
type fate uint8

const (
	open     fate = iota // the client goes on trying
	answered             // it was done, and this is its result
	unknown              // it may have been done, or may yet be
	never                // it was not, and will not be
)

// An operation is what a client wants done once, and how that went. It is what histories are made of.
type operation struct {
	command
	// call and end are steps. It ends at the end of time if its fate is unknown.
	call, end int64
	fate      fate
	result    string
	index     Index
	term      Term

	// What follows is a simulant's.

	tries []*try
	// session and sequence are its place, once it has one, and expired says that there is no such session any more.
	session, sequence uint64
	expired           bool
	// due is when the client tries again, in ticks, and gracious that it has waited once more for a try's answer.
	due      int64
	gracious bool
}

// A client does operations, by itself or through a [Client].
type client interface {
	// step goes on with what is due.
	step()
	// self is what all clients have.
	self() *user
}

// A user has operations to be done. It is a part of every client.
type user struct {
	*trial
	id          int
	sessionless bool
	// left are still to begin, and made have begun.
	left, made int
	open       []*operation
	// seen is the highest index that it was told of.
	seen Index
}

func (u *user) self() *user { return u }

// addClients makes the clients of the trial.
func (t *trial) addClients() {
	for id := 1; id <= t.weather.clients; id++ {
		u := &user{trial: t, id: id, left: t.weather.operations / t.weather.clients, sessionless: id <= t.weather.sessionless}
		if t.chance(t.weather.realClients) {
			t.clients = append(t.clients, newRealClient(u))
		} else {
			t.clients = append(t.clients, &simulant{user: u})
		}
	}
}

func (t *trial) someClient() client { return t.clients[t.rng.IntN(len(t.clients))] }

// idle tells whether all clients are done.
func (t *trial) idle() bool {
	return !slices.ContainsFunc(t.clients, func(c client) bool { return c.self().isBusy() })
}

func (u *user) isBusy() bool {
	return u.left > 0 || slices.ContainsFunc(u.open, func(o *operation) bool { return o.fate == open })
}

// next begins an operation, if there is room for one more.
func (u *user) next() *operation {
	u.open = slices.DeleteFunc(u.open, func(o *operation) bool { return o.fate != open })
	if u.left == 0 || len(u.open) >= u.weather.pipeline {
		return nil
	}
	u.left--
	u.made++
	o := &operation{command: command{client: u.id, number: u.made, key: u.someKey()}, call: u.now, end: math.MaxInt64}
	o.value = fmt.Sprintf("%d.%d,", u.id, u.made)
	switch o.verb = pick(u.rng, get, get, put, appendTo, appendTo, compareSwap); o.verb {
	case compareSwap:
		o.expected = u.guess(o.key)
	case get:
		o.value = ""
	}
	u.open = append(u.open, o)
	u.history = append(u.history, o)
	return o
}

const keys = 5

func (t *trial) someKey() string { return fmt.Sprintf("k%d", 1+t.rng.IntN(keys)) }

// guess is a value that a key may have.
func (t *trial) guess(key string) string {
	for k := len(t.history) - 1; k >= 0; k-- {
		if o := t.history[k]; o.key == key && o.fate == answered && o.verb != compareSwap {
			if o.verb == put {
				return o.value
			}
			return o.result
		}
	}
	return ""
}

// answer notes what came of an operation.
func (u *user) answer(o *operation, result string, index Index, term Term) {
	o.fate, o.end, u.lastEnd = answered, u.now, u.now
	o.result, o.index, o.term = result, index, term
	u.seen = max(u.seen, index)
	u.expectDurable(o)
}

// expectDurable wants what a client is told of to be on the disks of a majority, where that is always of three.
func (t *trial) expectDurable(o *operation) {
	if t.weather.change > 0 {
		return
	}
	durable := 0
	for _, id := range t.ids {
		if log := t.store(id).durable; log != nil && log.LastIndex() >= o.index {
			term, err := log.Term(o.index)
			if err != nil || o.term == 0 || term == o.term { // an error: a snapshot covers it
				durable++
			}
		}
	}
	if durable < 2 {
		t.find("durability", "client %d is told %q at %d of term %d for operation %d, %v, and %d members have that durably",
			o.client, o.result, o.index, o.term, o.number, o, durable)
	}
}

func (t *trial) ticks() int64 { return int64(t.clock.Now() / step) }
