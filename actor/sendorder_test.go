package raft

import (
	"testing"

	"example.com/raftactor/node"
)

// An orderLog is what a member did in which order: "send" with entries, and "sync".
type orderLog []string

type orderedTransport struct {
	Transport
	log *orderLog
}

func (o orderedTransport) Join(group string, id ID, inbox Inbox) (Link, error) {
	link, err := o.Transport.Join(group, id, inbox)
	return orderedLink{link, o.log}, err
}

type orderedLink struct {
	Link
	log *orderLog
}

func (o orderedLink) Send(to ID, address string, e *PeerEnvelope) {
	for _, m := range e.Messages {
		if entries, ok := m.(*node.AppendEntries); ok && len(entries.Entries) > 0 {
			*o.log = append(*o.log, "send")
		}
	}
	o.Link.Send(to, address, e)
}

type orderedStore struct {
	Store
	log *orderLog
}

func (o orderedStore) Open(group string, id ID) (Storage, error) {
	storage, err := o.Store.Open(group, id)
	return scriptedStorage{storage, func(seq uint64, done func(uint64, error)) bool {
		*o.log = append(*o.log, "sync")
		return storage.Sync(seq, done)
	}}, err
}

// §10.2.1: the disks of the followers work beside that of the leader.
func TestTheLeaderSendsEntriesBeforeItSyncsThem(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	logs := map[ID]*orderLog{1: {}, 2: {}, 3: {}}
	f.configure = func(c *Config) {
		c.Transport = orderedTransport{c.Transport, logs[c.ID]}
		c.Store = orderedStore{c.Store, logs[c.ID]}
	}
	f.spawnFounders()
	leader := f.elect()
	f.apply(leader, "a")
	log := logs[leader]
	*log = nil
	f.apply(leader, "b")
	if len(*log) < 3 || (*log)[0] != "send" || (*log)[1] != "send" || (*log)[2] != "sync" {
		t.Errorf("the leader did %v, want two sends and then the sync", *log)
	}
}
