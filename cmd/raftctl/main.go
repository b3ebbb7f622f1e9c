// Command raftctl looks at what raftactor has on disk. It only reads: it takes no lock and changes nothing, so it may be
// used on the directory of a running store, on a copy and on a damaged one.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"example.com/raftactor/persist"
)

// Exit codes.
const (
	exitSound = iota
	exitDamaged
	exitUsage
)

const usage = `raftctl looks at the directory of a store, and never changes it.

usage:
  raftctl wal ls DIR                  list the segments, the members and the snapshots
  raftctl wal dump DIR [-group G]     list every record of the log, of one group only with -group
  raftctl wal verify DIR              read all there is, and tell what is damaged

DIR may be in use, a copy, or damaged. In a store that is in use, what is being written at this moment may look torn.

exit code: 0 sound, 1 damaged, unreadable or no store, 2 wrong usage
`

// A command is what was asked for.
type command struct {
	verb, dir, group string
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	c, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return exitSound
	case err != nil:
		fmt.Fprintf(stderr, "raftctl: %v\n\n%s", err, usage)
		return exitUsage
	}
	out := &printer{w: stdout}
	found, err := c.run(out)
	switch {
	case errors.Is(err, persist.ErrNoStore):
		fmt.Fprintf(stderr, "raftctl: %s holds no store: there are no segments (*.wal) in it%s\n", c.dir, storesBelow(c.dir))
		return exitDamaged
	case err != nil:
		fmt.Fprintln(stderr, "raftctl:", err)
		return exitDamaged
	case out.err != nil:
		fmt.Fprintln(stderr, "raftctl: writing the output:", out.err)
		return exitDamaged
	case !found.Sound():
		return exitDamaged
	}
	return exitSound
}

// storesBelow names a few of the directories in this one that hold stores: it may be the one that has those of several members.
func storesBelow(dir string) string {
	segments, _ := filepath.Glob(filepath.Join(escape(dir), "*", "*.wal")) // fails for a wrong pattern only
	var stores []string
	for _, segment := range segments {
		if store := filepath.Dir(segment); !slices.Contains(stores, store) {
			stores = append(stores, store)
		}
	}
	switch {
	case len(stores) == 0:
		return ""
	case len(stores) > storesShown:
		stores = append(stores[:storesShown], "others")
	}
	return ", but in " + strings.Join(stores, ", ")
}

// storesShown is how many stores are named at the most where none was found.
const storesShown = 5

// escape makes a pattern of a path that stands for itself only.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// parse takes flags in front of, between and behind the other arguments.
func parse(args []string) (command, error) {
	var c command
	flags := flag.NewFlagSet("raftctl", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.StringVar(&c.group, "group", "", "")
	var words []string
	for {
		if err := flags.Parse(args); err != nil {
			return c, err
		}
		if flags.NArg() == 0 {
			break
		}
		words, args = append(words, flags.Arg(0)), flags.Args()[1:]
	}
	grouped := false
	flags.Visit(func(*flag.Flag) { grouped = true })
	switch {
	case len(words) == 0:
		return c, errors.New("what to do is missing")
	case words[0] != "wal":
		return c, fmt.Errorf("%q is not known, only wal", words[0])
	case len(words) == 1:
		return c, errors.New("wal wants one of ls, dump and verify")
	}
	c.verb = words[1]
	switch {
	case c.verb != "ls" && c.verb != "dump" && c.verb != "verify":
		return c, fmt.Errorf("wal %q is not known, only ls, dump and verify", c.verb)
	case len(words) == 2:
		return c, fmt.Errorf("wal %s wants the directory of a store", c.verb)
	case len(words) > 3:
		return c, fmt.Errorf("%s: wal %s wants one directory and nothing else", strings.Join(words[3:], " "), c.verb)
	case grouped && c.verb != "dump":
		return c, fmt.Errorf("wal %s has no flag -group", c.verb)
	}
	c.dir = words[2]
	return c, nil
}

// run prints what was asked for, and returns what was found.
func (c command) run(out *printer) (*persist.Inspection, error) {
	info, err := os.Stat(c.dir)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%s is no directory", c.dir)
	}
	if c.verb == "dump" {
		return c.dump(out)
	}
	found, err := persist.Inspect(c.dir)
	if err != nil {
		return nil, err
	}
	if c.verb == "ls" {
		out.list(found)
	}
	out.faults(found)
	if c.verb == "verify" {
		out.verdict(found)
	}
	return found, nil
}

func (c command) dump(out *printer) (*persist.Inspection, error) {
	found, err := persist.Dump(c.dir, func(r *persist.RecordInfo) error {
		if c.group == "" || r.Member.Group == c.group {
			out.record(r)
		}
		return out.err
	})
	if err != nil {
		return nil, err
	}
	out.faults(found)
	return found, out.flush()
}
