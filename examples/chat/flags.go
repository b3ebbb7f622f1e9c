package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os/user"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
)

// options are the flags.
type options struct {
	id raft.ID
	// listen is where to listen, and advertise the address that the others know.
	listen, advertise string
	// founders are the members that the room was founded with. None: this one joins, or has joined.
	founders []raft.Member
	dir      string
	cluster  string
	name     string
	pipe     bool
	insecure bool
	// cert, key and ca are files: who this is, and who is believed.
	cert, key, ca string
	// snapshotLines is how many lines are applied before a snapshot is taken, and how many stay in the log behind it.
	snapshotLines int
	level         hclog.Level
}

const usage = `usage: chat -id ID -listen ADDRESS -dir DIR -insecure [-name NAME] -peers ID=ADDRESS,... | -join
       chat certs [-cluster NAME] [-systems N] [-hosts HOST,...] DIR

The first starts a member of a chat room that is replicated over its members: as a founder, with the same
-peers on each of them, or to join, and then another member is told /add ID=ADDRESS.
The second makes certificates to try TLS, to be used with -cert, -key and -ca in place of -insecure.

`

// parse reads the flags. What is wrong with them is one line. Help goes to stdout.
func parse(args []string, stdout io.Writer) (options, error) {
	var (
		o                options
		id, peers, level string
		join             bool
		flags            = flag.NewFlagSet("chat", flag.ContinueOnError)
		show             = func() { fmt.Fprint(stdout, usage); flags.SetOutput(stdout); flags.PrintDefaults() }
	)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.StringVar(&id, "id", "", "the `number` of this member, from 1 up")
	flags.StringVar(&o.listen, "listen", "", "where to listen: `HOST:PORT`")
	flags.StringVar(&o.advertise, "advertise", "",
		"the `HOST:PORT` under which the others reach this one (default: as in -peers, or -listen)")
	flags.StringVar(&peers, "peers", "", "the founding members, this one too: `ID=HOST:PORT,...`")
	flags.BoolVar(&join, "join", false, "join a room, or come back to one that was joined")
	flags.StringVar(&o.dir, "dir", "", "keep what member 1 must not forget in `DIR`/1, and so on")
	flags.StringVar(&o.cluster, "cluster", "chat", "the `name` of the cluster; with TLS that in the certificates")
	flags.StringVar(&o.name, "name", defaultName(), "who is speaking")
	flags.BoolVar(&o.pipe, "pipe", false, "for scripts: read lines, print INDEX NAME TEXT for each, all else to standard error")
	flags.BoolVar(&o.insecure, "insecure", false, "no TLS: whoever reaches the port can speak for anybody")
	flags.StringVar(&o.cert, "cert", "", "the `file` with the certificate of this member")
	flags.StringVar(&o.key, "key", "", "the `file` with its key")
	flags.StringVar(&o.ca, "ca", "", "the `file` with the certificate of who is believed")
	flags.IntVar(&o.snapshotLines, "snapshot", 1000, "take a snapshot after so many lines")
	flags.StringVar(&level, "log", "off", "how much to log on standard error: off, error, warn, info, debug or trace")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			show()
			return o, err
		}
		return o, fmt.Errorf("%w; -help names the flags", err)
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag; -help names them", flags.Arg(0))
	}
	if id != "" {
		var err error
		if o.id, err = parseID(id); err != nil {
			return o, fmt.Errorf("-id: %w", err)
		}
	}
	o.level = hclog.LevelFromString(level)
	if o.level == hclog.NoLevel {
		return o, fmt.Errorf("-log is %q: it must be off, error, warn, info, debug or trace", level)
	}
	if err := o.placeMembers(peers, join); err != nil {
		return o, err
	}
	return o, o.check()
}

// placeMembers says who founds the room, and under which address this member is known.
func (o *options) placeMembers(peers string, join bool) (err error) {
	switch {
	case join && peers != "":
		return errors.New("-join and -peers exclude each other: founders have -peers, who comes later has -join")
	case !join && peers == "":
		return errors.New("-peers is missing: the founding members, as in 1=127.0.0.1:7001,2=127.0.0.1:7002; " +
			"or -join to join a room")
	case !join:
		if o.founders, err = parsePeers(peers); err != nil {
			return fmt.Errorf("-peers: %w", err)
		}
	}
	for _, m := range o.founders {
		if m.ID == o.id && o.advertise == "" {
			if port := portOf(o.listen); port != "" && port != portOf(m.Address) {
				return fmt.Errorf("-listen is %s, but -peers places member %d at %s: give both one port, or say -advertise %s "+
					"if that leads here all the same", o.listen, o.id, m.Address, m.Address)
			}
			o.advertise = m.Address
		}
		if m.ID == o.id && o.advertise != m.Address {
			return fmt.Errorf("-advertise is %s, but -peers places member %d at %s", o.advertise, o.id, m.Address)
		}
	}
	if o.advertise == "" {
		o.advertise = o.listen
	}
	if len(o.founders) > 0 && !o.isFounder() && o.id != 0 {
		return fmt.Errorf("-peers does not name member %d itself: founders do; who joins has -join", o.id)
	}
	return nil
}

