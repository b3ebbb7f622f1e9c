package mailbox_test

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
)

type tick struct{}

type add struct{ n int }

func Example() {
	system := quietSystem()
	sum := 0
	props := actor.PropsFromFunc(func(ctx actor.Context) {
		switch message := ctx.Message().(type) {
		case *mailbox.Batch:
			for _, element := range message.Requests {
				sum += actor.UnwrapEnvelopeMessage(element).(add).n
				if sender := actor.UnwrapEnvelopeSender(element); sender != nil {
					ctx.Send(sender, sum)
				}
			}
		case *actor.Stopped:
			fmt.Println("stopped")
		}
	}, actor.WithMailbox(mailbox.New(mailbox.Options{
		Classify: func(message any) (mailbox.Lane, int) {
			if _, ok := message.(tick); ok {
				return mailbox.Control, 0
			}
			return mailbox.Request, 8
		},
		Overloaded: func(any) any { return "overloaded" },
	})))

	pid := system.Root.Spawn(props)
	system.Root.Send(pid, tick{})
	system.Root.Send(pid, add{1})
	sumSoFar, _ := system.Root.RequestFuture(pid, add{2}, -1).Result()
	fmt.Println(sumSoFar)
	_ = system.Root.StopFuture(pid).Wait()
	// Output:
	// 3
	// stopped
}

// A test runs the turns itself, and sees them.
func ExampleScheduler() {
	system, scheduler := quietSystem(), new(mailbox.Scheduler)
	scheduler.Trace = func(self *actor.PID, message any) {
		if batch, ok := message.(*mailbox.Batch); ok {
			fmt.Println(self.Id, batch.Requests)
		} else {
			fmt.Printf("%s %T\n", self.Id, message)
		}
	}
	member, _ := system.Root.SpawnNamed(actor.PropsFromFunc(func(actor.Context) {},
		actor.WithMailbox(scheduler.New(mailbox.Options{}))), "member")
	system.Root.Send(member, 1)
	system.Root.Send(member, 2)
	system.Root.Poison(member)
	fmt.Println(scheduler.Run(100), "turns")
	// Output:
	// member *actor.Started
	// member [1 2]
	// member *actor.PoisonPill
	// member *actor.Stop
	// 4 turns
}
