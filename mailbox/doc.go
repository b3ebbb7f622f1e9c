// Package mailbox is a Proto.Actor mailbox that hands an actor all that waits for it at once, in
// lanes.
//
//	props := actor.PropsFromProducer(newMember, actor.WithMailbox(mailbox.New(mailbox.Options{
//		Classify:   classify,
//		Overloaded: func(any) any { return &Rejected{Code: Overloaded} },
//	})))
//
// The actor receives one [Batch] per turn, and every other message as it would from Proto.Actor's
// own mailbox:
//
//	func (m *member) Receive(ctx actor.Context) {
//		switch message := ctx.Message().(type) {
//		case *mailbox.Batch:
//			m.turn(ctx, message)
//		case *actor.Started, *actor.Stopping, *actor.Terminated: // and so on
//		}
//	}
//
// # Lanes
//
//	         classify                       turn
//	posters ──┬──> control  (unbounded) ──┐
//	          ├──> peer     (drops)     ──┼──> Batch ──> Receive
//	          ├──> requests (refuses)   ──┘
//	          └──> system ───────────────────> Receive, one by one, first
//
// A poster never waits: its message is queued, or the lane is full, and then it is dropped (Peer)
// or its sender gets an answer on the spot (Request). A lane keeps the order of posting; lanes
// overtake each other. A turn takes from each lane what waits there, up to a limit, so no lane
// starves another.
//
// # What stays as Proto.Actor has it
//
//   - System messages (Started, Watch, Stop, Restart, Terminated, a continuation of ReenterAfter)
//     come one by one, before user messages. A suspended mailbox delivers nothing else until it
//     is resumed.
//   - PoisonPill, ReceiveTimeout and whatever responds by itself (actor.AutoRespond, such as
//     Touch) come on their own, after all that was posted before them and before all that was
//     posted after, in every lane. What responds by itself is bounded in number by RequestsMax, and
//     while a PoisonPill waits another one is forgotten.
//   - Senders and headers: elements of a batch keep their envelope.
//   - A panic goes to the supervisor, with the message: for a batch a copy that stays valid. A
//     restarted or resumed actor goes on with what is still queued; the rest of the batch that
//     failed is gone, as the one message would be. An actor that owes answers for it recovers in
//     its own Receive.
//   - The dispatcher (actor.WithDispatcher) is not used, and there is no actor.MailboxMiddleware.
//
// Two things are better. What a stopped actor has not received goes to the dead letters, so that
// whoever waits for an answer learns it at once, where Proto.Actor's mailbox forgets it silently.
// And a Restart that comes after Stopped is ignored, where Proto.Actor revives an actor that
// nobody can reach.
//
// # Goroutines, and none
//
// Each mailbox of [New] has one goroutine. It is parked while there is nothing to do, and ends
// when the actor has handled Stopped. A [Scheduler] makes mailboxes that have none: a test runs
// their turns, in an order of its choice, and can do so again. Everything but who runs a turn is
// the same code.
package mailbox
