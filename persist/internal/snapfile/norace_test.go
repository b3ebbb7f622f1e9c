//go:build !race

package snapfile

// raceEnabled: the race detector is on, and the heavy tests do less.
const raceEnabled = false
