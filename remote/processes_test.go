package raftremote_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRequestsAndRepliesGoBetweenProcesses(t *testing.T) {
	t.Parallel()
	for name, dirs := range bothKinds(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := startProcess(t, childConfig{Cluster: "c", Certificates: dirs[0]})
			b := startProcess(t, childConfig{Cluster: "c", Certificates: dirs[1]})
			got := a.do(command{Do: "ask", Address: b.address, Name: "echo", Text: "x"})
			if got.Error != "" || got.Text != "echo x" {
				t.Errorf("an exposed actor: %+v", got)
			}
			if got := a.do(command{Do: "status", Address: b.address, Name: "raft/g/1"}); got.Text != "*raft.Status" {
				t.Errorf("a raft actor: %+v", got)
			}
			for _, hidden := range []string{"hidden", "nobody", "raft/g/2", "raft/g/1/applier", "guardian$1", "eventstream"} {
				got := a.do(command{Do: "ask", Address: b.address, Name: hidden, Text: "x"})
				if !strings.Contains(got.Error, "dead letter") {
					t.Errorf("%s: got %+v, want a dead letter", hidden, got)
				}
			}
			if s := b.state(); s.Disturbed > 0 || s.Refused["target"] != 6 {
				t.Errorf("afterwards it is %+v", s)
			}
		})
	}
}

func TestAClientIsToldWhetherTheActorOrTheSystemIsNotThere(t *testing.T) {
	t.Parallel()
	a, b := startProcess(t, childConfig{Client: true}), startProcess(t, childConfig{})
	got := a.do(command{Do: "client status", Address: b.address, Name: "raft/nowhere/1"})
	if !strings.Contains(got.Error, "there is no actor raft/nowhere/1 at "+b.address) {
		t.Errorf("a group that is not there: %+v", got)
	}
	silent := silentAddress(t)
	got = a.do(command{Do: "client status", Address: silent, Name: "raft/g/1"})
	if !strings.Contains(got.Error, "the actor system at "+silent+" cannot be reached") {
		t.Errorf("a system that is not there: %+v", got)
	}
}

// bothKinds are the directories of certificates of two members, with TLS and without.
func bothKinds(t testing.TB) map[string][2]string {
	dir := certificates(t, map[string]string{"a": "raft://c/a", "b": "raft://c/b"})
	return map[string][2]string{"insecure": {}, "tls": {dir("a"), dir("b")}}
}

func TestMembersInThreeProcessesAgree(t *testing.T) {
	t.Parallel()
	dir := certificates(t, map[string]string{"0": "raft://c/x", "1": "raft://c/y", "2": "raft://c/z"})
	for kind, dirs := range map[string][]string{"insecure": {"", "", ""}, "tls": {dir("0"), dir("1"), dir("2")}} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var addresses []string
			for range dirs {
				addresses = append(addresses, silentAddress(t))
			}
			var all []*process
			for i, dir := range dirs {
				all = append(all, startProcess(t, childConfig{
					Cluster: "c", Listen: addresses[i], Certificates: dir, Members: addresses, Self: i,
				}))
			}
			for _, p := range all {
				p.do(command{Do: "address"}) // answered when the member knows a leader's commit
			}
			for _, p := range all {
				p.await("all are in one term", func(s childState) bool { return s.Term == all[0].state().Term })
			}
		})
	}
}

func TestAWatchEndsOnceWhenTheProcessIsKilled(t *testing.T) {
	t.Parallel()
	a, b := startProcess(t, childConfig{}), startProcess(t, childConfig{})
	a.do(command{Do: "watch", Address: b.address, Name: "echo"})
	a.do(command{Do: "watch", Address: b.address, Name: "raft/g/1"})
	// Answered behind the watches.
	a.do(command{Do: "ask", Address: b.address, Name: "echo", Text: "x"})
	if s := a.state(); len(s.Terminated) > 0 {
		t.Errorf("terminated at once: %v", s.Terminated)
	}
	b.kill()
	a.await("both watches have ended", func(s childState) bool { return len(s.Terminated) >= 2 })
	// The system is gone, and said to be.
	if got := a.do(command{Do: "ask", Address: b.address, Name: "echo", Text: "x"}); got.Error == "" {
		t.Errorf("got %+v from a process that was killed", got)
	}
	if s := a.state(); len(s.Terminated) != 2 {
		t.Errorf("got %q, want each once", s.Terminated)
	}
}

