package raftremote

import (
	"strings"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// A class is what the guard knows of a type of messages.
type class struct {
	name       protoreflect.FullName
	descriptor protoreflect.MessageDescriptor
	kind       classKind
	// flat: neither other messages nor lists are in it, so that its size in memory is that on the wire.
	flat bool
}

type classKind uint8

const (
	classForbidden classKind = iota // never: what stops, spawns, or only Proto.Actor itself sends
	classNamed                      // only where it was exposed by name
	classCluster                    // of Proto.Cluster: where it was exposed by name, and as the answer to a request
	classUser                       // the application's own
	classRaft                       // requests to raft actors, and their replies
	classReply                      // Proto.Actor's replies: a dead letter, or touched
	classTouch
	classWatch
	classUnwatch
	classTerminated
)

func (c *class) watches() bool  { return c.kind == classWatch || c.kind == classUnwatch }
func (c *class) ordinary() bool { return c.kind == classUser || c.kind == classRaft }

// classes are those of the types that have come by: no more than the program has.
var classes sync.Map // of *class, by the name

// classOf is the class of a type, or nil if this program does not have it.
func classOf(name string) *class {
	if c, known := classes.Load(name); known {
		return c.(*class)
	}
	t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return nil
	}
	d := t.Descriptor()
	c := &class{name: d.FullName(), descriptor: d, kind: classKindOf(t), flat: isFlat(d)}
	known, _ := classes.LoadOrStore(name, c)
	return known.(*class)
}

func classKindOf(t protoreflect.MessageType) classKind {
	switch m := t.Zero().Interface().(type) {
	case *actor.Watch:
		return classWatch
	case *actor.Unwatch:
		return classUnwatch
	case *actor.Terminated:
		return classTerminated
	case *actor.Touch:
		return classTouch
	case *actor.Touched, *actor.DeadLetterResponse:
		return classReply
	case actor.SystemMessage, actor.AutoReceiveMessage, actor.MailboxMessage:
		return classForbidden
	case remote.RootSerialized:
		return classNamed // what it does when it arrives is code of the application's
	default:
		return classKindIn(m.ProtoReflect().Descriptor().ParentFile().Package())
	}
}

func classKindIn(pkg protoreflect.FullName) classKind {
	switch top, _, _ := strings.Cut(string(pkg), "."); top {
	case "actor", "remote":
		return classForbidden
	case "cluster":
		return classCluster
	case "raftactor":
		return classRaft
	}
	return classUser
}

func isFlat(d protoreflect.MessageDescriptor) bool {
	fields := d.Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.Message() != nil || f.IsList() {
			return false
		}
	}
	return true
}
