package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	raft "example.com/raftactor/actor"
)

// What begins with a slash is a command, and with two of them a line that begins with one.
func commandOf(text string) (rest string, isCommand bool) {
	rest, slash := strings.CutPrefix(text, "/")
	if !slash {
		return text, false
	}
	return rest, !strings.HasPrefix(rest, "/")
}

// command is what can be typed.
type command struct {
	name, argument, does string
	// slow: it waits for the group, and so runs beside what is typed next.
	slow bool
	run  func(r *room, ctx context.Context, argument string) error
}

// commands are in the order of /help, which is their own last entry, and so is told apart.
var commands = []command{
	{name: "members", does: "who is in the room", run: (*room).showMembers},
	{name: "status", does: "how this member sees it", run: (*room).showStatus},
	{name: "history", argument: "[LINES]", does: "the newest lines, 20 of them if not said", run: (*room).showHistory},
	{name: "transfer", argument: "ID", does: "let another member lead", slow: true, run: (*room).transfer},
	{
		name: "add", argument: "ID=HOST:PORT", slow: true, run: (*room).add,
		does: "take in a member that was started with -join; it votes when it has caught up",
	},
	{name: "promote", argument: "ID", does: "let a member vote that was taken in", slow: true, run: (*room).promote},
	{name: "remove", argument: "ID", does: "remove a member", slow: true, run: (*room).remove},
	{name: "quit", does: "leave, as Ctrl-C does", run: (*room).quit},
}

const (
	// changeTime is how long a change may wait for a leader.
	changeTime = 10 * time.Second
	// promotePause is between attempts to promote.
	promotePause = 100 * time.Millisecond
	historyLines = 20
)

// command carries out what was typed behind a slash.
func (r *room) command(ctx context.Context, text string) {
	name, argument, _ := strings.Cut(strings.TrimSpace(text), " ")
	argument = strings.TrimSpace(argument)
	if name == "help" {
		r.screen.notice("%s", help())
		return
	}
	for _, c := range commands {
		if c.name != name {
			continue
		}
		if argument == "" && c.argument != "" && !strings.HasPrefix(c.argument, "[") {
			r.screen.notice("/%s takes %s; /help says more", name, c.argument)
			return
		}
		run := func() {
			switch err := c.run(r, ctx, argument); {
			case err != nil:
				r.screen.notice("/%s: %s", name, plainly(err))
			case c.slow:
				r.screen.notice("/%s %s: done", name, argument)
			}
		}
		if !c.slow {
			run()
			return
		}
		select {
		case r.commands <- struct{}{}:
			r.work.Go(func() {
				defer func() { <-r.commands }()
				run()
			})
		default:
			r.screen.notice("/%s: %d commands are under way; wait until one of them is done", name, commandsMax)
		}
		return
	}
	r.screen.notice("there is no command /%s; /help names them", name)
}

// plainly is what to tell a person of an error.
func plainly(err error) string {
	var rejected *raft.RejectedError
	switch {
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(err, raft.ErrUnknown):
		return "it is not done yet, and may still be; /members tells. It takes a majority of those who vote"
	case errors.Is(err, context.DeadlineExceeded):
		return "it was given up: no leader could be reached, which takes a majority of those who vote; try again"
	case errors.As(err, &rejected):
		return strings.TrimPrefix(rejected.Detail, "node: ")
	}
	return err.Error()
}

// help names the commands.
func help() string {
	var b strings.Builder
	b.WriteString("What you type is said to everybody. A line that begins with // is said with one slash.\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "%-22s %s\n", strings.TrimSpace("/"+c.name+" "+c.argument), c.does)
	}
	b.WriteString("/help                  this")
	return b.String()
}

func (r *room) quit(context.Context, string) error {
	r.over(errLeft)
	return nil
}

// showMembers shows who is in the room.
func (r *room) showMembers(ctx context.Context, _ string) error {
	s, err := r.client.Status(ctx, r.pid)
	if err != nil {
		return err
	}
	if len(s.Members) == 0 {
		r.screen.notice("this member, %d, is in no room yet: a member of one adds it with /add %d=%s",
			s.Id, s.Id, r.options.advertise)
		return nil
	}
	rows := make([]string, 0, len(s.Members))
	for _, m := range s.Members {
		rows = append(rows, r.describe(s, m))
	}
	r.screen.notice("%s", strings.Join(rows, "\n"))
	return nil
}

