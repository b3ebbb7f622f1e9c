//go:build !linux

package main

import "os"

// fileSystem names the one that a directory is on, which is not known here.
func fileSystem(string) string { return "an unknown file system" }

// syncData makes what was written to a file durable.
func syncData(f *os.File) error { return f.Sync() }