func TestAWatchEndsOnceWhenTheActorDoes(t *testing.T) {
	t.Parallel()
	a, b := startProcess(t, childConfig{}), startProcess(t, childConfig{})
	a.do(command{Do: "watch", Address: b.address, Name: "echo"})
	a.do(command{Do: "ask", Address: b.address, Name: "echo", Text: "x"})
	b.do(command{Do: "disturb", Name: "echo"})
	a.await("the watch has ended", func(s childState) bool { return len(s.Terminated) > 0 })
	a.do(command{Do: "watch", Address: b.address, Name: "raft/g/1"})
	b.kill()
	s := a.await("the other watch has ended", func(s childState) bool { return len(s.Terminated) > 1 })
	if !slices.Equal(s.Terminated, []string{"echo Stopped", "raft/g/1 AddressTerminated"}) {
		t.Errorf("got %q", s.Terminated)
	}
}

func TestAWatchOnWhatIsNotThereEndsAtOnce(t *testing.T) {
	t.Parallel()
	a, b := startProcess(t, childConfig{}), startProcess(t, childConfig{})
	a.do(command{Do: "watch", Address: b.address, Name: "nobody"})
	a.do(command{Do: "watch", Address: "127.0.0.1:1", Name: "nobody"})
	s := a.await("both have ended", func(s childState) bool { return len(s.Terminated) >= 2 })
	for _, text := range s.Terminated {
		if text != "nobody NotFound" && text != "nobody AddressTerminated" {
			t.Errorf("got %q", text)
		}
	}
}

func TestStopTakesLessThanASecondWhateverTheOthersDo(t *testing.T) {
	t.Parallel()
	a := startProcess(t, childConfig{})
	live, stopped, dead := startProcess(t, childConfig{}), startProcess(t, childConfig{}), startProcess(t, childConfig{})
	for _, p := range []*process{live, stopped, dead} {
		a.do(command{Do: "ask", Address: p.address, Name: "echo", Text: "x"})
		p.do(command{Do: "ask", Address: a.address, Name: "echo", Text: "x"})
	}
	live.do(command{Do: "watch", Address: a.address, Name: "echo"})
	live.do(command{Do: "ask", Address: a.address, Name: "echo", Text: "x"}) // behind the watch
	stopped.signal(syscall.SIGSTOP)
	dead.kill()
	for _, p := range []*process{live, stopped, dead} {
		a.do(command{Do: "flood", Address: p.address, Name: "nobody", Count: 1000})
	}
	got := a.do(command{Do: "stop"})
	t.Logf("stopping took %v", got.Took)
	if got.Error != "" || got.Took > time.Second {
		t.Errorf("stopping took %v: %s", got.Took, got.Error)
	}
	if got := a.do(command{Do: "ask", Address: live.address, Name: "echo", Text: "x"}); !strings.Contains(got.Error, "dead letter") {
		t.Errorf("asked afterwards: %+v", got)
	}
	live.await("it knows", func(s childState) bool { return len(s.Terminated) == 1 })
	if got := live.do(command{Do: "ask", Address: a.address, Name: "echo", Text: "x"}); !strings.Contains(got.Error, "dead letter") {
		t.Errorf("the one that was stopped, asked afterwards: %+v", got)
	}
}

func TestNothingIsLeftAfterStartsAndStopsWithPeersThatAreDown(t *testing.T) {
	t.Parallel()
	// Proto.Actor's own goroutines keep a process from being clean; this one starts nothing else.
	l, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections, and says nothing
	check(t, err)
	defer l.Close()
	for _, down := range []string{silentAddress(t), l.Addr().String()} {
		p := startProcess(t, childConfig{Lonely: true})
		if got := p.do(command{Do: "cycle", Count: 10, Address: down}); got.Error != "" {
			t.Errorf("after %v: %s", got.Took, got.Error)
		}
	}
}

// silentAddress is one where nobody listens.
func silentAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

