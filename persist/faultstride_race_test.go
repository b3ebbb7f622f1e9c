//go:build race

package persist

// faultStride is which of the cases of a large test are run: with the race detector, one of so many.
const faultStride = 100
