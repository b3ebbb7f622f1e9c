package raft

import (
	"encoding/binary"
	"errors"
)

// A session makes commands apply at most once (§6.3). It is opened by an entry of the log, which names it,
// and its commands are numbered. The table of sessions is replicated state: what it holds is a function of the log
// and of nothing else, so that all members tell the same commands from duplicates, and forget the same sessions.

// sessions is the table. Owned by the applier.
type sessions struct {
	byID map[uint64]*session
	// oldest and newest are the ends of the list by last use.
	oldest, newest *session
	// max and bytesMax are what the newest opening has said.
	max, bytesMax uint64
	bytes         uint64
	unpublished   unpublished
}

// session is one of them.
type session struct {
	id uint64
	// lowest is the first sequence whose result is kept: below, all are answered or given up.
	lowest uint64
	// kept[head:] are the results from lowest on. What stands before is room.
	kept         []sessionResult
	head         int
	bytes        uint64
	older, newer *session
}

// sessionResult is what became of a command. Index zero: it has not been applied.
type sessionResult struct {
	index  Index
	term   Term
	result []byte
}

// What a session and a result count beside the bytes of the result.
const (
	sessionBytes       = 96
	sessionResultBytes = 48
)

// A sessionVerdict says what is to be done with a command.
type sessionVerdict uint8

const (
	// sessionApply: it has not been applied. note is to be told its result.
	sessionApply sessionVerdict = iota
	// sessionDuplicate: it has been, and its result is known.
	sessionDuplicate
	// sessionGivenUp: its sender has said that it waits for it no more.
	sessionGivenUp
	// sessionExpired: there is no such session any more.
	sessionExpired
)

// open begins a session. What it says of the limits is in force from now on; there is room for one at least.
//
// It returns the session's name: the one that the leader has drawn, or the next that is free. It is drawn at random
// so that the sessions of a group that was lost are not taken for those of its successor.
func (t *sessions) open(f *frame) (name uint64) {
	t.max, t.bytesMax = max(f.sessionsMax, 1), max(f.bytesMax, sessionBytes)
	name = max(f.session, 1)
	for t.byID[name] != nil {
		name = max(name+1, 1)
	}
	s := &session{id: name, lowest: 1, bytes: sessionBytes}
	if t.byID == nil {
		t.byID = map[uint64]*session{}
	}
	t.byID[s.id] = s
	t.bytes += s.bytes
	t.pushNewest(s)
	t.evict()
	return name
}

// judge says what is to be done with a command.
func (t *sessions) judge(p *sessionPlace) (sessionVerdict, sessionResult) {
	s := t.byID[p.session]
	if s == nil {
		return sessionExpired, sessionResult{}
	}
	t.use(s)
	t.settle(s, p.lowest)
	return s.find(p.sequence)
}

// find tells what is known of a command, and changes nothing.
func (t *sessions) find(p *sessionPlace) (sessionVerdict, sessionResult) {
	if s := t.byID[p.session]; s != nil {
		return s.find(p.sequence)
	}
	return sessionExpired, sessionResult{}
}

func (s *session) find(sequence uint64) (sessionVerdict, sessionResult) {
	if sequence < s.lowest {
		return sessionGivenUp, sessionResult{}
	}
	results := s.results()
	if k := sequence - s.lowest; k < uint64(len(results)) && results[k].index != 0 {
		return sessionDuplicate, results[k]
	}
	return sessionApply, sessionResult{}
}

// note keeps the result of a command that has been applied.
func (t *sessions) note(p *sessionPlace, r sessionResult) {
	s := t.byID[p.session]
	k := int(p.sequence - s.lowest)
	before := s.bytes
	for len(s.results()) <= k {
		s.grow()
		s.bytes += sessionResultBytes
	}
	s.results()[k] = r
	s.bytes += uint64(len(r.result))
	t.bytes += s.bytes - before
	t.evict()
}

