// Package persisttest checks that a storage of members keeps every promise that a node and its driver rely on:
// those of [node.Log], of [node.Storage], and of a store that hands storages out. Whoever writes a storage runs it
// in a test of their own:
//
//	func TestStore(t *testing.T) {
//		persisttest.Run(t, func(t *testing.T) persisttest.Subject {
//			return persisttest.Subject{Store: mystore.New()}
//		})
//	}
//
// Run calls the function once for each check, so that each begins with an empty store. A store that is durable
// says how it is opened again; then everything that has been synced must be there:
//
//	func TestStore(t *testing.T) {
//		persisttest.Run(t, func(t *testing.T) persisttest.Subject {
//			dir := t.TempDir()
//			store := mustOpen(t, dir)
//			t.Cleanup(func() { store.Close() })
//			return persisttest.Subject{
//				Store: store,
//				Reopen: func() persisttest.Store {
//					mustClose(t, store)
//					store = mustOpen(t, dir)
//					return store
//				},
//				MemoryBytes: 1 << 20,
//			}
//		})
//	}
//
// # What is checked
//
// A member's storage is compared with a model that is as simple as can be: a slice of entries, and a few fields.
// Each check does to both what it is about. It compares them at once, since what is staged can be read; after a
// sync and after the member has been opened again; and after the store has been, if it can be. The last
// checks do whatever comes to a random source's mind. What they do follows from a seed, which a failure names; set
// [Subject].Seed to it to see that failure again.
//
// # What is not checked
//
// The suite does not crash anything and breaks no disk. That what was acknowledged survives the loss of power
// has to be tested by someone who can take it away.
package persisttest
