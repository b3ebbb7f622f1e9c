package raft

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"testing"

	"google.golang.org/protobuf/proto"
)

// Mistakes as somebody could make them, and the kind of finding that each has to lead to.
var planted = map[string]struct {
	kind  string
	plant func(t *trial)
}{
	"reads see what the member has":     {"history", func(t *trial) { t.hooks.consistency = Consistency_LOCAL }},
	"reads see an old copy":             {"history", machines(asReadsOld)},
	"answers are of another index":      {"replies", machines(asReadsOld)},
	"some commands are applied twice":   {"exactly once", machines(asAppliesTwice)},
	"streams and machines differ":       {"streams", machines(asAppliesTwice)},
	"a machine leaves commands out":     {"machines", machines(asLeavesOut)},
	"a machine panics":                  {"failures", panicsOnce},
	"tries leave their session":         {"exactly once", requests(withoutSession)},
	"results are lost":                  {"history", replies(withoutResult)},
	"an unknown outcome is denied":      {"outcomes", replies(denied)},
	"what was done is never told":       {"liveness", replies(neverDone)},
	"what is unknown is acknowledged":   {"exactly once", replies(acknowledged)},
	"some replies do not come":          {"replies", replies(seldom)},
	"a disk forgets what it has synced": {"exactly once", stores(asForgetful)},
	"a disk is said to have synced":     {"durability", stores(asForgetful)},
	"a snapshot has no sessions":        {"machines", stores(asSessionless)},
	"sessions are not in a snapshot":    {"sessions", stores(asSessionless)},
	"a request is forwarded twice":      {"exactly once", forwardsTwice},
	"users of Clients propose again":    {"exactly once", insists},
}

func machines(make func(*dictionary) Machine) func(*trial) {
	return func(t *trial) { t.hooks.machine = make }
}

func requests(change func(any) any) func(*trial) {
	return func(t *trial) { t.hooks.request = change }
}

func replies(change func(any) any) func(*trial) {
	return func(t *trial) { t.hooks.reply = change }
}

func stores(wrap func(Store) Store) func(*trial) {
	return func(t *trial) { t.hooks.config = func(c *Config) { c.Store = wrap(c.Store) } }
}

// A checker that cannot fail proves nothing: each mistake is found within a few schedules.
func TestPlantedMistakesAreFound(t *testing.T) {
	for name, mistake := range planted {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 100; seed++ {
				if _, failure := runTrial(t, seed, mistake.plant); failure.is(mistake.kind) {
					t.Logf("found by seed %d", seed)
					return
				}
			}
			t.Errorf("no finding of the kind %q in 100 schedules", mistake.kind)
		})
	}
}

func asReadsOld(d *dictionary) Machine     { return &readsOld{dictionary: d} }
func asAppliesTwice(d *dictionary) Machine { return appliesTwice{d} }
func asLeavesOut(d *dictionary) Machine    { return &leavesOut{dictionary: d} }
func asForgetful(s Store) Store            { return forgetfulStore{s} }
func asSessionless(s Store) Store          { return sessionlessStore{s} }

// readsOld answers queries from a copy that it renews from time to time.
type readsOld struct {
	*dictionary
	copy    dictionary
	queries int
}

func (m *readsOld) Query(key []byte) ([]byte, error) {
	if m.queries++; m.queries%10 == 1 {
		m.copy.values = maps.Clone(m.values)
	}
	return m.copy.Query(key)
}

// appliesTwice applies every tenth command twice.
type appliesTwice struct{ *dictionary }

func (m appliesTwice) Apply(c Command) ([]byte, error) {
	if c.Index%10 == 0 {
		if _, err := m.dictionary.Apply(c); err != nil {
			return nil, err
		}
	}
	return m.dictionary.Apply(c)
}

// leavesOut applies nine of ten commands.
type leavesOut struct {
	*dictionary
	commands int
}

func (m *leavesOut) Apply(c Command) ([]byte, error) {
	if m.commands++; m.commands%10 == 0 {
		return nil, nil
	}
	return m.dictionary.Apply(c)
}

// panicsOnce has one machine panic that nobody has upset.
func panicsOnce(t *trial) {
	panicked := false
	t.hooks.machine = func(d *dictionary) Machine {
		upset := d.onApply
		d.onApply = func(c Command) error {
			if c.Index == 10 && !panicked {
				panicked = true
				panic("not the trial's doing")
			}
			return upset(c)
		}
		return d
	}
}

// forwardsTwice has a transport between processes deliver a request as often as its envelope.
func forwardsTwice(t *trial) {
	t.hooks.forwardTwice = true
	t.weather.betweenProcesses, t.weather.sessionless, t.weather.repeat = true, t.weather.clients, 500
}

// insists has people propose again what a Client does not dare to.
func insists(t *trial) {
	t.hooks.insist = true
	t.weather.realClients, t.weather.sessionless = 1000, t.weather.clients
}

// withoutSession is a proposal that may be applied as often as it is sent.
func withoutSession(request any) any {
	if m, ok := request.(*Propose); ok {
		return &Propose{Command: m.Command, TimeoutMs: m.TimeoutMs, Tag: m.Tag}
	}
	return request
}

func withoutResult(reply any) any {
	if m, ok := reply.(*Proposed); ok {
		return &Proposed{Index: m.Index, Term: m.Term, Tag: m.Tag}
	}
	return reply
}

func denied(reply any) any {
	if m, ok := reply.(*Rejected); ok && m.Outcome == Outcome_UNKNOWN {
		m = proto.Clone(m).(*Rejected)
		m.Outcome = Outcome_NOT_APPLIED
		return m
	}
	return reply
}

func neverDone(reply any) any {
	if m, ok := reply.(*Proposed); ok {
		return &Rejected{Code: Code_DEADLINE, Outcome: Outcome_UNKNOWN, Tag: m.Tag}
	}
	return reply
}

func acknowledged(reply any) any {
	if m, ok := reply.(*Rejected); ok && m.Outcome == Outcome_UNKNOWN {
		return &Proposed{Index: 1, Term: 1, Tag: m.Tag}
	}
	return reply
}

// seldom lets nine of ten replies through.
func seldom(reply any) any {
	if m, ok := reply.(interface{ GetTag() uint64 }); ok && m.GetTag()%10 == 0 {
		return nil
	}
	return reply
}

// A forgetfulStore says that all is durable, and makes nothing so.
type forgetfulStore struct{ Store }

func (s forgetfulStore) Open(group string, id ID) (Storage, error) {
	storage, err := s.Store.Open(group, id)
	return forgetfulStorage{storage}, err
}

type forgetfulStorage struct{ Storage }

func (forgetfulStorage) Sync(uint64, func(uint64, error)) bool { return true }

// A sessionlessStore gives snapshots back without their sessions.
type sessionlessStore struct{ Store }

func (s sessionlessStore) Open(group string, id ID) (Storage, error) {
	storage, err := s.Store.Open(group, id)
	return sessionlessStorage{storage}, err
}

type sessionlessStorage struct{ Storage }

func (s sessionlessStorage) OpenSnapshot(meta SnapshotMeta) (SnapshotReader, error) {
	state, err := s.Storage.OpenSnapshot(meta)
	if err != nil {
		return nil, err
	}
	defer state.Close()
	_, own, err := readState(state)
	if err != nil {
		return nil, err
	}
	machine, err := io.ReadAll(own)
	whole := append(stateHeader(&sessions{}), machine...)
	return memorySnapshotReader{bytes.NewReader(whole)}, errors.Join(err)
}
