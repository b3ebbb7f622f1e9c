//go:build !race

package persist

// statesDefault is how many crash states are explored.
const statesDefault = 1_000_000