func TestWhatCannotBeSentComesBackAtOnce(t *testing.T) {
	t.Parallel()
	a := startProcess(t, childConfig{})
	got := a.do(command{Do: "ask", Address: silentAddress(t), Name: "echo", Text: "x"})
	if !strings.Contains(got.Error, "dead letter") || got.Took > 2*time.Second {
		t.Errorf("got %+v", got)
	}
	for _, address := range []string{"", "unix:x", "dns:1", "nowhere", "127.0.0.1", "127.0.0.1:0", "0.0.0.0:70", ":70", "a b:70"} {
		got := a.do(command{Do: "ask", Address: address, Name: "echo", Text: "x"})
		if !strings.Contains(got.Error, "dead letter") || got.Took > time.Second {
			t.Errorf("%q: got %+v", address, got)
		}
	}
}

func TestAStalledSystemTakesBoundedMemory(t *testing.T) {
	t.Parallel()
	a, b := startProcess(t, childConfig{}), startProcess(t, childConfig{})
	a.do(command{Do: "ask", Address: b.address, Name: "echo", Text: "x"})
	b.signal(syscall.SIGSTOP)
	before := a.state().HeapBytes
	a.do(command{Do: "flood", Address: b.address, Name: "nobody", Count: 10_000}) // 640 MB, if they were kept
	s := a.state()
	if grown := int64(s.HeapBytes) - int64(before); grown > 64<<20 {
		t.Errorf("memory has grown by %d MB", grown>>20)
	}
	if s.Refused["full"] < 5000 {
		t.Errorf("%d messages were dropped because too much waited", s.Refused["full"])
	}
	b.signal(syscall.SIGCONT)
	got := a.do(command{Do: "ask", Address: b.address, Name: "echo", Text: "y"})
	for got.Error != "" && got.Took < deadline { // the queue is full at first
		got = a.do(command{Do: "ask", Address: b.address, Name: "echo", Text: "y"})
	}
	if got.Text != "echo y" {
		t.Errorf("got %+v when the other went on", got)
	}
}

func TestAMessageThatCannotBeEncodedHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	a, b := startProcess(t, childConfig{}), startProcess(t, childConfig{})
	a.do(command{Do: "ask", Address: b.address, Name: "echo", Text: "x"})
	a.do(command{Do: "broken", Address: b.address, Name: "echo"})
	if got := a.do(command{Do: "ask", Address: b.address, Name: "echo", Text: "y"}); got.Text != "echo y" {
		t.Errorf("got %+v", got)
	}
}

func TestTheRemoteOfAStoppedProcessServesAgainOnTheSamePort(t *testing.T) {
	t.Parallel()
	a, b := startProcess(t, childConfig{}), startProcess(t, childConfig{})
	a.do(command{Do: "ask", Address: b.address, Name: "echo", Text: "x"})
	b.kill()
	b = startProcess(t, childConfig{Listen: b.address})
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var got answer
	for got.Text != "echo y" && ctx.Err() == nil {
		got = a.do(command{Do: "ask", Address: b.address, Name: "echo", Text: "y"})
	}
	if got.Text != "echo y" {
		t.Errorf("got %+v", got)
	}
}

// Clients rest on it: they have no other way to know that an answer will not come.
func TestAnAddressThatIsLostIsPublishedOnce(t *testing.T) {
	t.Parallel()
	a, b := startProcess(t, childConfig{Client: true}), startProcess(t, childConfig{})
	silent := silentAddress(t)
	a.do(command{Do: "ask", Address: silent, Name: "echo", Text: "x"})
	a.do(command{Do: "ask", Address: b.address, Name: "echo", Text: "x"})
	if s := a.state(); len(s.Lost) > 0 {
		t.Errorf("%q are lost, though nothing was sent there in vain", s.Lost)
	}
	b.kill()
	a.await("it is published", func(s childState) bool { return len(s.Lost) > 0 })
	a.do(command{Do: "ask", Address: b.address, Name: "echo", Text: "x"})
	if s := a.state(); !slices.Equal(s.Lost, []string{b.address}) {
		t.Errorf("%q are lost, want %q once", s.Lost, b.address)
	}
}
