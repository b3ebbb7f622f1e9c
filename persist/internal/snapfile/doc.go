// Package snapfile is the format of a snapshot's file: whose snapshot it is, and the state of the member's
// machine. FORMAT.md in package persist describes it byte by byte. In short:
//
//	header   magic, version, length; store, salt, member, index, term, configuration; checksum
//	chunk 0  checksum, 64 KiB of state
//	chunk 1  checksum, 64 KiB of state
//	...
//	chunk n  checksum, the rest of the state
//	footer   magic, length of the state, number of chunks; checksum
//
// All numbers are little-endian, and all checksums are CRC-32C. Those of chunks and footer begin with the salt,
// which is drawn at random for each file, and those of chunks go on with the chunk's number. So what stands in
// another place than where it was written, or in another file, is noticed as well as a flipped bit.
//
// A [Writer] takes the state as a stream and a [Reader] gives any part of it. Each holds about one chunk in
// memory, however long the state is. Nothing here creates, syncs or names a file.
//
// A file may come from a damaged disk. What does not match is a [*Damage], and is never handed out. Nothing
// panics, and nothing allocates more than the file's length accounts for.
package snapfile
