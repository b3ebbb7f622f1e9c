//go:build unix

package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	raft "example.com/raftactor/actor"
)

var rounds = flag.Int("rounds", 1,
	"how often the tests with processes do it all, and up to 10 how many times 5 MB a snapshot has")

// The test binary is the chat, too, if this is set in its environment.
const processVariable = "CHAT_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(processVariable) != "" {
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// town is a chat whose members are processes.
type town struct {
	*testing.T
	dir      string
	address  map[raft.ID]string
	founders []raft.ID
	// security are the flags for it, by member.
	security func(id raft.ID) []string
	// snapshot is after how many lines the members take one.
	snapshot int

	runs []*process // all that were ever started
}

func newTown(t *testing.T, founders ...raft.ID) *town {
	return &town{
		T: t, dir: t.TempDir(), address: map[raft.ID]string{}, founders: founders, snapshot: 1000,
		security: func(raft.ID) []string { return []string{"-insecure"} },
	}
}

// freePort finds a port to listen on. It is not one that the system gives to connections, as it would to one that dials
// a member which is down: so the member finds it free when it comes back.
func freePort(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if l, err := net.Listen("tcp", address); err == nil {
			must(t, l.Close())
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

func (c *town) at(id raft.ID) string {
	if c.address[id] == "" {
		c.address[id] = freePort(c)
	}
	return c.address[id]
}

// arguments are the flags of a member.
func (c *town) arguments(id raft.ID) []string {
	args := []string{
		"-id", fmt.Sprint(id), "-listen", c.at(id), "-dir", c.dir, "-name", fmt.Sprint("name", id), "-pipe",
		"-snapshot", strconv.Itoa(c.snapshot), "-log", "warn",
	}
	args = append(args, c.security(id)...)
	if !slices.Contains(c.founders, id) {
		return append(args, "-join")
	}
	var peers []string
	for _, founder := range c.founders {
		peers = append(peers, fmt.Sprintf("%d=%s", founder, c.at(founder)))
	}
	return append(args, "-peers", strings.Join(peers, ","))
}

// process is a member in a process of its own.
type process struct {
	*testing.T
	id      raft.ID
	command *exec.Cmd
	stdin   io.WriteCloser
	// lines and notices are what it prints.
	lines, notices *transcript
	ended          chan struct{} // closed when it has

	mu sync.Mutex
	// said counts what was typed, each with a number of its own.
	said int // guarded by mu
	// killed: what was typed may be lost.
	killed bool
}

// start starts a member, and waits until it is there.
func (c *town) start(id raft.ID) *process {
	c.Helper()
	p := c.launch(c.arguments(id)...)
	p.id = id
	c.runs = append(c.runs, p)
	p.notices.awaitLine(c, "is here")
	return p
}

func (c *town) startAll(ids ...raft.ID) (all []*process) {
	c.Helper()
	for _, id := range ids {
		all = append(all, c.start(id))
	}
	return all
}

// launch starts a chat with these arguments.
func (c *town) launch(args ...string) *process {
	c.Helper()
	p := &process{T: c.T, lines: newTranscript(), notices: newTranscript(), ended: make(chan struct{})}
	p.command = exec.Command(os.Args[0], args...)
	p.command.Env = append(os.Environ(), processVariable+"=1")
	p.command.Stdout, p.command.Stderr = p.lines, p.notices
	var err error
	p.stdin, err = p.command.StdinPipe()
	must(c, err)
	must(c, p.command.Start())
	go func() {
		defer close(p.ended)
		_ = p.command.Wait()
	}()
	c.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.ended
		if c.Failed() {
			notices := p.notices.all()
			c.Logf("member %d has %d lines, and says\n%s", p.id, len(p.lines.all()),
				strings.Join(notices[max(0, len(notices)-60):], "\n"))
		}
	})
	return p
}

// signal sends it a signal, if it runs still.
func (p *process) signal(s os.Signal) { _ = p.command.Process.Signal(s) }

// kill ends it as a crash does.
func (p *process) kill() {
	p.killed = true
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// wait waits until it has ended, and returns its exit code.
func (p *process) wait() int {
	p.Helper()
	select {
	case <-p.ended:
	case <-time.After(deadline):
		p.Fatalf("member %d does not end", p.id)
	}
	return p.command.ProcessState.ExitCode()
}

// text is what was typed as the nth: it tells who says it, in which run.
func (p *process) text(n int) string {
	return fmt.Sprintf("line %d of %d.%d", n, p.id, p.command.Process.Pid)
}

// say types a text, and returns it.
func (p *process) say() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said++
	text := p.text(p.said)
	p.write(text)
	return text
}

