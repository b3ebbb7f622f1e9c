//go:build race

package persist

// statesDefault is a hundredth with the race detector.
const statesDefault = 10_000
