package simfs

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
)

func TestTheHookIsToldOfEachOperationThatChanges(t *testing.T) {
	f := New()
	var told []string
	f.OnOperation(func(op Op) { told = append(told, fmt.Sprintf("%v %v", op.Done, op)) })
	noError(t, f.MkdirAll("d"))
	a := create(t, f, "d/a")
	write(t, a, "abc", 5)
	write(t, a, "abc", 8)
	noError(t, a.Truncate(9))
	noError(t, a.Sync())
	noError(t, f.SyncDir("d"))
	noError(t, f.Rename("d/a", "d/b"))
	_, err := f.ReadDir("d")
	noError(t, err)
	noError(t, f.Remove("d/b"))
	_ = f.Remove("d/b") // an error
	want := []string{
		"op 1: mkdir 1: d", "op 2: create 1: d/a", "op 3: write 1: d/a [5+3]", "op 4: write 2: d/a [8+3]",
		"op 5: truncate 1: d/a to 9", "op 6: sync 1: d/a", "op 7: syncdir 1: d", "op 8: rename 1: d/a to d/b",
		"op 9: remove 1: d/b", "op 10: remove 2: d/b",
	}
	for i, text := range want {
		after := text
		if i == len(want)-1 {
			after += ": remove d/b: file does not exist"
		}
		if len(told) < 2*i+2 || told[2*i] != "false "+text || told[2*i+1] != "true "+after {
			t.Errorf("%s: not told so in %q", text, told)
		}
	}
	if len(told) != 2*len(want) {
		t.Errorf("told of %d, want %d", len(told), 2*len(want))
	}
	if n := f.Operations(Write); n != 2 {
		t.Errorf("%d writes", n)
	}
	f.OnOperation(nil)
	create(t, f, "z")
	if len(told) != 2*len(want) {
		t.Error("told after the end")
	}
}

func TestAKillDuringAWriteLeavesAPrefix(t *testing.T) {
	f := New()
	f.SetOutcomes(plain)
	file := durableFile(t, f, "a", fill("a", 2))
	var got, torn []string
	f.OnOperation(func(op Op) {
		if op.Kind != Write || op.Done {
			return
		}
		for _, n := range []int{0, SectorBytes, 2 * SectorBytes} {
			image := f.KillDuring(op, n)
			got = append(got, brief(image, "a"))
			if n == SectorBytes {
				for image := range image.CrashStates(100, nil) {
					torn = append(torn, brief(image, "a"))
				}
			}
		}
	})
	write(t, file, fill("b", 3), SectorBytes)
	if want := []string{"|aa", "|ab", "|abb"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	slices.Sort(torn)
	if want := []string{"|a0", "|aa", "|ab"}; !slices.Equal(torn, want) {
		t.Errorf("power losses in the middle: %v, want %v", torn, want)
	}
	if got := brief(f, "a"); got != "|abbb" {
		t.Errorf("the write has left %s", got)
	}
}

func TestCuts(t *testing.T) {
	tests := map[string]struct {
		offset, length int64
		want           []int
	}{
		"aligned":       {512, 1536, []int{1, 7, 511, 512, 513, 1023, 1024, 1025, 1535}},
		"not aligned":   {500, 600, []int{1, 7, 11, 12, 13, 523, 524, 525, 599}},
		"in one sector": {0, 512, []int{1, 7, 511}},
		"one byte":      {0, 1, nil},
		"nothing":       {0, 0, nil},
	}
	for name, test := range tests {
		if got := Cuts(test.offset, test.length); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func TestAFaultHitsTheNthOperationOfItsKind(t *testing.T) {
	steps := map[Kind]func(f *FS, i int) error{
		MkdirAll: func(f *FS, i int) error { return f.MkdirAll(fmt.Sprint("d", i)) },
		Create:   func(f *FS, i int) error { _, err := f.Create(fmt.Sprint("c", i)); return err },
		Write:    func(f *FS, i int) error { return onFile(f, writeByte) },
		Truncate: func(f *FS, i int) error { return onFile(f, func(h *handle) error { return h.Truncate(int64(i)) }) },
		Sync:     func(f *FS, i int) error { return onFile(f, (*handle).Sync) },
		Rename:   func(f *FS, i int) error { return f.Rename("file", "file") },
		Remove:   func(f *FS, i int) error { return f.Remove(fmt.Sprint("r", i)) },
		SyncDir:  func(f *FS, i int) error { return f.SyncDir(".") },
		Lock:     func(f *FS, i int) error { _, err := f.Lock(fmt.Sprint("l", i)); return err },
		Open:     func(f *FS, i int) error { _, err := f.Open("file"); return err },
		Read:     func(f *FS, i int) error { return onFile(f, readByte) },
		ReadDir:  func(f *FS, i int) error { _, err := f.ReadDir("."); return err },
	}
	for kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			f := New()
			write(t, create(t, f, "file"), "content", 0)
			for i := range 4 {
				create(t, f, fmt.Sprint("r", i))
			}
			first := f.Operations(kind)
			for name, injector := range map[string]func(Kind, int, Fault) func(Op) *Fault{"nth": FailNth, "from": FailFrom} {
				f := f.Kill()
				f.counts[kind] = first
				f.Inject(injector(kind, first+3, Fault{Err: syscall.EIO}))
				for i := range 4 {
					err := steps[kind](f, i)
					if hit := i == 2 || i == 3 && name == "from"; hit != errors.Is(err, syscall.EIO) || !hit && err != nil {
						t.Errorf("%s: number %d: %v", name, i+1, err)
					}
				}
			}
		})
	}
}

