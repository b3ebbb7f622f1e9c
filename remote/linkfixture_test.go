package raftremote

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"example.com/raftactor/node"
)

// A testSystem is a system with links, on a gRPC server of its own.
type testSystem struct {
	*links
	t        testing.TB
	server   *grpc.Server
	listener net.Listener
	// ways are the addresses that are dialed in place of others. Guarded by mu.
	mu     sync.Mutex
	ways   map[string]string
	events []any // guarded by mu
	served sync.WaitGroup
	// accepted are the connections of others, and ends why those of the link have ended.
	accepted *connections
	ends     chan error
}

var testLives atomic.Uint64

// startSystem starts a system. change may change its configuration.
func startSystem(t testing.TB, name string, change ...func(*linkConfig)) *testSystem {
	t.Helper()
	return startSystemAt(t, name, "127.0.0.1:0", change...)
}

func startSystemAt(t testing.TB, name, listen string, change ...func(*linkConfig)) *testSystem {
	t.Helper()
	s := &testSystem{t: t, ways: map[string]string{}, accepted: newConnections(0), ends: make(chan error, 1000)}
	s.listener = listenAt(t, listen)
	cfg := linkConfig{
		cluster: "test", system: name, address: s.listener.Addr().String(), life: testLives.Add(1) + 1<<40,
		logger: hclog.NewNullLogger(), dial: s.dialed, publish: s.published, observe: news.ring,
	}
	if testing.Verbose() {
		cfg.logger = hclog.New(&hclog.LoggerOptions{Name: name, Level: hclog.Debug})
	}
	for _, f := range change {
		f(&cfg)
	}
	s.links = newLinks(cfg)
	s.server = grpc.NewServer(
		grpc.Creds(newGuardedCredentials(nil, s.accepted, func(refusalReason) {}, s.serve)),
	)
	s.served.Go(func() { s.server.Serve(s.listener) })
	t.Cleanup(s.kill)
	return s
}

// listenAt listens at an address, which may be in use still by who had it before, or for a while by a connection that was
// dialed from it. Nobody but the system knows when it is free: so it is tried again.
func listenAt(t testing.TB, address string) net.Listener {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for late := time.Now().Add(patience); ; <-again.C {
		l, err := net.Listen("tcp", address)
		if err == nil {
			return l
		}
		if time.Now().After(late) {
			t.Fatalf("listening at %s: %v", address, err)
		}
	}
}

// kill ends a system.
func (s *testSystem) kill() {
	s.links.stop()
	s.accepted.close()
	s.server.Stop()
	s.served.Wait()
}

// loose is a stream of this system's with nobody at the other end.
func (s *testSystem) loose(dialed bool) *stream {
	end, _ := net.Pipe()
	below := newMeteredConn(end)
	return newStream(s.links, newWire(below, 1<<20), below, dialed)
}

// serve serves a connection of the link.
func (s *testSystem) serve(w *wire, info *connectionInfo) {
	s.links.serve(w, info, func(err error) { s.ends <- err })
}

func (s *testSystem) dialed(ctx context.Context, address string) (net.Conn, error) {
	s.mu.Lock()
	if way := s.ways[address]; way != "" {
		address = way
	}
	s.mu.Unlock()
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

// dials has another address dialed in place of one.
func (s *testSystem) dials(way, address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ways[address] = way
}

func (s *testSystem) published(event any) {
	defer news.ring()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event)
}

func (s *testSystem) allEvents() []any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// A testMember is a member that keeps what it hears.
type testMember struct {
	*member
	t  testing.TB
	mu sync.Mutex
	// All are guarded by mu.
	envelopes   []*node.PeerEnvelope
	unreachable map[node.ID]int
	requests    []*testRequest
	// delivered, if there is one, is called in place of keeping the envelope.
	delivered func(*node.PeerEnvelope)
}

// A testRequest is a forward that came from another system.
type testRequest struct {
	data  []byte
	reply func([]byte)
}

func (r *testRequest) AppendRequest(b []byte) ([]byte, error) { return append(b, r.data...), nil }
func (r *testRequest) Bytes() int                             { return len(r.data) }
func (r *testRequest) Answer(reply []byte) error              { r.reply(reply); return nil }
func (r *testRequest) Drop()                                  {}

