//go:build race || invariants

package node

// checked builds verify every invariant after every step, and wipe what a step has returned when
// the next one begins.
const checked = true