// write types whatever it is. A process that is gone does not mind.
func (p *process) write(text string) { _, _ = io.WriteString(p.stdin, text+"\n") }

// pace is between the lines of a member that talks. All of a test are to be fewer than the members remember.
const pace = 4 * time.Millisecond

// talk has it say something all the time. The result ends that.
func (p *process) talk() (stop func()) {
	var talking sync.WaitGroup
	enough := make(chan struct{})
	talking.Go(func() {
		for {
			select {
			case <-enough:
				return
			case <-p.ended:
				return
			case <-time.After(pace):
				p.say()
			}
		}
	})
	return sync.OnceFunc(func() {
		close(enough)
		talking.Wait()
	})
}

// hears waits until it has shown what somebody said.
func (p *process) hears(text string) {
	p.Helper()
	p.lines.awaitLine(p, text)
}

// allHear has one say something, and waits until all have shown it.
func allHear(speaker *process, all ...*process) {
	speaker.Helper()
	text := speaker.say()
	for _, p := range all {
		p.hears(text)
	}
}

// awaitLeader waits until one of the members leads that is not the one given, and the others know.
func (c *town) awaitLeader(not raft.ID, all ...*process) *process {
	c.Helper()
	timeout, look := time.After(deadline), time.NewTicker(5*time.Millisecond)
	defer look.Stop()
	for {
		leaders := map[raft.ID]int{}
		for _, p := range all {
			leaders[leaderIn(p.notices.all())]++
		}
		for _, p := range all {
			if p.id != not && leaders[p.id] == len(all) {
				return p
			}
		}
		select {
		case <-look.C:
		case <-timeout:
			c.Fatalf("no leader is known to all of them")
		}
	}
}

// leaderIn is who leads by the last notice about that.
func leaderIn(notices []string) (leader raft.ID) {
	for _, notice := range notices {
		if rest, ok := strings.CutPrefix(notice, "* member "); ok {
			if id, _, ok := strings.Cut(rest, " leads"); ok {
				number, _ := strconv.ParseUint(id, 10, 64)
				leader = raft.ID(number)
			}
		} else if notice == "* nobody leads" {
			leader = 0
		}
	}
	return leader
}

// judge holds all that was ever shown against each other: the same line at each index, in order, each text once, and of
// those who were not killed all that was typed, in that order. Those who are left have shown everything.
func (c *town) judge(left ...*process) {
	c.Helper()
	lines, places := map[uint64]string{}, map[string]uint64{}
	for _, p := range c.runs {
		last := uint64(0)
		for _, shown := range p.lines.all() {
			number, l, _ := strings.Cut(shown, " ")
			index, err := strconv.ParseUint(number, 10, 64)
			if err != nil || index <= last {
				c.Fatalf("member %d shows %.80q behind line %d", p.id, shown, last)
			}
			last = index
			if there, seen := lines[index]; seen && there != l {
				c.Fatalf("line %d is %.80q, and with member %d it is %.80q", index, there, p.id, l)
			}
			if at, seen := places[l]; seen && at != index {
				c.Fatalf("%.80q was said at %d, and again at %d", l, at, index)
			}
			lines[index], places[l] = l, index
		}
	}
	for _, p := range c.runs {
		last := uint64(0)
		for n := range p.said {
			l := fmt.Sprintf("name%d %s", p.id, p.text(n+1))
			at, seen := places[l]
			if !p.killed && (!seen || at <= last) {
				c.Errorf("%q stands at %d, behind %d", l, at, last)
			}
			last = max(last, at)
		}
	}
	if len(lines) > keptLinesMax {
		c.Fatalf("%d lines have been said, and members remember %d: the test is too long", len(lines), keptLinesMax)
	}
	for _, p := range left {
		if shown := len(p.lines.all()); shown != len(lines) {
			c.Errorf("member %d has shown %d lines, want %d", p.id, shown, len(lines))
		}
	}
	c.Logf("%d lines, in %d runs of members", len(lines), len(c.runs))
}

// settle has everybody say a last word, and waits until all have heard all.
func (c *town) settle(all ...*process) {
	c.Helper()
	for _, p := range all {
		allHear(p, all...)
	}
	c.judge(all...)
}
