// Package vfs is the little that the store asks of a file system, so that tests can put one in its place that
// tears writes, loses syncs and fails.
package vfs
