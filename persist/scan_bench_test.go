package persist

import (
	"path/filepath"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/vfs"
)

// BenchmarkReplay reads a log of small entries from the page cache.
func BenchmarkReplay(b *testing.B) {
	for name, size := range map[string]struct{ data, records int }{
		"16-byte entries in batches of 1024": {16, 1024},
		"16-byte entries in batches of 64":   {16, 64},
		"256-byte entries in batches of 64":  {256, 64},
		"4096-byte entries one by one":       {4096 - 128, 1},
	} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			log := newBuilder()
			log.size = 64 << 20
			log.begin(1, 0, position(0, 0))
			log.write(log.opening()...)
			index := node.Index(1)
			for {
				var records [][]byte
				for range size.records {
					records = append(records, entry(1, index, size.data))
					index++
				}
				if log.offset+format.BatchBytes(int64(size.records*len(records[0]))) > log.size {
					break
				}
				log.write(records...)
			}
			writeFile(b, filepath.Join(dir, log.file), log.files[log.file])
			b.SetBytes(log.size)
			for b.Loop() {
				c, err := loadChain(vfs.OS{}, dir)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := c.replay(running, func(*batch) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func writeFile(t testing.TB, name string, data []byte) {
	t.Helper()
	f, err := (vfs.OS{}).Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
}
