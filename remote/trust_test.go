package raftremote_test

import (
	"strings"
	"testing"
)

func TestAClientsCertificateSendsMessagesAndOpensNoLink(t *testing.T) {
	t.Parallel()
	dir := certificates(t, map[string]string{"member": "raft://c/member", "client": ""})
	member := startProcess(t, childConfig{Cluster: "c", Certificates: dir("member")})
	client := startProcess(t, childConfig{Cluster: "c", Certificates: dir("client"), Client: true})
	if got := client.do(command{Do: "ask", Address: member.address, Name: "echo", Text: "x"}); got.Text != "echo x" {
		t.Errorf("asked by a client: %+v", got)
	}
	if got := client.do(command{Do: "status", Address: member.address, Name: "raft/g/1"}); got.Text != "*raft.Status" {
		t.Errorf("a raft actor, asked by a client: %+v", got)
	}
	if got := client.do(command{Do: "join", Name: "g"}); !strings.Contains(got.Error, "names no system") {
		t.Errorf("joining: %+v", got)
	}
	material, err := loadTLS(dir("client"))
	check(t, err)
	h := attackLink(t, member.address, material)
	h.send(linkHello("client", client.address, member.address, 1))
	f, err := h.receive()
	if err != nil || f.Refused == nil || !strings.Contains(f.Refused.Reason, "client's") {
		t.Errorf("its link is answered with %v, %v", f, err)
	}
	check(t, h.awaitClosed())
	if s := member.state(); s.Refused["identity"] != 1 {
		t.Errorf("counted are %v", s.Refused)
	}
}

func TestSystemsOfAnotherAuthorityOrClusterDoNotReachEachOther(t *testing.T) {
	t.Parallel()
	ours := certificates(t, map[string]string{"a": "raft://c/a", "other": "raft://d/other"})
	theirs := certificates(t, map[string]string{"stranger": "raft://c/stranger"})
	a := startProcess(t, childConfig{Cluster: "c", Certificates: ours("a")})
	stranger := startProcess(t, childConfig{Cluster: "c", Certificates: theirs("stranger")})
	other := startProcess(t, childConfig{Cluster: "d", Certificates: ours("other")})
	for _, from := range []*process{stranger, other} {
		got := from.do(command{Do: "ask", Address: a.address, Name: "echo", Text: "x"})
		if !strings.Contains(got.Error, "dead letter") {
			t.Errorf("got %+v", got)
		}
	}
	if s := a.state(); s.Echoed > 0 || s.Refused["handshake"] == 0 || s.Refused["address"] == 0 {
		t.Errorf("afterwards it is %+v", s)
	}
}
