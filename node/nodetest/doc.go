// Package nodetest drives whole groups of [node.Node] in tests, step by step and on one goroutine.
// There is no clock and nothing happens by itself: the caller says which message arrives, which sync
// completes, who ticks and who crashes.
//
//	c := nodetest.New(nodetest.Options{})
//	c.Bootstrap(1, 2, 3)
//	c.Elect(1)                    // Campaign, then deliver and complete until quiet
//	c.Propose(1, "a")             // stages the entry, and puts it on the network
//	c.CompleteSync(2, 7)          // the disk of 2 is done with everything up to sync 7
//	c.Deliver(0)                  // the oldest message in flight arrives
//	c.Crash(1)                    // what was not synced is lost
//	c.Settle()                    // deliver and complete everything else
//	fmt.Print(c)                  // the members, one per line, and the network
//	if err := c.Err(); err != nil // what the checker has found
//
// # What a member consists of
//
// A [Log] that loses on a crash what was not synced; a machine, whose [State] is everything applied
// to it, and which may be slow; the work that its driver still has to do, as [Task] values that the caller lets happen, in
// any order and as late as it likes; and messages that wait for a sync.
//
// # What is checked
//
// After every step, over all members and across restarts, a checker looks for what must never
// happen: two leaders in a term, a leader that changes its log, logs that disagree on an entry, an
// elected leader that lacks a committed entry, members that apply different entries, a term, a vote
// or a commit index that goes back, a promise that leaves before what it promises is durable, a
// commit that is not durable on a majority, a configuration that is not that of the log, a proposal
// with two outcomes, a read that misses something committed, a machine that is handed more than may wait
// for it. [Cluster.Err] is the first finding, and
// after it the cluster does nothing any more.
//
// The same calls give the same actions, byte for byte: [Options].Trace shows them.
package nodetest
