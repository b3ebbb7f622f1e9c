package node

import "testing"

// saved is a follower that has applied 1@1 2@1 3@2 and holds all of it behind a snapshot at 3.
func saved(t *testing.T, cfg Config) *subject {
	t.Helper()
	s := taking(t, cfg)
	s.does(&Snapshotted{Meta: metaAt(3, 2)})
	s.syncs()
	return s
}

func (s *subject) wants(through Index) []string {
	s.tb.Helper()
	return s.does(&ReleaseEntries{Through: through})
}

func TestReleaseOfWhatTheSnapshotCoversIsDoneAtOnce(t *testing.T) {
	s := saved(t, Config{})
	equal(t, "first index before", s.store.FirstIndex(), 1)
	want(t, s.wants(2), "sync 2")
	equal(t, "first index", s.store.FirstIndex(), 3)
	equal(t, "snapshot", s.store.Snapshot().Index, 3)
	want(t, s.wants(2)) // that is done
	want(t, s.wants(1))
	want(t, s.wants(0))
	want(t, s.wants(3), "sync 3")
	equal(t, "first index", s.store.FirstIndex(), 4)
	equal(t, "overview", s.Overview().FirstIndex, 4)
	// What the log holds then is what a restart finds.
	again := startOn(t, Config{ID: 2}, s.store)
	equal(t, "applied after a restart", again.applied, 3)
	want(t, again.ticks(1), "restore 3@2 {1 2 3}@1", "members {1 2 3}@1 committed=true")
}

func TestReleaseBeyondTheLogIsCut(t *testing.T) {
	s := saved(t, Config{})
	want(t, s.wants(IndexMax), "sync 2")
	equal(t, "first index", s.store.FirstIndex(), 4)
	// What comes later is newer than the wish.
	wantNo(t, s.feed(2), "take")
	want(t, s.wants(3)) // that is done
	want(t, s.does(&RequestSnapshot{}), "take snapshot 5@2 {1 2 3}@1")
	s.does(&Snapshotted{Meta: metaAt(5, 2)})
	equal(t, "snapshot", s.store.Snapshot().Index, 5)
	equal(t, "first index", s.store.FirstIndex(), 4)
}

func TestReleaseOfWhatNoSnapshotCoversTakesOne(t *testing.T) {
	s := saved(t, Config{RetainEntries: 100})
	s.feed(2)
	want(t, s.wants(4), "take snapshot 5@2 {1 2 3}@1", "sync 4")
	equal(t, "first index meanwhile", s.store.FirstIndex(), 4) // the present one covers that
	want(t, s.wants(4))                                        // it is under way
	want(t, s.does(&Snapshotted{Meta: metaAt(5, 2)}), "sync 5")
	equal(t, "first index", s.store.FirstIndex(), 5)
	equal(t, "snapshot", s.store.Snapshot().Index, 5)
}

func TestReleaseTakesASnapshotWhereNoneIsTakenOtherwise(t *testing.T) {
	s := start(t, given{id: 2, terms: []Term{1, 2}, cfg: Config{SnapshotEntries: Unlimited}}).follows(1, 2)
	s.gets(&Heartbeat{Header: s.from(1, 2), Commit: 3})
	want(t, s.wants(2), "take snapshot 3@2 {1 2 3}@1")
	want(t, s.does(&Snapshotted{Meta: metaAt(3, 2)}), "sync 1")
	equal(t, "first index", s.store.FirstIndex(), 3)
}

// TestReleaseNeverGoesBeyondWhatIsApplied: what is not committed, or not applied, stays until it is.
func TestReleaseNeverGoesBeyondWhatIsApplied(t *testing.T) {
	s := start(t, given{id: 2, terms: []Term{1, 1, 1}, cfg: Config{SnapshotEntries: Unlimited, RetainEntries: 100}})
	s.follows(1, 2)
	want(t, s.wants(4)) // nothing is applied yet
	want(t, s.gets(&Heartbeat{Header: s.from(1, 2), Commit: 3}),
		"apply 1@1{1 2 3} 2@1=c2 3@1=c3", "members {1 2 3}@1 committed=true")
	want(t, s.wants(4), "take snapshot 3@1 {1 2 3}@1")
	want(t, s.does(&Snapshotted{Meta: metaAt(3, 1)}), "sync 2")
	equal(t, "first index", s.store.FirstIndex(), 4)
	want(t, s.gets(&Heartbeat{Header: s.from(1, 2), Commit: 4}), "apply 4@1=c4", "take snapshot 4@1 {1 2 3}@1")
	want(t, s.does(&Snapshotted{Meta: metaAt(4, 1)}), "sync 3")
	equal(t, "first index", s.store.FirstIndex(), 5)
}

