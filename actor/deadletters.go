package raft

// Proto.Actor logs dead letters with their contents. Commands, questions and results are nobody's
// business but the user's.

// IgnoreDeadLetterLogging keeps the command out of Proto.Actor's logs.
func (*Propose) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging keeps the result out of Proto.Actor's logs.
func (*Proposed) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging keeps the question out of Proto.Actor's logs.
func (*Query) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging keeps the answer out of Proto.Actor's logs.
func (*Answer) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging keeps the command out of Proto.Actor's logs.
func (*Applied) IgnoreDeadLetterLogging() {}

func (*forward) IgnoreDeadLetterLogging() {}

func (*work) IgnoreDeadLetterLogging()             {}
func (*entriesFetched) IgnoreDeadLetterLogging()   {}
func (*logServed) IgnoreDeadLetterLogging()        {}
func (feederWoken) IgnoreDeadLetterLogging()       {}
func (subscribersProbed) IgnoreDeadLetterLogging() {}

func (*syncDone) IgnoreDeadLetterLogging()       {}
func (*machineApplied) IgnoreDeadLetterLogging() {}
func (*sendingEnded) IgnoreDeadLetterLogging()   {}
func (*receivingEnded) IgnoreDeadLetterLogging() {}
func (*snapshotEnded) IgnoreDeadLetterLogging()  {}
func (peerUnreachable) IgnoreDeadLetterLogging() {}
func (removalFound) IgnoreDeadLetterLogging()    {}
func (tickPassed) IgnoreDeadLetterLogging()      {}
func (releaseWanted) IgnoreDeadLetterLogging()   {}
func (transferTick) IgnoreDeadLetterLogging()    {}