// describe is a row of /members.
func (r *room) describe(s *raft.Status, m *raft.MemberInfo) string {
	row := fmt.Sprintf("member %d at %s", m.Id, m.Address)
	if !m.Voter {
		row += ", does not vote yet"
	}
	if m.Id == s.Leader {
		row += ", leads"
	}
	if m.Id == s.Id {
		row += ", this one"
	}
	if m.Contact == raft.MemberInfo_UNREACHABLE {
		row += ", cannot be reached"
	}
	if s.Role == raft.Status_LEADER && m.Lag > 0 {
		row += fmt.Sprintf(", %d entries behind", m.Lag)
	}
	return row
}

// showStatus shows how this member sees the room.
func (r *room) showStatus(ctx context.Context, _ string) error {
	s, err := r.client.Status(ctx, r.pid)
	if err != nil {
		return err
	}
	leader := "nobody leads"
	if s.Leader != 0 {
		leader = fmt.Sprintf("member %d leads", s.Leader)
	}
	r.screen.notice("member %d: %s, %s in term %d", s.Id, strings.ToLower(s.Role.String()), leader, s.Term)
	r.screen.notice("log: entries %d to %d, committed to %d, applied to %d; snapshot at %d",
		s.FirstIndex, s.LastIndex, s.CommitIndex, s.AppliedIndex, s.SnapshotIndex)
	for _, p := range s.Problems {
		r.screen.notice("problem: %s", p.Detail)
	}
	if n := len(r.said); n > 0 {
		r.screen.notice("%d lines wait to be said", n)
	}
	return nil
}

// showHistory shows the newest lines again.
func (r *room) showHistory(ctx context.Context, argument string) error {
	count := historyLines
	if argument != "" {
		var err error
		if count, err = strconv.Atoi(argument); err != nil || count < 1 {
			return fmt.Errorf("%q is not how many lines to show", argument)
		}
	}
	question := newestQuestion(count)
	for {
		lines, more, _, err := r.ask(ctx, question, 0)
		if err != nil {
			return err
		}
		for _, l := range lines {
			r.screen.again(l)
		}
		if !more {
			return nil
		}
		question = fromQuestion(lines[len(lines)-1].index + 1)
	}
}

// transfer lets another member lead.
func (r *room) transfer(ctx context.Context, argument string) error {
	id, err := parseID(argument)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	return r.client.TransferLeadership(ctx, id)
}

// add takes a member in, and lets it vote when it has caught up.
func (r *room) add(ctx context.Context, argument string) error {
	m, err := parsePeer(argument)
	if err != nil {
		return err
	}
	if other := r.memberAt(ctx, m.Address); other != 0 && other != m.ID {
		return fmt.Errorf("%s is the address of member %d", m.Address, other)
	}
	change, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	if err := r.client.AddMember(change, m.ID, m.Address); err != nil {
		return err
	}
	return r.promoteWhenReady(ctx, m.ID)
}

// promote lets a member vote.
func (r *room) promote(ctx context.Context, argument string) error {
	id, err := parseID(argument)
	if err != nil {
		return err
	}
	return r.promoteWhenReady(ctx, id)
}

// promoteWhenReady tries until the member has caught up, however long that takes: it may not even have been started.
func (r *room) promoteWhenReady(ctx context.Context, id raft.ID) error {
	late := time.AfterFunc(patience, func() {
		r.screen.notice("member %d votes as soon as it is there and has caught up; /remove %d calls that off", id, id)
	})
	defer late.Stop()
	pause := time.NewTicker(promotePause)
	defer pause.Stop()
	for {
		change, cancel := context.WithTimeout(ctx, changeTime)
		err := r.client.Promote(change, id)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("member %d does not vote yet; have another member say /promote %d", id, id)
		}
		if errors.Is(err, raft.ErrRefused) && !r.isMember(ctx, id) {
			return fmt.Errorf("there is no member %d (any more)", id)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

// isMember tells whether there is such a member, as far as this one knows.
func (r *room) isMember(ctx context.Context, id raft.ID) bool {
	s, err := r.client.Status(ctx, r.pid)
	if err != nil {
		return true // not known
	}
	for _, m := range s.Members {
		if raft.ID(m.Id) == id {
			return true
		}
	}
	return false
}

// memberAt is the member that has an address, as far as this one knows, or zero.
func (r *room) memberAt(ctx context.Context, address string) raft.ID {
	s, err := r.client.Status(ctx, r.pid)
	if err != nil {
		return 0 // not known
	}
	for _, m := range s.Members {
		if m.Address == address {
			return raft.ID(m.Id)
		}
	}
	return 0
}

// remove removes a member.
func (r *room) remove(ctx context.Context, argument string) error {
	id, err := parseID(argument)
	if err != nil {
		return err
	}
	if !r.isMember(ctx, id) {
		return fmt.Errorf("there is no member %d", id)
	}
	ctx, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	return r.client.RemoveMember(ctx, id)
}