func writeByte(h *handle) error {
	_, err := h.WriteAt([]byte("x"), 0)
	return err
}

func readByte(h *handle) error {
	_, err := h.ReadAt(make([]byte, 1), 0)
	return err
}

// onFile uses a handle without opening the file.
func onFile(f *FS, use func(*handle) error) error {
	id, _ := f.names.lookup("file")
	return use(f.handle(id, "file", true))
}

func TestAnOperationThatFailsChangesNothing(t *testing.T) {
	f := New()
	file := durableFile(t, f, "a", "content")
	before := dump(f)
	f.Inject(func(Op) *Fault { return &Fault{Err: syscall.EIO} })
	_, created := f.Create("b")
	_, locked := f.Lock("c")
	for what, err := range map[string]error{
		"create": created, "lock": locked, "truncate": file.Truncate(1),
		"rename": f.Rename("a", "b"), "remove": f.Remove("a"),
	} {
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := dump(f); got != before {
		t.Errorf("got %s, want %s", got, before)
	}
}

func TestAFailedWriteMayHaveWrittenAPart(t *testing.T) {
	f := New()
	file := durableFile(t, f, "a", "aaaa")
	f.Inject(FailNth(Write, 2, Fault{Err: syscall.EIO, Written: 2}))
	if n, err := file.WriteAt([]byte("bbbb"), 0); n != 2 || !errors.Is(err, syscall.EIO) {
		t.Errorf("got %d, %v", n, err)
	}
	if got := string(f.Content("a")); got != "bbaa" {
		t.Errorf("the file is %s", got)
	}
}

func TestAFullDiskTakesWhatFits(t *testing.T) {
	f := New()
	f.SetLimit(10)
	file := durableFile(t, f, "a", "aaaa")
	other := durableFile(t, f, "b", "bbb")
	if n, err := file.WriteAt([]byte("cccccc"), 3); n != 4 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %d, %v", n, err)
	}
	if got := string(f.Content("a")); got != "aaacccc" {
		t.Errorf("the file is %s", got)
	}
	write(t, file, "ddddddd", 0)
	if err := other.Truncate(4); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("truncate: %v", err)
	}
	if _, err := f.Kill().Create("c"); err != nil {
		t.Errorf("an empty file: %v", err)
	}
	noError(t, f.Remove("a"))
	if err := other.Truncate(4); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the removed file is open, and yet: %v", err)
	}
	noError(t, file.Close())
	noError(t, other.Truncate(10))
}

func TestDamageIsThereBeforeAndAfterACrash(t *testing.T) {
	f := New()
	file := durableFile(t, f, "a", fill("a", 3))
	write(t, file, fill("b", 1), 0)
	f.SetOutcomes(Old)
	noError(t, f.Flip("a", 3, 1))
	noError(t, f.Zero("a", 510, 514))
	for _, image := range []*FS{f, f.PowerLoss(Choice{}), f.PowerLoss(Everything(Newest))} {
		content := image.Content("a")
		if content[3] != content[2]^2 || content[509] == 0 || content[510] != 0 ||
			content[1023] != 0 || content[1024] != 'a' {
			t.Errorf("got %q", content)
		}
	}
	for what, err := range map[string]error{
		"before": f.Flip("a", -1, 0), "behind": f.Flip("a", 1536, 0), "over the end": f.Zero("a", 1535, 2),
		"none": f.Flip("b", 0, 0),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