// settle forgets the results below lowest.
func (t *sessions) settle(s *session, lowest uint64) {
	if lowest <= s.lowest {
		return
	}
	results := s.results()
	results = results[:min(lowest-s.lowest, uint64(len(results)))]
	for i := range results {
		freed := sessionResultBytes + uint64(len(results[i].result))
		s.bytes -= freed
		t.bytes -= freed
	}
	clear(results)
	s.head += len(results)
	s.lowest = lowest
}

func (s *session) results() []sessionResult { return s.kept[s.head:] }

// grow adds a result that is not known yet. It moves the results only when as many are gone.
func (s *session) grow() {
	if len(s.kept) == cap(s.kept) && s.head >= len(s.kept)-s.head {
		n := copy(s.kept, s.results())
		clear(s.kept[n:])
		s.kept, s.head = s.kept[:n], 0
	}
	s.kept = append(s.kept, sessionResult{})
}

// evict forgets the sessions that have not been used for longest, until the limits hold.
func (t *sessions) evict() {
	for t.oldest != nil && (uint64(len(t.byID)) > t.max || t.bytes > t.bytesMax) {
		s := t.oldest
		t.unlink(s)
		delete(t.byID, s.id)
		t.bytes -= s.bytes
	}
}

func (t *sessions) use(s *session) {
	if t.newest != s {
		t.unlink(s)
		t.pushNewest(s)
	}
}

func (t *sessions) pushNewest(s *session) {
	s.older, s.newer = t.newest, nil
	if t.newest != nil {
		t.newest.newer = s
	} else {
		t.oldest = s
	}
	t.newest = s
}

func (t *sessions) unlink(s *session) {
	if s.older != nil {
		s.older.newer = s.newer
	} else {
		t.oldest = s.newer
	}
	if s.newer != nil {
		s.newer.older = s.older
	} else {
		t.newest = s.older
	}
}

// append encodes the table, for a snapshot. Numbers are unsigned varints.
//
//	most sessions, most bytes, number of sessions
//	for each, the one not used for longest first:
//	    id, lowest, number of results, for each: index, term, length, result
//	unpublished: from, number, for each: distance to the one before
func (t *sessions) append(b []byte) []byte {
	b = binary.AppendUvarint(b, t.max)
	b = binary.AppendUvarint(b, t.bytesMax)
	b = binary.AppendUvarint(b, uint64(len(t.byID)))
	for s := t.oldest; s != nil; s = s.newer {
		b = binary.AppendUvarint(b, s.id)
		b = binary.AppendUvarint(b, s.lowest)
		b = binary.AppendUvarint(b, uint64(len(s.results())))
		for _, r := range s.results() {
			b = binary.AppendUvarint(b, uint64(r.index))
			b = binary.AppendUvarint(b, uint64(r.term))
			b = binary.AppendUvarint(b, uint64(len(r.result)))
			b = append(b, r.result...)
		}
	}
	return t.unpublished.append(b)
}

var errSessions = errors.New("raft: the sessions in a snapshot are malformed")

// parseSessions decodes what append has encoded. It keeps parts of b.
func parseSessions(b []byte) (*sessions, error) {
	r := uvarints{data: b}
	t := &sessions{byID: map[uint64]*session{}, max: r.next(), bytesMax: r.next()}
	for n := r.next(); n > 0 && !r.bad; n-- {
		s := &session{id: r.next(), lowest: r.next(), bytes: sessionBytes}
		for n := r.next(); n > 0 && !r.bad; n-- {
			result := sessionResult{index: Index(r.next()), term: Term(r.next()), result: r.bytes()}
			s.kept = append(s.kept, result)
			s.bytes += sessionResultBytes + uint64(len(result.result))
		}
		if s.lowest == 0 || t.byID[s.id] != nil {
			return nil, errSessions
		}
		t.byID[s.id] = s
		t.bytes += s.bytes
		t.pushNewest(s)
	}
	t.unpublished.parse(&r)
	if r.bad || len(r.data) > 0 {
		return nil, errSessions
	}
	return t, nil
}
