// Package raftactor_test holds the tree to the rules that a reader relies on:
// who may import whom, comments on everything exported, files and functions that
// fit a head, tests that do not sleep.
package raftactor_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTreeKeepsTheRules(t *testing.T) {
	tree := readTree(t)
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			for _, finding := range rule(tree) {
				t.Error(finding)
			}
		})
	}
}

// readTree parses every Go file of this module.
func readTree(t *testing.T) []*source {
	t.Helper()
	var tree []*source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && !belongs(name):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s, err := parseSource(filepath.ToSlash(name), text)
		tree = append(tree, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// belongs reports whether the go command takes a directory for part of this
// module: not what is hidden, testdata, or a module of its own.
func belongs(dir string) bool {
	base := filepath.Base(dir)
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err != nil && base != "testdata" && base[0] != '.' && base[0] != '_'
}

// TestRulesFindWhatTheyForbid shows that every rule can fail: each case is a
// small tree that breaks one rule once.
func TestRulesFindWhatTheyForbid(t *testing.T) {
	lines := func(n int) string { return strings.Repeat("\n", n) }
	tests := map[string]struct {
		rule  string
		files map[string]string
		want  string
	}{
		"core imports a clock": {
			"arrows", one("node/a.go", "package node\nimport \"time\""),
			"node/a.go:2: node must not import time",
		},
		"core imports below a forbidden package": {
			"arrows", one("node/a.go", "package node\nimport \"sync/atomic\""),
			"node/a.go:2: node must not import sync/atomic",
		},
		"core imports a global source of randomness": {
			"arrows", one("node/a.go", "package node\nimport \"math/rand/v2\""),
			"node/a.go:2: node must not import math/rand/v2",
		},
		"core imports a library": {
			"arrows", one("node/a.go", "package node\nimport \"github.com/hashicorp/go-hclog\""),
			"node/a.go:2: node must not import github.com/hashicorp/go-hclog",
		},
		"core imports upwards": {
			"arrows", one("node/a.go", "package node\nimport \"example.com/raftactor/timer\""),
			"node/a.go:2: node must not import example.com/raftactor/timer",
		},
		"core's own part imports I/O": {
			"arrows", one("node/internal/x/a.go", "package x\nimport \"os\""),
			"node/internal/x/a.go:2: node/internal/x must not import os",
		},
		"core starts a goroutine": {
			"arrows", one("node/a.go", "package node\nfunc f() { go f() }"),
			"node/a.go:2: node must not start a goroutine",
		},
		"core's harness imports another package of ours": {
			"arrows", one("node/nodetest/a.go", "package nodetest\nimport \"example.com/raftactor/timer\""),
			"node/nodetest/a.go:2: node/nodetest must not import example.com/raftactor/timer",
		},
		"package imports a harness": {
			"arrows", one("actor/a.go", "package actor\nimport \"example.com/raftactor/node/nodetest\""),
			"actor/a.go:2: actor must not import example.com/raftactor/node/nodetest",
		},
		"timer imports Proto.Actor": {
			"arrows", one("timer/a.go", "package timer\nimport \""+protoActor+"/actor\""),
			"timer/a.go:2: timer must not import " + protoActor + "/actor",
		},
		"mailbox imports another library": {
			"arrows", one("mailbox/a.go", "package mailbox\nimport \"google.golang.org/grpc\""),
			"mailbox/a.go:2: mailbox must not import google.golang.org/grpc",
		},
		"actor imports persist": {
			"arrows", one("actor/a.go", "package actor\nimport \"example.com/raftactor/persist\""),
			"actor/a.go:2: actor must not import example.com/raftactor/persist",
		},
		"actor imports remote": {
			"arrows", one("actor/a.go", "package actor\nimport raftremote \"example.com/raftactor/remote\""),
			"actor/a.go:2: actor must not import example.com/raftactor/remote",
		},
		"actor imports gRPC by way of Proto.Actor": {
			"arrows", one("actor/a.go", "package actor\nimport \""+protoActor+"/remote\""),
			"actor/a.go:2: actor must not import " + protoActor + "/remote",
		},
		"persist imports actor": {
			"arrows", one("persist/a.go", "package persist\nimport raft \"example.com/raftactor/actor\""),
			"persist/a.go:2: persist must not import example.com/raftactor/actor",
		},
		"remote imports mailbox": {
			"arrows", one("remote/a.go", "package remote\nimport \"example.com/raftactor/mailbox\""),
			"remote/a.go:2: remote must not import example.com/raftactor/mailbox",
		},
		"directory that the table does not know": {
			"arrows", one("util/a.go", "package util"),
			"util/a.go:1: util has no row in the table of arrows",
		},
		"our actor under its bare name": {
			"importNames", one("examples/x/a.go", "package main\nimport \"example.com/raftactor/actor\""),
			`examples/x/a.go:2: import it as raft "example.com/raftactor/actor"`,
		},
		"our remote under another name, in a test": {
			"importNames", one("remote/a_test.go", "package x\nimport r \"example.com/raftactor/remote\""),
			`remote/a_test.go:2: import it as raftremote "example.com/raftactor/remote"`,
		},
		"another package as actor": {
			"importNames", one("actor/a.go", "package actor\nimport actor \"example.com/raftactor/node\""),
			"actor/a.go:2: actor is Proto.Actor's name, not that of example.com/raftactor/node",
		},
		"package comment not in doc.go": {
			"packageDoc", one("node/node.go", "// Package node is\npackage node"),
			`node: package has no doc.go with a comment that starts "Package node "`,
		},
		"doc.go that starts otherwise": {
			"packageDoc", one("node/doc.go", "// The node package is\npackage node"),
			`node: package has no doc.go with a comment that starts "Package node "`,
		},
		"command without a comment": {
			"packageDoc", one("examples/x/main.go", "package main"),
			"examples/x: package has no package comment",
		},
		"function without a comment": {
			"exportedDoc", one("node/a.go", "package node\nfunc F() {}"),
			"node/a.go:2: F needs a comment that starts with its name",
		},
		"comment that starts with another name": {
			"exportedDoc", one("node/a.go", "package node\n// Fast does.\nfunc F() {}"),
			"node/a.go:3: F needs a comment that starts with its name",
		},
		"method of an exported generic type": {
			"exportedDoc", one("node/a.go", "package node\n// T is.\ntype T[K any] struct{}\nfunc (*T[K]) M() {}"),
			"node/a.go:4: M needs a comment that starts with its name",
		},
		"type in a block": {
			"exportedDoc", one("node/a.go", "package node\n// Types.\ntype (\n\tT int\n)"),
			"node/a.go:4: T needs a comment that starts with its name",
		},
		"constant in a block without a comment": {
			"exportedDoc", one("node/a.go", "package node\nconst (\n\tC = 1\n)"),
			"node/a.go:3: C needs a comment that starts with its name",
		},
		"variable": {
			"exportedDoc", one("node/a.go", "package node\nvar V int"),
			"node/a.go:2: V needs a comment that starts with its name",
		},
		"long file": {
			"size", one("node/a.go", "package node"+lines(601)),
			"node/a.go:1: file has 601 lines, more than 600",
		},
		"long function": {
			"size", one("node/a.go", "package node\nfunc f() {"+lines(100)+"}"),
			"node/a.go:2: f has 101 lines, more than 100",
		},
		"sleeping test": {
			"sleep", one("node/a_test.go", "package node\nimport \"time\"\nfunc f() { time.Sleep(1) }"),
			"node/a_test.go:3: a test of node must not sleep",
		},
		"sleeping harness under another name": {
			"sleep", one("persist/persisttest/a.go", "package x\nimport c \"time\"\nvar f = c.Sleep"),
			"persist/persisttest/a.go:3: a test of persist must not sleep",
		},
	}
	failed := map[string]bool{}
	for name, test := range tests {
		failed[test.rule] = true
		t.Run(name, func(t *testing.T) {
			got := rules[test.rule](parseTree(t, test.files))
			if !slices.Equal(got, []string{test.want}) {
				t.Errorf("got %q, want only %q", got, test.want)
			}
		})
	}
	for name := range rules {
		if !failed[name] {
			t.Errorf("no case shows that rule %s can fail", name)
		}
	}
}

// TestRulesAllowTheRest is a tree that comes as close to the rules as it may.
func TestRulesAllowTheRest(t *testing.T) {
	lines := func(n int) string { return strings.Repeat("\n", n) }
	tree := parseTree(t, map[string]string{
		"node/doc.go": "// Package node is the core.\npackage node\nimport (\n\"fmt\"\n\"timeless\"\n)",
		"node/a.go": "package node\n// An ID names.\ntype ID int\n// Kinds of things.\nconst (\n\tA = 1\n)\n" +
			"func (ID) String() string { return \"\" }\nfunc (t hidden) M() {}\n// E is.\nvar E error",
		"node/long.go":          "package node\nfunc f() {" + lines(99) + "}" + lines(500),
		"node/a_test.go":        "package node\nimport \"time\"\nfunc F() {\n" + lines(700) + "go F() }",
		"node/nodetest/doc.go":  "// Package nodetest is for tests.\npackage nodetest",
		"node/nodetest/a.go":    "package nodetest\nimport (\n\"time\"\n\"pgregory.net/rapid\"\n\"" + modulePath + "/node\"\n)",
		"actor/doc.go":          "// Package actor is ours.\npackage actor",
		"actor/a.go":            "package actor\nimport (\n\"" + protoActor + "/actor\"\n\"" + modulePath + "/node\"\n)",
		"actor/a_test.go":       "package x\nimport (\n\"time\"\nraft \"" + modulePath + "/actor\"\n)\nvar f = time.Sleep",
		"actor/m.pb.go":         "// Code generated by hand. DO NOT EDIT.\n\npackage actor\nfunc F() {}" + lines(700),
		"examples/chat/main.go": "// Chat talks.\npackage main\nimport raftremote \"" + modulePath + "/remote\"\nfunc F() {}",
	})
	for name, rule := range rules {
		for _, finding := range rule(tree) {
			t.Errorf("%s: %s", name, finding)
		}
	}
}

func one(path, text string) map[string]string { return map[string]string{path: text} }

func parseTree(t *testing.T, files map[string]string) []*source {
	t.Helper()
	var tree []*source
	for name, text := range files {
		s, err := parseSource(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		tree = append(tree, s)
	}
	return tree
}
