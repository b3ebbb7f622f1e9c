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

// changeMessage is the message that asks for the event of a call.
func changeMessage(c *call, timeoutMs int64) proto.Message {
	m := &ChangeMembers{TimeoutMs: timeoutMs, Tag: c.tag, Direct: c.direct}
	switch e := c.change.(type) {
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

func transferMessage(c *call, timeoutMs int64) proto.Message {
	target := c.change.(*node.TransferLeadership).Target
	return &TransferLeadership{Target: uint64(target), TimeoutMs: timeoutMs, Tag: c.tag, Direct: c.direct}
}
