// Package simfs is a file system in memory that crashes. A test runs a workload on it, stops it at any
// operation, and asks for what a killed process or a power loss may leave. Each answer is another file
// system, on which recovery runs at once. It is deterministic, and images share what they have in common, so
// that a state costs microseconds.
//
//	disk := simfs.New()
//	disk.OnOperation(func(op simfs.Op) {
//		for image := range disk.CrashStates(1000, rng) {
//			recoverAndCheck(t, image) // on failure, say op and image.Origin()
//		}
//	})
//	workload(disk) // takes a vfs.FS
//
// # What is durable
//
// Reads see the page cache. Behind it lies what is durable:
//
//   - The content of a file and its length are durable after File.Sync.
//   - A name is durable after SyncDir of its directory: a file whose creation is lost is gone, however often
//     it was synced. So with Rename and Remove. A Rename from one directory to another is durable after a
//     SyncDir of either.
//   - Directories are durable as soon as they are made.
//
// # Crashes
//
// [FS.Kill] ends the process: the page cache stays, and what was not durable is not durable still. Handles,
// locks, hooks and faults are gone. [FS.KillDuring] ends it in the middle of a write, and [Cuts] tells the
// lengths that are worth trying.
//
// A power loss ends the machine: BootID changes, and of what was not durable each part is lost or not,
// whatever becomes of the others:
//
//   - A sector of 512 bytes turns out [Old], as [Written] by any write since, [Newest], [Zeros], [Garbage],
//     or [Flipped] in a bit. With [FS.SetOutcomes] there are fewer, and so fewer states.
//   - A length turns out to be the durable one or any that the file has had since. What a truncation has cut
//     off is there if the truncation is not, and then nothing is there that was written behind it. A
//     truncation by itself tears no sector.
//   - Each operation on a directory is there or not, but it is not there without the earlier ones that
//     concern the same name. Each is atomic.
//
// [FS.Losses] works all that out. Outcomes with the same content are one, so [Losses.Count] counts states
// that differ, and [Losses.State] makes one by its number. [Losses.States] and [FS.CrashStates] go through
// all of them, or draw some when there are too many. [FS.PowerLoss] makes one that a test chooses:
//
//	image := disk.PowerLoss(simfs.Choice{})                  // all is lost that can be
//	image := disk.PowerLoss(simfs.Everything(simfs.Newest))  // nothing is
//	image := disk.PowerLoss(simfs.Everything(simfs.Garbage)) // every unsynced sector is garbage
//
// Images are independent of each other and of where they come from, and may be used on several goroutines. To
// crash during recovery, crash an image.
//
// # Faults
//
// [FS.Inject] fails operations, for instance with [FailNth]:
//
//	disk.Inject(simfs.FailNth(simfs.Sync, 3, simfs.Fault{Err: syscall.EIO}))
//
// A write that fails may have written a part. A sync that fails makes nothing durable and marks the pages as
// clean: reads see them until the next crash, and a later sync that succeeds passes them over, unless they
// were written again. So does a SyncDir that fails. The length is durable again with the next sync that has
// anything to write. A sync that lies makes nothing durable and says nothing, as if nobody had called it.
//
// [FS.SetLimit] fills the disk. [FS.Flip] and [FS.Zero] damage a file, in the page cache and on the disk.
//
// # What it does not do
//
// Only files are renamed and removed, and there are no links. Writes do not carry over a page what they do
// not touch: a sector that a failed sync has marked as clean stays so when its neighbour is written, which is
// worse than what most systems do.
package simfs
