//go:build !race

package persist

// faultStride is which of the cases of a large test are run: all.
const faultStride = 1