// portOf is the port of an address, or nothing where that has none.
func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

func (o *options) isFounder() bool {
	for _, m := range o.founders {
		if m.ID == o.id {
			return true
		}
	}
	return false
}

// check says what is wrong or missing.
func (o *options) check() error {
	secure := o.cert != "" || o.key != "" || o.ca != ""
	switch {
	case o.id == 0:
		return errors.New("-id is missing: the number of this member, from 1 up")
	case o.listen == "":
		return errors.New("-listen is missing: where to listen, as in 127.0.0.1:7001")
	case o.dir == "":
		return errors.New("-dir is missing: a directory in which this member keeps what it must not forget")
	case !secure && !o.insecure:
		return errors.New("-cert, -key and -ca are missing (chat certs DIR makes some to try), or -insecure to do without")
	case secure && o.insecure:
		return errors.New("-insecure excludes -cert, -key and -ca")
	case secure && (o.cert == "" || o.key == "" || o.ca == ""):
		return errors.New("-cert, -key and -ca belong together")
	case o.cluster == "":
		return errors.New("-cluster is empty: it is the name of the cluster, the same for all members")
	case o.snapshotLines < 1:
		return fmt.Errorf("-snapshot is %d: it must be at least 1", o.snapshotLines)
	}
	if err := checkName(o.name); err != nil {
		return fmt.Errorf("-name is %q: %w", o.name, err)
	}
	if _, _, err := net.SplitHostPort(o.listen); err != nil {
		return fmt.Errorf("-listen is %q: it must be HOST:PORT", o.listen)
	}
	if err := checkAddress(o.advertise); err != nil {
		return fmt.Errorf("the address for the others: %w; -advertise sets it", err)
	}
	return nil
}

// checkName allows what can stand in a line INDEX NAME TEXT, and is shown as it is.
func checkName(name string) error {
	isText := utf8.ValidString(name) && printable(name) == name
	if name == "" || len(name) > nameBytesMax || !isText || strings.ContainsRune(name, ' ') {
		return fmt.Errorf("it takes 1 to %d bytes of text, without spaces", nameBytesMax)
	}
	return nil
}

// checkAddress allows what others can dial.
func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	number, badPort := strconv.ParseUint(port, 10, 16)
	if ip := net.ParseIP(host); err != nil || badPort != nil || number == 0 || host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("%q is not HOST:PORT with a host and a port that others can dial", address)
	}
	return nil
}

// parsePeers reads ID=HOST:PORT,...
func parsePeers(text string) (members []raft.Member, err error) {
	seen, at := map[raft.ID]bool{}, map[string]raft.ID{}
	for _, part := range strings.Split(text, ",") {
		m, err := parsePeer(part)
		if err != nil {
			return nil, err
		}
		if seen[m.ID] {
			return nil, fmt.Errorf("member %d is named twice", m.ID)
		}
		if other := at[m.Address]; other != 0 {
			return nil, fmt.Errorf("members %d and %d are both at %s: each has an address of its own", other, m.ID, m.Address)
		}
		seen[m.ID], at[m.Address] = true, m.ID
		members = append(members, m)
	}
	return members, nil
}

// parsePeer reads ID=HOST:PORT.
func parsePeer(text string) (raft.Member, error) {
	id, address, ok := strings.Cut(strings.TrimSpace(text), "=")
	if !ok {
		return raft.Member{}, fmt.Errorf("%q is not ID=HOST:PORT", text)
	}
	number, err := parseID(id)
	if err != nil {
		return raft.Member{}, err
	}
	return raft.Member{ID: number, Address: address}, checkAddress(address)
}

func parseID(text string) (raft.ID, error) {
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil || number == 0 {
		return 0, fmt.Errorf("%q is not the number of a member, from 1 up", text)
	}
	return raft.ID(number), nil
}

// defaultName is the name of who has started the program.
func defaultName() string {
	if u, err := user.Current(); err == nil && checkName(u.Username) == nil {
		return u.Username
	}
	return "anonymous"
}
