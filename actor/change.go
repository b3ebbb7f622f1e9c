package raft

import (
	"google.golang.org/protobuf/proto"

	"example.com/raftactor/node"
)

// changeOf is the event that a message asks for.
func changeOf(m *ChangeMembers) (node.Event, *Rejected) {
	switch change := m.Change.(type) {
	case *ChangeMembers_Add:
		return &node.AddMember{
			ID: ID(change.Add.GetId()), Address: change.Add.GetAddress(),
			Incarnation: node.Incarnation(change.Add.GetIncarnation()),
		}, nil
	case *ChangeMembers_Promote:
		return &node.Promote{ID: ID(change.Promote.GetId())}, nil
	case *ChangeMembers_Demote:
		return &node.Demote{ID: ID(change.Demote.GetId())}, nil
	case *ChangeMembers_Remove:
		return &node.RemoveMember{ID: ID(change.Remove.GetId())}, nil
	default:
		return nil, invalid("ChangeMembers names no change: set one of add, promote, demote and remove")
	}
}

// changeMessage is the message that asks for an event.
func changeMessage(event node.Event, timeoutMs int64, tag uint64) proto.Message {
	m := &ChangeMembers{TimeoutMs: timeoutMs, Tag: tag}
	switch e := event.(type) {
	case *node.AddMember:
		m.Change = &ChangeMembers_Add{&AddMember{Id: uint64(e.ID), Address: e.Address, Incarnation: uint64(e.Incarnation)}}
	case *node.Promote:
		m.Change = &ChangeMembers_Promote{&PromoteMember{Id: uint64(e.ID)}}
	case *node.Demote:
		m.Change = &ChangeMembers_Demote{&DemoteMember{Id: uint64(e.ID)}}
	case *node.RemoveMember:
		m.Change = &ChangeMembers_Remove{&RemoveMember{Id: uint64(e.ID)}}
	}
	return m
}

func transferMessage(event node.Event, timeoutMs int64, tag uint64) proto.Message {
	return &TransferLeadership{Target: uint64(event.(*node.TransferLeadership).Target), TimeoutMs: timeoutMs, Tag: tag}
}
