package raftremote

import (
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"example.com/raftactor/node"
)

var update = flag.Bool("update", false, "write the golden frames again: only ever for a new version of the protocol")

const goldenFile = "testdata/frames-v1.txt"

type goldenFrame struct {
	name  string
	frame *frame
}

// goldenFrames are frames with everything that version 1 has.
func goldenFrames() []goldenFrame {
	h := node.Header{From: 1, To: 300, Term: 7, FromIncarnation: 0xa1a1a1a1a1a1a1a1, ToIncarnation: 0xb2}
	meta := node.SnapshotMeta{
		Index: 900, Term: 6, ConfigurationIndex: 20, Configuration: node.NewConfiguration(
			node.Member{ID: 1, Suffrage: node.Voter, Incarnation: h.FromIncarnation, Address: "one:7001"},
			node.Member{ID: 300, Suffrage: node.Learner},
		),
	}
	envelope := func(messages ...node.Message) *node.PeerEnvelope {
		return &node.PeerEnvelope{Group: "orders-1", From: h.From, To: h.To, Messages: messages}
	}
	of := func(e *node.PeerEnvelope, requests ...wireRequest) *frame {
		return &frame{sent: 1234, envelopes: []wireEnvelope{{e, requests}}}
	}
	chunk, ack := envelope(), envelope()
	chunk.Chunk = &node.SnapshotChunk{
		Offer: &node.InstallSnapshot{Header: h, Meta: meta}, Transfer: 9, Offset: 262144, Size: 262147,
		Data: []byte("end"), Sum: 0xc0ffee,
	}
	ack.Ack = &node.SnapshotAck{Transfer: 9, Received: 262147, Done: true, Failed: true}
	return []goldenFrame{
		{"empty", &frame{}},
		{"hello", &frame{hello: &hello{
			versionMin: 1, versionMax: 2, version: 1, cluster: "c", system: "one", store: 0xfedcba9876543210,
			address: "one:7001", dialed: "two:7002", life: 17, bulk: true, frameBytesMax: 4 << 20,
		}}},
		{"refused", &frame{refused: &refusal{refusedStore, "it is a copy"}}},
		{"going away", &frame{goAway: &goAway{goAwayDuplicate, "there is another"}}},
		{"ping", &frame{sent: math.MaxUint64, ping: 5, pong: 6}},
		{"answers", &frame{answers: []wireAnswer{{1, []byte("yes")}, {1 << 40, nil}}}},
		{"requests", of(envelope(), wireRequest{1, []byte("do it")}, wireRequest{128, nil})},
		{"votes", of(envelope(
			&node.PreVote{Header: h, Round: 3, CampaignTerm: 8, LastIndex: 1000, LastTerm: 7},
			&node.PreVoteReply{Header: h, Round: 3, Granted: true},
			&node.RequestVote{Header: h, LastIndex: 1000, LastTerm: 7, Transfer: 2},
			&node.RequestVoteReply{Header: h, Granted: true},
			&node.TimeoutNow{Header: h, Transfer: 2, LastIndex: 1000},
			&node.Refusal{Header: h, Known: 0xc3c3c3c3c3c3c3c3},
		))},
		{"entries", of(envelope(
			&node.AppendEntries{Header: h, PrevIndex: 1000, PrevTerm: 5, Commit: 999, Entries: []node.Entry{
				{Index: 1001, Term: 5, Kind: node.EntryCommand, Data: []byte("of the term before")},
				{Index: 1002, Term: 7, Kind: node.EntryEmpty},
				{Index: 1003, Term: 7, Kind: node.EntryConfiguration, Data: meta.Configuration.Encode()},
				{Index: 1004, Term: 7, Kind: node.EntryCommand, Data: []byte(strings.Repeat("long", 50))},
			}},
			&node.AppendEntriesReply{
				Header: h, Success: true, Match: 1004, Rejected: 1003, HintIndex: 1002, HintTerm: 6, Commit: 1001,
			},
		))},
		{"rounds", of(envelope(
			&node.Heartbeat{Header: h, Round: 11, Commit: 1001}, &node.HeartbeatReply{Header: h, Round: 11, Commit: 1001},
			&node.ReadIndexRequest{Header: h, Batch: 12}, &node.ReadIndexReply{Header: h, Batch: 12, Index: 1001},
		))},
		{"snapshot", of(envelope(
			&node.InstallSnapshot{Header: h, Meta: meta}, &node.InstallSnapshotReply{Header: h, Match: 900},
		))},
		{"chunk", of(chunk)},
		{"ack", of(ack)},
	}
}

func TestVersionOneIsWrittenAsItAlwaysWas(t *testing.T) {
	var written strings.Builder
	for _, g := range goldenFrames() {
		fmt.Fprintf(&written, "%s: %s\n", g.name, hex.EncodeToString(appendFrame(nil, g.frame)))
	}
	if *update {
		if err := os.WriteFile(goldenFile, []byte(written.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if written.String() != string(golden) {
		t.Errorf("got\n%swant\n%s", &written, golden)
	}
}

func TestVersionOneIsReadAsItAlwaysWas(t *testing.T) {
	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(golden), "\n"), "\n")
	frames := goldenFrames()
	if len(lines) != len(frames) {
		t.Fatalf("the file has %d frames, want %d", len(lines), len(frames))
	}
	for i, want := range frames {
		t.Run(want.name, func(t *testing.T) {
			_, digits, _ := strings.Cut(lines[i], ": ")
			data, err := hex.DecodeString(digits)
			if err != nil {
				t.Fatal(err)
			}
			var got frame
			if err := decodeFrame(data, &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(&got, want.frame) {
				t.Errorf("got %v, want %v", generatedFrame(&got), generatedFrame(want.frame))
			}
		})
	}
}