// A testForward is a forward of a member here.
type testForward struct {
	data    []byte
	mu      sync.Mutex
	answers []string // guarded by mu
	drops   int      // guarded by mu
}

func (f *testForward) AppendRequest(b []byte) ([]byte, error) { return append(b, f.data...), nil }
func (f *testForward) Bytes() int                             { return len(f.data) }

func (f *testForward) Answer(reply []byte) error {
	defer news.ring()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers = append(f.answers, string(reply))
	return nil
}

func (f *testForward) Drop() {
	defer news.ring()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drops++
}

func (f *testForward) outcome() (answers []string, drops int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.answers), f.drops
}

// join has a member join.
func (s *testSystem) join(group string, id node.ID) *testMember {
	s.t.Helper()
	m := &testMember{t: s.t, unreachable: map[node.ID]int{}}
	link, err := s.Join(group, id, m)
	if err != nil {
		s.t.Fatal(err)
	}
	m.member = link.(*member)
	return m
}

func (m *testMember) Deliver(e *node.PeerEnvelope) {
	if m.delivered != nil {
		m.delivered(e)
		return
	}
	defer news.ring()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.envelopes = append(m.envelopes, e)
}

func (m *testMember) Unreachable(id node.ID) {
	defer news.ring()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unreachable[id]++
}

func (m *testMember) NewForward(request []byte, reply func([]byte)) (node.Forward, error) {
	r := &testRequest{slices.Clone(request), reply}
	defer news.ring()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests = append(m.requests, r)
	return r, nil
}

func (m *testMember) lost(id node.ID) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unreachable[id]
}

// heard are all messages that have come.
func (m *testMember) heard() (messages []node.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.envelopes {
		messages = append(messages, e.Messages...)
	}
	return messages
}

func (m *testMember) asked() []*testRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.requests)
}

// knows has a member know where others are.
func (m *testMember) knows(placed map[node.ID]string) {
	var members []node.Member
	for id, address := range placed {
		members = append(members, node.Member{ID: id, Suffrage: node.Voter, Address: address})
	}
	m.Configure(node.NewConfiguration(members...))
}

// tell sends a message to a member of another system.
func (m *testMember) tell(to node.ID, s *testSystem, messages ...node.Message) {
	for _, message := range messages {
		message.Head().From, message.Head().To = m.id, to
	}
	address := ""
	if s != nil {
		address = s.cfg.address
	}
	m.Send(to, address, &node.PeerEnvelope{Group: m.group, From: m.id, To: to, Messages: messages})
}

// entries is an AppendEntries with so many bytes.
func entries(first node.Index, bytes int) *node.AppendEntries {
	return &node.AppendEntries{
		Header: node.Header{Term: 1}, PrevIndex: first - 1, PrevTerm: 1,
		Entries: []node.Entry{{Index: first, Term: 1, Kind: node.EntryCommand, Data: make([]byte, bytes)}},
	}
}

func heartbeat(term node.Term, round uint64) *node.Heartbeat {
	return &node.Heartbeat{Header: node.Header{Term: term}, Round: round}
}

// A bell rings when something has happened that a test may wait for.
type bell struct {
	mu   sync.Mutex
	next chan struct{} // guarded by mu; closed by the next ring. Nil: nobody listens
}

// news is rung by the links of all systems, and by all that tests put around them.
var news bell

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}

// listen returns a channel that is closed by the next ring.
func (b *bell) listen() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// eventually waits until something is so. Whatever makes it so rings the bell.
func eventually(t testing.TB, what string, isSo func() bool) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		next := news.listen() // before it is looked at, so that nothing is missed
		if isSo() {
			return
		}
		select {
		case <-next:
		case <-late.C:
			t.Fatalf("it never came about that %s", what)
		}
	}
}

// byAndBy is eventually for what rings no bell: it looks again and again.
func byAndBy(t testing.TB, what string, isSo func() bool) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for late := time.Now().Add(patience); !isSo(); <-again.C {
		if time.Now().After(late) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}
