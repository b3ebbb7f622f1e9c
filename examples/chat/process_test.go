//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
	raftremote "example.com/raftactor/remote"
)

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

// A member that was removed while it was down hears of it when it is back, and takes no more lines; the others can have it
// back.
func TestAMemberThatWasRemovedWhileItWasDown(t *testing.T) {
	c := newTown(t, 1, 2, 3)
	all := c.startAll(1, 2, 3)
	allHear(all[2], all...)
	all[2].kill()
	all[0].write("/remove 3")
	all[0].notices.awaitLine(t, "/remove 3: done")
	allHear(all[0], all[:2]...)

	all[2] = c.start(3)
	all[2].notices.awaitLine(t, "this member, 3, has been removed from the room")
	all[2].write("to nobody")
	all[2].notices.awaitLine(t, `this has not been said: "to nobody"`)
	all[0].write("/add 3=" + c.at(3))
	all[2].notices.awaitLine(t, "this member, 3, is in the room again")
	all[0].notices.awaitLine(t, "/add 3="+c.at(3)+": done")
	c.settle(all...)
}

// What a command is refused for is said plainly.
func TestCommandsThatCannotBe(t *testing.T) {
	c := newTown(t, 1)
	p := c.start(1)
	allHear(p, p)
	for typed, says := range map[string]string{
		"/transfer 9":        "/transfer: transferring leadership to 9: it is not a voter",
		"/add":               "/add takes ID=HOST:PORT",
		"/add 2=" + c.at(1):  c.at(1) + " is the address of member 1",
		"/add 1=127.0.0.1:1": "it is a member already",
		"/promote 9":         "there is no member 9",
		"/remove 9":          "there is no member 9",
		"/remove x":          `"x" is not the number of a member`,
		"/nonsense":          "there is no command /nonsense",
		"/history none":      `"none" is not how many lines to show`,
	} {
		p.write(typed)
		p.notices.awaitLine(t, says)
	}
	c.judge(p)
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
	file := func(name string) string { return filepath.Join(certs, name) }
	tls, err := raftremote.LoadTLS(file("client.pem"), file("client.key"), file("ca.pem"))
	must(c, err)
	remote, err := raftremote.Start(system, raftremote.Config{
		Listen: "127.0.0.1:0", ClusterID: "chat", TLS: tls, Logger: hclog.NewNullLogger(),
	})
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
		"a busy port":           {append(join, "-listen", busy.Addr().String()), exitFailed, "no other program listens"},
		"a directory in use":    {append(c.arguments(1), "-listen", freePort(t), "-advertise", c.at(1)), exitFailed, "another process is using"},
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
