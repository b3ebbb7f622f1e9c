package raftremote_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/node"
	"example.com/raftactor/persist"
)

// BenchmarkThreeProcesses has three members in three processes, each with a store on the same disk, and one proposal at a time. The
// floor is a round trip of the link between two of these processes, and the write and sync of one block of that disk.
//
// That of the directory for temporary files is used, or of the one that RAFTACTOR_BENCH_DIR names.
func BenchmarkThreeProcesses(b *testing.B) {
	const units = 100
	dir, err := os.MkdirTemp(os.Getenv("RAFTACTOR_BENCH_DIR"), "remote-bench-")
	check(b, err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	addresses := []string{silentAddress(b), silentAddress(b), silentAddress(b)}
	var all []*process
	for i := range addresses {
		all = append(all, startProcess(b, childConfig{Listen: addresses[i], Members: addresses, Self: i, Dir: dir}))
	}
	for _, p := range all {
		p.do(command{Do: "address"})
	}
	leader, other := all[0], all[1]
	took := func(p *process, c command) time.Duration {
		a := p.do(c)
		if a.Error != "" {
			b.Fatalf("%s: %s", c.Do, a.Error)
		}
		return a.Took
	}
	took(leader, command{Do: "lead"})
	took(other, command{Do: "echo"})
	took(leader, command{Do: "ping", Address: addresses[1], Count: units})
	file, err := os.OpenFile(filepath.Join(dir, "floor"), os.O_CREATE|os.O_RDWR, 0o600)
	check(b, err)
	b.Cleanup(func() { file.Close() })
	block := make([]byte, 4096)
	for i := range int64(units) {
		_, err := file.WriteAt(block, i*int64(len(block)))
		check(b, err)
	}
	check(b, file.Sync())
	var proposals, trips, syncs, ratios []float64
	for b.Loop() {
		proposal := took(leader, command{Do: "propose", Count: units}).Seconds()
		trip := took(leader, command{Do: "ping", Address: addresses[1], Count: units}).Seconds()
		began := time.Now()
		for i := range int64(units) {
			block[0]++
			_, err := file.WriteAt(block, i*int64(len(block)))
			check(b, err)
			check(b, syscall.Fdatasync(int(file.Fd())))
		}
		sync := time.Since(began).Seconds()
		proposals, trips, syncs = append(proposals, proposal), append(trips, trip), append(syncs, sync)
		ratios = append(ratios, proposal/(trip+sync))
	}
	median := func(of []float64) float64 {
		slices.Sort(of)
		return of[len(of)/2]
	}
	b.ReportMetric(median(proposals)*1e9/units, "ns/proposal")
	b.ReportMetric(median(trips)*1e9/units, "ns/trip")
	b.ReportMetric(median(syncs)*1e9/units, "ns/sync")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(0, "ns/op") // the units are what counts
}

// store is what a child keeps its member in.
func (c *child) store() (raft.Store, error) {
	if c.cfg.Dir == "" {
		return raft.NewMemoryStore(), nil
	}
	return persist.Open(filepath.Join(c.cfg.Dir, c.remote.Address()), persist.Options{Logger: hclog.NewNullLogger()})
}

// measure does something as often as it is told.
func (c *child) measure(do command) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if c.client == nil {
		c.client = raft.NewClient(c.system, c.member)
	}
	switch do.Do {
	case "lead":
		_, err := c.client.Propose(ctx, nil) // there is a leader
		if err == nil {
			err = c.client.TransferLeadership(ctx, raft.ID(c.cfg.Self+1))
		}
		return err
	case "propose":
		payload := make([]byte, 16)
		for range do.Count {
			if _, err := c.client.Propose(ctx, payload); err != nil {
				return err
			}
		}
	case "echo":
		e := &echo{}
		var err error
		e.link, err = c.remote.Transport().Join("echo", 2, e)
		return err
	case "ping":
		return c.ping(ctx, do)
	}
	return nil
}

func (c *child) ping(ctx context.Context, do command) (err error) {
	if c.pinging == nil {
		c.pinging = &echo{back: make(chan struct{}, 1)}
		if c.pinging.link, err = c.remote.Transport().Join("echo", 1, c.pinging); err != nil {
			return err
		}
	}
	for range do.Count {
		c.pinging.link.Send(2, do.Address, &raft.PeerEnvelope{
			Group: "echo", From: 1, To: 2,
			Messages: []node.Message{&node.Heartbeat{Header: node.Header{From: 1, To: 2, Term: 1}, Round: 1}},
		})
		select {
		case <-c.pinging.back:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// echo is a member that is no raft actor: it sends back what it gets, or notes that it has come back.
type echo struct {
	nowhere
	link raft.Link
	back chan struct{}
}

func (e *echo) Deliver(envelope *raft.PeerEnvelope) {
	if e.back != nil {
		e.back <- struct{}{}
		return
	}
	h := envelope.Messages[0].Head()
	h.From, h.To = h.To, h.From
	e.link.Send(envelope.From, "", &raft.PeerEnvelope{
		Group: envelope.Group, From: envelope.To, To: envelope.From, Messages: envelope.Messages,
	})
}
