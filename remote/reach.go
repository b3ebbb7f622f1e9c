package raftremote

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/raftactor/node"
)

// reach says whom other systems may send something, and what. It is safe for concurrent use.
type reach struct {
	remote  *Remote
	permits permits

	mu      sync.RWMutex
	exposed map[string]exposure // guarded by mu
	parents []string            // guarded by mu; those names in exposed that end in a slash, the longest first
}

// An exposure is what may be sent to an actor. Nil: what is not forbidden for all.
type exposure map[protoreflect.FullName]bool

func newReach(r *Remote) *reach {
	return &reach{remote: r, exposed: map[string]exposure{}}
}

func (r *reach) expose(name string, messages []proto.Message) {
	var allowed exposure
	for _, m := range messages {
		if allowed == nil {
			allowed = exposure{}
		}
		allowed[proto.MessageName(m)] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.exposed[name]; !known && strings.HasSuffix(name, "/") {
		r.parents = append(r.parents, name)
		slices.SortFunc(r.parents, func(a, b string) int { return len(b) - len(a) })
	}
	r.exposed[name] = allowed
}

// exposure is what may be sent to the actor of this name because of itself, or of who is above it, the nearest first.
func (r *reach) exposure(name string) (allowed exposure, exposed bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if allowed, exposed = r.exposed[name]; exposed && !strings.HasSuffix(name, "/") {
		return allowed, true
	}
	for _, parent := range r.parents {
		if len(name) > len(parent) && strings.HasPrefix(name, parent) {
			return r.exposed[parent], true
		}
	}
	return nil, false
}

// judge says why a message of a class may not go to the local actor of this name from a system, or returns nothing.
func (r *reach) judge(name string, c *class, from string) refusalReason {
	if r.hosts(name) {
		if c.watches() || c.kind == classTouch || c.kind == classRaft {
			return ""
		}
		return reasonType
	}
	allowed, exposed := r.exposure(name)
	isFuture := strings.HasPrefix(name, "future")
	switch {
	case exposed && (c.watches() || c.kind == classTouch || c.kind == classReply):
		return ""
	case exposed && allowed != nil && allowed[c.name] && c.kind != classForbidden:
		return ""
	case exposed && allowed == nil && c.ordinary():
		return ""
	case !r.permits.has(from, name):
		if exposed {
			return reasonType
		}
		return reasonTarget
	case c.watches() && !isFuture, c.ordinary(), c.kind == classReply, c.kind == classTouch:
		return ""
	case c.kind == classCluster && isFuture: // Proto.Cluster's actors ask each other by futures, and do not answer otherwise
		return ""
	}
	return reasonType
}

// knows tells whether another system may name a local actor in a message: it can send it something, or could, if the actor
// were there.
func (r *reach) knows(name, from string) bool {
	if _, _, ok := parseMember(name); ok {
		return true
	}
	_, exposed := r.exposure(name)
	return exposed || r.permits.has(from, name)
}

// hosts tells whether a name is that of a raft actor here.
func (r *reach) hosts(name string) bool {
	group, id, ok := parseMember(name)
	if !ok {
		return false
	}
	b := r.remote.running.Load()
	return b != nil && b.links.hosts(group, id)
}

// parseMember takes the name of a raft actor apart: raft/GROUP/ID.
func parseMember(name string) (group string, id node.ID, ok bool) {
	rest, ok := strings.CutPrefix(name, "raft/")
	if !ok {
		return "", 0, false
	}
	slash := strings.LastIndexByte(rest, '/')
	if slash <= 0 {
		return "", 0, false
	}
	number, err := strconv.ParseUint(rest[slash+1:], 10, 64)
	if err != nil || number == 0 || strconv.FormatUint(number, 10) != rest[slash+1:] {
		return "", 0, false
	}
	return rest[:slash], node.ID(number), true
}

// permits are for answers: who has sent something to a system may be sent something by it. They are bounded; the oldest go
// first, but rather those whose actor is gone. It is safe for concurrent use. The zero value is ready.
type permits struct {
	mu    sync.Mutex
	held  map[permit]struct{} // guarded by mu
	order []permit            // guarded by mu; a ring
	next  int                 // guarded by mu; the oldest in it, once it is full
}

type permit struct{ address, name string }

const (
	permitsMax = 64 << 10
	// permitTries is how many permits of living actors are passed over for one of an actor that is gone.
	permitTries = 16
)

func (p *permits) grant(system *actor.ActorSystem, address, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := permit{address, name}
	if _, there := p.held[key]; there {
		return
	}
	if p.held == nil {
		p.held = map[permit]struct{}{}
	}
	p.held[key] = struct{}{}
	if len(p.order) < permitsMax {
		p.order = append(p.order, key)
		return
	}
	for range permitTries {
		if _, alive := system.ProcessRegistry.GetLocal(p.order[p.next].name); !alive {
			break
		}
		p.next = (p.next + 1) % permitsMax
	}
	delete(p.held, p.order[p.next])
	p.order[p.next] = key
	p.next = (p.next + 1) % permitsMax
}

func (p *permits) has(address, name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, there := p.held[permit{address, name}]
	return there
}
