//go:build unix

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	raft "example.com/raftactor/actor"
	raftremote "example.com/raftactor/remote"
)

var rounds = flag.Int("rounds", 1, "how often the tests with processes do it all, and how much larger the state of one gets, up to 10 times")

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
			c.Logf("member %d has %d lines, and says\n%s", p.id, len(p.lines.all()), strings.Join(notices[max(0, len(notices)-60):], "\n"))
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

func TestProcessesTalk(t *testing.T) {
	c := newTown(t, 1, 2, 3)
	all := c.startAll(1, 2, 3)
	stops := []func(){all[0].talk(), all[1].talk(), all[2].talk()}
	for _, p := range all {
		p.lines.await(t, "hundred lines", func(lines []string) bool { return len(lines) > 100 })
	}
	for _, stop := range stops {
		stop()
	}
	c.settle(all...)
}

// Whoever is killed, nothing that anybody has seen is lost, and it comes back on the same port.
func TestKilledProcessesComeBack(t *testing.T) {
	c := newTown(t, 1, 2, 3)
	all := c.startAll(1, 2, 3)
	for range *rounds {
		stops := []func(){all[0].talk(), all[1].talk(), all[2].talk()}
		allHear(all[0], all...)
		leader := c.awaitLeader(0, all...)
		leader.kill()
		rest := slices.DeleteFunc(slices.Clone(all), func(p *process) bool { return p == leader })
		c.awaitLeader(leader.id, rest...)
		k := slices.Index(all, leader)
		all[k] = c.start(leader.id)
		allHear(all[k], all...)
		for _, p := range all { // all of them, under load
			p.kill()
		}
		for _, stop := range stops {
			stop()
		}
		all = c.startAll(1, 2, 3)
		for _, p := range all {
			allHear(p, all...)
		}
	}
	c.settle(all...)
}

// A leader that stands still for longer than an election takes finds another one, and nothing that was typed meanwhile
// is lost or said twice.
func TestALeaderThatStandsStill(t *testing.T) {
	c := newTown(t, 1, 2, 3)
	all := c.startAll(1, 2, 3)
	for range *rounds {
		allHear(all[0], all...)
		leader := c.awaitLeader(0, all...)
		rest := slices.DeleteFunc(slices.Clone(all), func(p *process) bool { return p == leader })
		stop := leader.talk()
		allHear(rest[0], all...)
		leader.signal(syscall.SIGSTOP)
		stop()
		typed := leader.say()
		next := c.awaitLeader(leader.id, rest...)
		allHear(next, rest...)
		leader.signal(syscall.SIGCONT)
		for _, p := range all {
			p.hears(typed)
		}
		allHear(leader, all...)
	}
	c.settle(all...)
}

// Members come and go while the others talk: one joins, one is removed, and one that is dead is replaced.
func TestMembersChangeUnderLoad(t *testing.T) {
	c := newTown(t, 1, 2, 3)
	all := c.startAll(1, 2, 3)
	c.awaitLeader(0, all...)
	stop := []func(){all[0].talk(), all[1].talk()}

	fourth := c.start(4)
	all[1].write("/add 4=" + c.at(4))
	fourth.notices.awaitLine(t, "member 4 votes")
	allHear(fourth, append(all, fourth)...)

	all[2].write("/remove 3")
	all[2].notices.awaitLine(t, "has been removed")
	all[0].notices.awaitLine(t, "member 3 goes")
	all[2].signal(os.Interrupt)
	if code := all[2].wait(); code != exitOK {
		t.Errorf("the one who was removed leaves with code %d", code)
	}

	fourth.kill() // for good
	fifth := c.start(5)
	all[0].write("/add 5=" + c.at(5))
	fifth.notices.awaitLine(t, "member 5 votes")
	all[0].write("/remove 4")
	all[1].notices.awaitLine(t, "member 4 goes")
	for _, stop := range stop {
		stop()
	}
	c.settle(all[0], all[1], fifth)
}

