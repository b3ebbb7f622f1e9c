package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/persist"
)

func TestASecondRunGoesOn(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "counter") // neither is there
	mustRun(t, "ok: 2000 increments, value 2000 on 2 of 2 members", "-dir", dir, "-increments", "2000")
	mustRun(t, "ok: 1000 increments, value 3000 on 3 of 3 members", "-dir", dir, "-increments", "1000", "-kill-leader=false")
}

func TestDirectoriesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	mustFail(t, exitUsage, "a directory is wanted", "-dir", file)
	mustFail(t, exitUsage, "a directory is wanted", "-dir", filepath.Join(file, "below"))
	mustFail(t, exitUsage, "needs an argument", "-dir")
}

func TestADirectoryThatCannotBeWrittenTo(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("who is root may write everywhere")
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o500))
	mustFail(t, exitUsage, "a directory is wanted", "-dir", dir)
}

func TestADirectoryThatIsInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := persist.Open(filepath.Join(dir, "2"), persist.Options{Logger: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	mustFail(t, exitFailed, "another run is using "+dir, "-dir", dir)
	must(t, store.Close())
	mustRun(t, "ok: 10 increments, value 10 on 2 of 2 members", "-dir", dir, "-increments", "10")
}

// The members of a group change by what it commits, and not by a flag.
func TestAnotherNumberOfMembersIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustRun(t, "ok: 10 increments, value 10 on 2 of 2 members", "-dir", dir, "-increments", "10")
	mustFail(t, exitUsage, "no directories of members 4, 5", "-dir", dir, "-members", "5")
	mustFail(t, exitUsage, "the directories of members 2, 3", "-dir", dir, "-members", "1")

	// Without the file, as after a first run that was killed early, the members themselves know.
	ledger := filepath.Join(dir, ledgerName)
	must(t, os.Rename(ledger, ledger+".away"))
	mustFail(t, exitUsage, "{1 2 3}", "-dir", dir, "-members", "4")
	must(t, os.RemoveAll(filepath.Join(dir, "4")))
	must(t, os.Rename(ledger+".away", ledger))
	mustRun(t, "ok: 10 increments, value 20 on 2 of 2 members", "-dir", dir, "-increments", "10")
}

// A member that has lost what it had stored must not take part as if it were the same.
func TestAMemberWithoutItsStoreIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustRun(t, "ok: 10 increments, value 10 on 2 of 2 members", "-dir", dir, "-increments", "10")
	second := filepath.Join(dir, "2")
	must(t, os.Rename(second, second+".away"))
	mustFail(t, exitUsage, "no directories of members 2", "-dir", dir)
	must(t, os.Mkdir(second, 0o700))
	mustFail(t, exitFailed, second+" is empty", "-dir", dir)
	must(t, os.RemoveAll(second))
	must(t, os.Rename(second+".away", second))
	mustRun(t, "ok: 10 increments, value 20 on 2 of 2 members", "-dir", dir, "-increments", "10")
}

// What an earlier run was told is held against the value.
func TestALossIsNoticed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustRun(t, "ok: 10 increments, value 10 on 2 of 2 members", "-dir", dir, "-increments", "10")
	ledger := filepath.Join(dir, ledgerName)
	for text, want := range map[string]string{
		"00000000000000000011\n": "lost: the value is 10, and earlier runs were told of 11",
		"eleven\n":               `holds "eleven\n", and not a number`,
	} {
		must(t, os.WriteFile(ledger, []byte(text), 0o600))
		mustFail(t, exitFailed, want, "-dir", dir)
	}
	must(t, os.WriteFile(ledger, nil, 0o600)) // a run was killed between making and writing it
	mustRun(t, "ok: 10 increments, value 20 on 2 of 2 members", "-dir", dir, "-increments", "10")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// An interrupted run has let go of the directory, and lost nothing.
func TestAfterAnInterruptARunGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := options{dir: dir, members: 3, increments: 1 << 40, level: hclog.Off}
	_, err := count(ctx, o, cancelling(cancel), io.Discard) // as soon as there is something to say
	if err == nil || !strings.HasPrefix(err.Error(), "interrupted after ") {
		t.Errorf("got %v, want how many increments there were", err)
	}
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-dir", dir, "-increments", "10"}, &stdout, &stderr); code != exitOK {
		t.Errorf("exit code %d, want %d; it says %q", code, exitOK, stderr.String())
	}
}
