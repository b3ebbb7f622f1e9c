// Package format is the byte layout of the write-ahead log: the header of a segment, that of a batch, and the
// records in a batch. FORMAT.md in package persist describes it. All numbers are little-endian, and all
// checksums are CRC-32C. Nothing here reads or writes a file.
//
// What is decoded may come from a damaged disk: a decoder returns an error for whatever it cannot understand,
// never panics, and allocates no more than its input is long.
package format
