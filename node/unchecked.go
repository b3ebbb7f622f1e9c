//go:build !race && !invariants

package node

const checked = false