// A member whose directory is lost is not believed to be what it was. It comes back by joining, under its number.
func TestALostDirectory(t *testing.T) {
	c := newTown(t, 1, 2, 3)
	all := c.startAll(1, 2, 3)
	allHear(all[2], all...)
	all[2].kill()
	must(t, os.RemoveAll(filepath.Join(c.dir, "3")))

	emptied := c.start(3)
	if code := emptied.wait(); code != exitFailed {
		t.Errorf("it ends with code %d, want %d", code, exitFailed)
	}
	emptied.notices.awaitLine(t, "put the directory back")
	must(t, os.RemoveAll(filepath.Join(c.dir, "3")))

	c.founders = c.founders[:2] // it joins from now on
	all[2] = c.start(3)
	all[2].notices.awaitLine(t, "that of an earlier life")
	all[0].write("/remove 3")
	all[0].notices.awaitLine(t, "/remove 3: done")
	all[0].write("/add 3=" + c.at(3))
	all[0].notices.awaitLine(t, "/add 3="+c.at(3)+": done")
	all[2].notices.awaitLine(t, "member 3 votes")
	c.settle(all...)
}

// A process of another cluster is not let in, and both sides say why.
func TestAProcessOfAnotherCluster(t *testing.T) {
	c := newTown(t, 1)
	one := c.start(1)
	stranger := c.launch(append(c.arguments(2), "-cluster", "other")...)
	stranger.notices.awaitLine(t, "is here")
	one.write("/add 2=" + c.at(2))
	one.notices.awaitLine(t, "there is no link with "+c.at(2))
	stranger.notices.awaitLine(t, "there is no link with "+c.at(1))
	for _, p := range []*process{one, stranger} {
		t.Log(p.notices.all()[len(p.notices.all())-1])
	}
	c.settle(one)
}

// Each member is started again while the others talk, who notice nothing but that.
func TestARollingRestart(t *testing.T) {
	c := newTown(t, 1, 2, 3)
	all := c.startAll(1, 2, 3)
	c.awaitLeader(0, all...)
	stops := []func(){all[0].talk(), all[1].talk(), all[2].talk()}
	for range *rounds {
		for k, p := range all {
			stops[k]()
			allHear(p, all...)
			p.signal(os.Interrupt)
			if code := p.wait(); code != exitOK {
				t.Fatalf("member %d leaves with code %d", p.id, code)
			}
			all[k] = c.start(p.id)
			allHear(all[k], all...)
			stops[k] = all[k].talk()
		}
	}
	for _, stop := range stops {
		stop()
	}
	c.settle(all...)
}

// A member that is away while the others say so much that its place in the log is gone comes back by a snapshot.
func TestAMemberThatIsAwayForLongComesBackByASnapshot(t *testing.T) {
	c := newTown(t, 1, 2, 3)
	c.snapshot = 20
	all := c.startAll(1, 2, 3)
	allHear(all[2], all...)
	all[2].kill()
	filling := strings.Repeat("x", textBytesMax-100)
	lines := 80 * min(*rounds, 10) // 5 MB, or up to 50
	for n := range lines {
		all[n%2].write(fmt.Sprintf("large %d %s", n, filling))
	}
	for _, p := range all[:2] {
		p.lines.await(t, "large lines", func(l []string) bool { return len(l) > lines })
	}
	start := time.Now()
	all[2] = c.start(3)
	all[2].lines.await(t, "large lines", func(l []string) bool { return len(l) > lines })
	t.Logf("a snapshot of %d MB has come within %v", lines*textBytesMax>>20, time.Since(start).Round(time.Millisecond))
	all[2].write("/status")
	all[2].notices.await(t, "status", func(notices []string) bool {
		return slices.ContainsFunc(notices, func(l string) bool {
			rest, ok := strings.CutPrefix(l, "* log: entries ")
			return ok && !strings.HasPrefix(rest, "1 ") && !strings.HasPrefix(rest, "2 ")
		})
	})
	c.settle(all...)
}