func TestReleaseWantedWhileASnapshotIsTakenIsRemembered(t *testing.T) {
	s := taking(t, Config{RetainEntries: 100})
	s.feed(2)
	want(t, s.wants(2))
	want(t, s.does(&Snapshotted{Meta: metaAt(3, 2)}), "sync 3")
	equal(t, "first index", s.store.FirstIndex(), 3)
	// And so is what that one does not cover.
	s = taking(t, Config{RetainEntries: 100})
	s.feed(2)
	want(t, s.wants(4))
	want(t, s.does(&Snapshotted{Meta: metaAt(3, 2)}), "take snapshot 5@2 {1 2 3}@1", "sync 3")
	equal(t, "first index", s.store.FirstIndex(), 4)
	want(t, s.does(&Snapshotted{Meta: metaAt(5, 2)}), "sync 4")
	equal(t, "first index", s.store.FirstIndex(), 5)
}

// TestFailedSnapshotIsTakenAgainWhenTheReleaseIsWantedAgain: and not before, or a machine that cannot would be asked
// all the time.
func TestFailedSnapshotIsTakenAgainWhenTheReleaseIsWantedAgain(t *testing.T) {
	s := saved(t, Config{RetainEntries: 100})
	s.feed(2)
	wantSome(t, s.wants(5), "take snapshot 5@2")
	want(t, s.does(&SnapshotFailed{Index: 5}))
	want(t, s.ticks(1))
	wantSome(t, s.wants(5), "take snapshot 5@2")
	s.does(&Snapshotted{Meta: metaAt(5, 2)})
	equal(t, "first index", s.store.FirstIndex(), 6)
}

func TestReleaseWantedWhileTheMachineRestoresWaits(t *testing.T) {
	s := start(t, given{id: 2, terms: []Term{1, 1, 1}, snapshot: 2, released: 1}).follows(1, 1)
	s.gets(&Heartbeat{Header: s.from(1, 1), Commit: 4})
	wantNo(t, s.wants(4), "take")
	equal(t, "first index", s.store.FirstIndex(), 3) // the state is in the snapshot
	want(t, s.does(&Restored{Index: 2}), "take snapshot 4@1 {1 2 3}@1")
}

func TestReleaseWantedOfWhatIsTruncatedIsForgotten(t *testing.T) {
	s := start(t, given{id: 2, terms: []Term{1, 1, 1}, cfg: Config{SnapshotEntries: Unlimited}}).follows(1, 2)
	want(t, s.wants(4))
	s.gets(s.append(3, 3, command(2, 1, "c2"), 0, command(3, 3, "x")))
	s.syncs()
	s.gets(&Heartbeat{Header: s.from(3, 3), Commit: 3})
	equal(t, "wanted", s.snapshots.wanted, 2)
}

func TestReceiverOfASnapshotHoldsBackWhatTheStorageWantsReleased(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   Config
		ticks int
		first Index
	}{
		"held":        {Config{}, 0, 4},
		"out of time": {Config{SnapshotHoldTicks: 4}, 4, 8},
		"not at all":  {Config{SnapshotHoldTicks: -1}, 0, 8},
		"out of room": {Config{SnapshotHoldEntries: 2}, 0, 6},
	} {
		t.Run(name, func(t *testing.T) {
			s := behind(t, c.cfg)
			s.proposes("a", "b", "c")
			s.syncs()
			wantSome(t, s.gets(s.ack(3, 7)), "take snapshot 7@2")
			s.does(&Snapshotted{Meta: metaAt(7, 2)})
			s.syncs()
			equal(t, "first index before", s.store.FirstIndex(), 4)
			s.wants(7)
			for range c.ticks / 2 {
				s.ticks(2)
				s.gets(s.pulse(3))
			}
			equal(t, "first index", s.store.FirstIndex(), c.first)
		})
	}
}

// TestReleaseThatWasHeldBackIsMadeUpFor: when the receiver has its snapshot, without being asked again.
func TestReleaseThatWasHeldBackIsMadeUpFor(t *testing.T) {
	s := behind(t, Config{})
	s.proposes("a", "b", "c")
	s.syncs()
	s.gets(s.ack(3, 7))
	s.does(&Snapshotted{Meta: metaAt(7, 2)})
	s.wants(7)
	equal(t, "first index", s.store.FirstIndex(), 4)
	s.does(&SnapshotSent{Peer: 2, OK: false})
	equal(t, "first index", s.store.FirstIndex(), 8)
}
