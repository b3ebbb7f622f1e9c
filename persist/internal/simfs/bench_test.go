package simfs

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// store is a file system of ten files and 256 KiB, with a write of 4 KiB and an operation on a directory in
// flight.
func store(b *testing.B) *FS {
	f := New()
	for i := range 9 {
		durableFile(b, f, fmt.Sprint("file", i), fill("a", 56))
	}
	write(b, durableFile(b, f, "wal", fill("a", 8)), fill("b", 8), 0)
	create(b, f, "tmp")
	return f
}

func BenchmarkKill(b *testing.B) {
	f := store(b)
	b.ReportAllocs()
	for b.Loop() {
		f.Kill()
	}
}

func BenchmarkLosses(b *testing.B) {
	f := store(b)
	b.ReportAllocs()
	for b.Loop() {
		f.Losses()
	}
}

func BenchmarkCrashState(b *testing.B) {
	l := store(b).Losses()
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		l.State(i * 7919 % l.Count())
	}
}

func BenchmarkSample(b *testing.B) {
	l, rng := store(b).Losses(), rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		l.Sample(rng)
	}
}

// BenchmarkWrite is a recovery's first write to an image.
func BenchmarkWrite(b *testing.B) {
	l := store(b).Losses()
	data := []byte(fill("c", 8))
	b.ReportAllocs()
	for b.Loop() {
		file, err := l.State(0).OpenWritable("file0")
		noError(b, err)
		_, err = file.WriteAt(data, 4096)
		noError(b, err)
		noError(b, file.Sync())
	}
}