// With TLS they talk, and nobody else is let in.
func TestProcessesTalkByTLS(t *testing.T) {
	c := newTown(t, 1, 2, 3)
	certs := filepath.Join(c.dir, "certs")
	if code, _, said := makeCerts(t, certs); code != exitOK {
		t.Fatal(said)
	}
	c.security = func(id raft.ID) []string {
		file := func(name string) string { return filepath.Join(certs, name) }
		return []string{"-cert", file(fmt.Sprint(id, ".pem")), "-key", file(fmt.Sprint(id, ".key")), "-ca", file("ca.pem")}
	}
	all := c.startAll(1, 2, 3)
	c.settle(all...)
	c.askFromOutside(certs, all)

	others := filepath.Join(c.dir, "others")
	if code, _, said := makeCerts(t, others); code != exitOK {
		t.Fatal(said)
	}
	certs = others
	stranger := c.start(4)
	all[0].write("/add 4=" + c.at(4))
	all[0].notices.awaitLine(t, "member 4 cannot be reached")
	all[0].write("/remove 4")
	all[0].notices.awaitLine(t, "member 4 goes")
	if got := stranger.lines.all(); len(got) > 0 {
		t.Errorf("somebody with certificates of another authority hears %q", got)
	}
	stranger.kill()
	c.settle(all...)
}

// askFromOutside has this process, which has no member, say something, and ask for it.
func (c *town) askFromOutside(certs string, all []*process) {
	c.Helper()
	system := newSystem()
	defer system.Shutdown()
	tls, err := raftremote.LoadTLS(filepath.Join(certs, "client.pem"), filepath.Join(certs, "client.key"), filepath.Join(certs, "ca.pem"))
	must(c, err)
	remote, err := raftremote.Start(system, raftremote.Config{Listen: "127.0.0.1:0", ClusterID: "chat", TLS: tls, Logger: hclog.NewNullLogger()})
	must(c, err)
	ctx, cancel := context.WithTimeout(c.Context(), deadline)
	defer cancel()
	defer func() { must(c, remote.Stop(ctx)) }()
	client := raft.NewClient(system, actor.NewPID(c.at(1), raft.Name(groupName, 1)))
	defer client.Close()
	_, err = client.Propose(ctx, encodeCommand("Outside", "hello"))
	must(c, err)
	answer, err := client.Query(ctx, newestQuestion(1))
	must(c, err)
	lines, _, err := decodeAnswer(answer.Data)
	if err != nil || len(lines) != 1 || lines[0].name != "Outside" {
		c.Errorf("got %v, %v", lines, err)
	}
	for _, p := range all {
		p.hears("Outside hello")
	}
}

func TestWhatCannotBeUsedIsSaidInOneLine(t *testing.T) {
	c := newTown(t, 1)
	p := c.start(1)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer busy.Close()
	file := filepath.Join(c.dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	join := []string{"-id", "2", "-join", "-listen", freePort(t), "-dir", c.dir, "-insecure"}
	for name, want := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a busy port":           {append(join, "-listen", busy.Addr().String()), exitFailed, "address already in use"},
		"a directory in use":    {append(c.arguments(1), "-listen", freePort(t)), exitFailed, "another process is using"},
		"a directory of a file": {append(join, "-dir", file), exitUsage, "a directory is wanted"},
		"no certificates": {
			append(join, "-insecure=false", "-cert", "none", "-key", "none", "-ca", "none"), exitUsage, "-cert, -key and -ca",
		},
	} {
		other := c.launch(want.args...)
		if code := other.wait(); code != want.code {
			t.Errorf("%s: exit code %d, want %d", name, code, want.code)
		}
		said := other.notices.all()
		if len(said) == 0 || !strings.Contains(said[len(said)-1], want.says) || !strings.HasPrefix(said[len(said)-1], "chat: ") {
			t.Errorf("%s: it says %q, want %q in the last line", name, said, want.says)
		}
	}
	text := p.say()
	p.hears(text)
	must(t, p.stdin.Close())
	if code := p.wait(); code != exitOK {
		t.Errorf("at the end of its input it leaves with code %d", code)
	}
	c.judge(p)
}
