package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
)

// options are the flags.
type options struct {
	members, increments int
	// dir is where the members keep their logs. Empty: in memory.
	dir        string
	killLeader bool
	level      hclog.Level

	// id is the one member that this process has. Zero: it has them all.
	id     raft.ID
	listen string
	// founders are all members, with their addresses, if this process has one of them.
	founders []raft.Member
	insecure bool
}

// wrongFlag is a flag that does not fit what is in the directory.
type wrongFlag struct{ error }

// Flags for all members in one process, and for one of them.
var (
	forAll = []string{"members", "kill-leader"}
	forOne = []string{"listen", "peers", "insecure"}
)

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("counter", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.members, "members", 3, "how many members the group has, from 1 to 9; in a directory always as many")
	flags.IntVar(&o.increments, "increments", 10000, "how many increments to propose")
	flags.BoolVar(&o.killLeader, "kill-leader", true, "stop the leader half-way, if there are 3 members or more")
	flags.StringVar(&o.dir, "dir", "", "keep the log of member 1 in `DIR`/1 and so on, and go on from what an earlier run\n"+
		"has left there, also if it was killed; without it everything is in memory")
	level := flags.String("log", "off", "how much the members log: off, error, warn, info, debug or trace")
	id := flags.Uint64("id", 0, "run this member only, and have it stay when it is done; the others are processes, too")
	flags.StringVar(&o.listen, "listen", "", "with -id: where to listen, `HOST:PORT`")
	peers := flags.String("peers", "", "with -id: all members, this one too, `ID=HOST:PORT,...`")
	flags.BoolVar(&o.insecure, "insecure", false, "with -id: no TLS; whoever reaches the port can speak for anybody")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errors.New("see the flags above")
	}
	o.level, o.id = hclog.LevelFromString(*level), raft.ID(*id)
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is no flag; there are no other arguments", flags.Arg(0))
	case o.members < 1 || o.members > 9:
		return o, fmt.Errorf("-members is %d: it must be from 1 to 9", o.members)
	case o.increments < 1:
		return o, fmt.Errorf("-increments is %d: it must be at least 1", o.increments)
	case o.level == hclog.NoLevel:
		return o, fmt.Errorf("-log is %q: it must be off, error, warn, info, debug or trace", *level)
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !given["id"] {
		return o, noneOf(given, forOne, "goes with -id: it is for one member in a process")
	}
	if err := noneOf(given, forAll, "does not go with -id: it is for all members in one process"); err != nil {
		return o, err
	}
	return o, o.checkOne(*peers)
}

// noneOf is an error if one of the flags is given.
func noneOf(given map[string]bool, flags []string, why string) error {
	for _, name := range flags {
		if given[name] {
			return fmt.Errorf("-%s %s", name, why)
		}
	}
	return nil
}

// checkOne checks the flags of one member in a process.
func (o *options) checkOne(peers string) (err error) {
	switch {
	case o.id == 0:
		return errors.New("-id is 0: it must be the number of a member, from 1 up")
	case o.dir == "":
		return errors.New("-dir is missing: a member in a process of its own keeps its log on disk")
	case o.listen == "":
		return errors.New("-listen is missing: where to listen, as in 127.0.0.1:7001")
	case peers == "":
		return errors.New("-peers is missing: all members, this one too, as in 1=127.0.0.1:7001,2=127.0.0.1:7002")
	case !o.insecure:
		return errors.New("-insecure is missing: this example knows no TLS; examples/chat does")
	}
	if o.founders, err = parsePeers(peers); err != nil {
		return fmt.Errorf("-peers is %q: %w", peers, err)
	}
	if o.address() == "" {
		return fmt.Errorf("-peers is %q: it does not name member %d itself", peers, o.id)
	}
	o.members, o.killLeader = len(o.founders), false
	return nil
}

// address is that of the process's own member.
func (o *options) address() string {
	for _, m := range o.founders {
		if m.ID == o.id {
			return m.Address
		}
	}
	return ""
}

// parsePeers reads ID=HOST:PORT,...
func parsePeers(text string) (members []raft.Member, err error) {
	for _, part := range strings.Split(text, ",") {
		number, address, _ := strings.Cut(part, "=")
		id, err := strconv.ParseUint(number, 10, 64)
		if _, _, wrong := net.SplitHostPort(address); err != nil || wrong != nil || id == 0 {
			return nil, fmt.Errorf("%q is not ID=HOST:PORT", part)
		}
		if slices.ContainsFunc(members, func(m raft.Member) bool { return m.ID == raft.ID(id) }) {
			return nil, fmt.Errorf("member %d is named twice", id)
		}
		if i := slices.IndexFunc(members, func(m raft.Member) bool { return m.Address == address }); i >= 0 {
			return nil, fmt.Errorf("members %d and %d are both at %s: each has an address of its own", members[i].ID, id, address)
		}
		members = append(members, raft.Member{ID: raft.ID(id), Address: address})
	}
	return members, nil
}
