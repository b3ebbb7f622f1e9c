package simfs

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"example.com/raftactor/persist/internal/vfs"
)

// noError stops the test if there is an error.
func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// create makes a file.
func create(t testing.TB, f *FS, name string) vfs.File {
	t.Helper()
	file, err := f.Create(name)
	noError(t, err)
	return file
}

func write(t testing.TB, file vfs.File, text string, offset int64) {
	t.Helper()
	if n, err := file.WriteAt([]byte(text), offset); n != len(text) || err != nil {
		t.Fatalf("WriteAt: %d of %d bytes, %v", n, len(text), err)
	}
}

// durableFile makes a file that has nothing to lose.
func durableFile(t testing.TB, f *FS, name, content string) vfs.File {
	t.Helper()
	file := create(t, f, name)
	write(t, file, content, 0)
	noError(t, file.Sync())
	noError(t, f.SyncDir("."))
	return file
}

// fill is n sectors of one letter.
func fill(letter string, n int) string { return strings.Repeat(letter, n*SectorBytes) }

// dump is all that reads can find out.
func dump(f *FS) string {
	var text strings.Builder
	for _, file := range f.Files() {
		fmt.Fprintf(&text, "%s %d %q\n", file.Name, file.Size, f.Content(file.Name))
	}
	return text.String()
}

// brief names each sector by its first byte: digits and letters as they are, 0 for zeros, ? for the rest.
func brief(f *FS, name string) string {
	content := f.Content(name)
	if content == nil {
		return "none"
	}
	text := "|"
	for s := range slices.Chunk(content, SectorBytes) {
		switch {
		case bytes.Count(s, s[:1]) < len(s):
			text += "?"
		case s[0] == 0:
			text += "0"
		default:
			text += string(s[0])
		}
	}
	return text
}

// states are the distinct states of a file after a power loss, in order, each with how often it was told.
func states(f *FS, name string) map[string]int {
	all := map[string]int{}
	for image := range f.CrashStates(1<<20, nil) {
		all[brief(image, name)]++
	}
	return all
}

// wantStates checks them. Each must come once.
func wantStates(t *testing.T, f *FS, name string, want ...string) {
	t.Helper()
	got := states(f, name)
	for _, state := range want {
		if got[state] != 1 {
			t.Errorf("%s comes %d times, want once", state, got[state])
		}
		delete(got, state)
	}
	for state := range got {
		t.Errorf("%s must not be", state)
	}
}
