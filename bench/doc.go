// Command bench shows, on the machine that it runs on, how fast replicated logs are: raftactor, the libraries that a user would
// pick instead, and floors that are not Raft and say what the hardware leaves to any of them.
//
//	go run . -quick
//	go run . -workloads W2 -payload 16 -concurrency 64 -rounds 5
//
// Read in this order: floor_mem.go and floor_wal.go, simple enough to be checked by eye, with intake.go below them; contender.go, the
// interface, and null.go, ours.go and the others behind it; tally.go, the state machine of all, and check.go, which holds it against
// what was acknowledged; load.go, who proposes; turn.go, one contender's turn, in a process of its own (pipe.go, child.go); driver.go,
// who has all take their turns; stats.go and table.go, what is made of it.
package main
