package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Below the directory of a group each member has one of its own, named by its number. The file beside them says what
// has been promised.
const ledgerName = "acknowledged"

// ledger is the name of the file. Each member that is a process of its own has one.
func (o options) ledger() string {
	if o.id != 0 {
		return fmt.Sprint(ledgerName, "-", o.id)
	}
	return ledgerName
}

// checkDirectory sees to it that no other number of members lives in a directory, which need not be there. founded: a
// run has got so far that its group may have acknowledged something.
func checkDirectory(dir string, members int) (founded bool, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, wrongDir(dir, err)
	}
	there := map[int]bool{}
	for _, e := range entries {
		if id, err := strconv.Atoi(e.Name()); err == nil {
			there[id] = true
		}
		founded = founded || e.Name() == ledgerName
	}
	var extra, missing []string
	for id := range there {
		if id < 1 || id > members {
			extra = append(extra, strconv.Itoa(id))
		}
	}
	for id := 1; founded && id <= members; id++ {
		if !there[id] {
			missing = append(missing, strconv.Itoa(id))
		}
	}
	slices.Sort(extra)
	switch {
	case len(extra) > 0:
		return false, wrongFlag{fmt.Errorf("-members is %d, but %s also has the directories of members %s: "+
			"give the number of the first run there, or another directory", members, dir, strings.Join(extra, ", "))}
	case len(missing) > 0:
		return false, wrongFlag{fmt.Errorf("-members is %d, but %s has no directories of members %s: "+
			"give the number of the first run there, put back what is missing, or give another directory",
			members, dir, strings.Join(missing, ", "))}
	}
	return founded, nil
}

func wrongDir(dir string, err error) error {
	return wrongFlag{fmt.Errorf("-dir is %q: a directory is wanted that can be written to: %w", dir, err)}
}

// ledger is a file with the least value that the counter must have: that of the beginning of the newest run, and
// one more for each increment that this process was told is acknowledged since.
//
// Each entry is a write without a sync. What was written is still there after this process has been killed, so a
// run can prove that nothing was lost by that. After a loss of power the file may be older than the counter, and
// proves less.
type ledger struct {
	mu    sync.Mutex
	file  *os.File
	least uint64 // guarded by mu
}

// openLedger opens the file, and makes it if there is none.
func openLedger(dir, name string) (*ledger, error) {
	name = filepath.Join(dir, name)
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, wrongDir(dir, err)
	}
	l := &ledger{}
	if len(text) > 0 {
		if l.least, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err != nil {
			return nil, fmt.Errorf("%s holds %q, and not a number: what earlier runs were told cannot be checked; "+
				"to go on without that, empty the file", name, text)
		}
	}
	if l.file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600); err != nil {
		return nil, wrongDir(dir, err)
	}
	return l, nil
}

// begin checks the value with which a run begins.
func (l *ledger) begin(value uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if value < l.least {
		return fmt.Errorf("acknowledged increments are lost: the value is %d, and earlier runs were told of %d",
			value, l.least)
	}
	l.least = value
	return l.write()
}

// add takes note of an increment that has been acknowledged.
func (l *ledger) add() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.least++
	return l.write()
}

// write puts the number down: always as many digits, in one place, so that one write replaces the other.
func (l *ledger) write() error {
	_, err := l.file.WriteAt(fmt.Appendf(nil, "%020d\n", l.least), 0)
	return err
}

func (l *ledger) close() error { return l.file.Close() }
