package persisttest

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"example.com/raftactor/node"
)

// patience is how long a store may take for what it does later.
const patience = time.Minute

// A probe runs one check on one subject, and notes what is wrong.
type probe struct {
	Subject
	patience time.Duration
	members  []*member // owned by the goroutine of the check

	mu     sync.Mutex
	faults []error // guarded by mu
}

// givenUp ends a check, or one of its goroutines, in which there is nothing more to see.
type givenUp struct{}

// run returns what is wrong with the subject.
func (c check) run(s Subject, patience time.Duration) []error {
	p := &probe{Subject: s, patience: patience}
	p.guard(func() { c.do(p) })
	p.guard(p.closeAll)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults
}

// guard notes a panic as a fault, and lets the rest go on.
func (p *probe) guard(f func()) {
	defer func() {
		switch reason := recover(); reason {
		case nil, givenUp{}:
		default:
			p.errorf("panic: %v\n%s", reason, debug.Stack())
		}
	}()
	f()
}

// errorf notes a fault. It is safe for concurrent use.
func (p *probe) errorf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Errorf(format, args...))
}

// fatalf notes a fault, and gives up.
func (p *probe) fatalf(format string, args ...any) {
	p.errorf(format, args...)
	panic(givenUp{})
}

// must gives up unless err is nil.
func (p *probe) must(err error, format string, args ...any) {
	if err != nil {
		p.fatalf("%s: %w", fmt.Sprintf(format, args...), err)
	}
}

// parallel runs f(0) to f(n-1) at once, each in a goroutine.
func (p *probe) parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { p.guard(func() { f(i) }) })
	}
	wg.Wait()
}

// eventually wants a condition to come true.
func (p *probe) eventually(condition func() bool, format string, args ...any) {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for late := time.After(p.patience); !condition(); {
		select {
		case <-again.C:
		case <-late:
			p.fatalf("after %v: %s", p.patience, fmt.Sprintf(format, args...))
		}
	}
}

// member opens a new member.
func (p *probe) member(group string, id node.ID) *member {
	m := &member{probe: p, group: group, id: id, model: newModel()}
	m.open()
	p.members = append(p.members, m)
	return m
}

// reopenStore closes all members, opens the store again, and the members.
func (p *probe) reopenStore() {
	p.closeAll()
	store := p.Reopen()
	if store == nil {
		p.fatalf("Reopen returns no store")
	}
	p.Store = store
	for _, m := range p.members {
		m.open()
	}
}

// closeAll closes the members that are open.
func (p *probe) closeAll() {
	for _, m := range p.members {
		if m.isOpen {
			m.close()
		}
	}
}

// survives wants the members to be as their models say: now, and when they have been opened again, and the store
// as well.
func (p *probe) survives(members ...*member) {
	for _, m := range members {
		m.compare("as staged")
	}
	for _, m := range members {
		m.sync()
		m.compare("synced")
		m.close()
		m.open()
		m.compare("opened again")
	}
	if p.Reopen == nil {
		return
	}
	p.reopenStore()
	for _, m := range members {
		m.compare("when the store has been opened again")
	}
}

// inUse tells whether err says that the member is in use.
func inUse(err error) bool { return errors.Is(err, node.ErrInUse) }
