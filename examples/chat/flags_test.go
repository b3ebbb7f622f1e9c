package main

import (
	"bytes"
	"strings"
	"testing"
)

const founders = "1=127.0.0.1:7001,2=127.0.0.1:7002"

// flagsOf are complete flags, with some replaced or added: NAME, VALUE, and so on. An empty value takes a flag away.
func flagsOf(changes ...string) (args []string) {
	values := map[string]string{
		"-id": "1", "-listen": "127.0.0.1:7001", "-peers": founders, "-dir": "DIR", "-insecure": "true", "-name": "Ann",
	}
	for i := 0; i < len(changes); i += 2 {
		values[changes[i]] = changes[i+1]
	}
	for name, value := range values {
		if value != "" {
			args = append(args, name+"="+value)
		}
	}
	return args
}

func TestFlagsAreUnderstood(t *testing.T) {
	o, err := parse(flagsOf("-pipe", "true"), new(bytes.Buffer))
	if err != nil || o.id != 1 || o.advertise != "127.0.0.1:7001" || len(o.founders) != 2 || o.name != "Ann" || !o.pipe {
		t.Errorf("got %+v, %v", o, err)
	}
	o, err = parse(flagsOf("-id", "4", "-peers", "", "-join", "true", "-listen", "127.0.0.1:7004"), new(bytes.Buffer))
	if err != nil || o.id != 4 || o.advertise != "127.0.0.1:7004" || len(o.founders) != 0 {
		t.Errorf("got %+v, %v", o, err)
	}
	o, err = parse(flagsOf("-listen", "0.0.0.0:7001"), new(bytes.Buffer))
	if err != nil || o.advertise != "127.0.0.1:7001" || o.listen != "0.0.0.0:7001" {
		t.Errorf("got %+v, %v", o, err)
	}
	o, err = parse(flagsOf("-name", ""), new(bytes.Buffer))
	if err != nil || checkName(o.name) != nil {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestWrongFlagsAreNamedInOneLine(t *testing.T) {
	for name, c := range map[string]struct{ args, wants []string }{
		"unknown":                  {flagsOf("-nope", "1"), []string{"-nope", "-help"}},
		"argument":                 {append(flagsOf(), "fast"), []string{`"fast"`}},
		"no flags":                 {nil, []string{"-peers is missing", "-join"}},
		"no id":                    {flagsOf("-id", ""), []string{"-id is missing"}},
		"id is no number":          {flagsOf("-id", "one"), []string{`"one"`, "-id"}},
		"no listen":                {flagsOf("-listen", ""), []string{"-listen is missing"}},
		"listen without a port":    {flagsOf("-listen", "localhost"), []string{"-listen", "HOST:PORT"}},
		"no dir":                   {flagsOf("-dir", ""), []string{"-dir is missing"}},
		"not secure":               {flagsOf("-insecure", ""), []string{"-cert, -key and -ca", "-insecure"}},
		"secure and insecure":      {flagsOf("-cert", "c", "-key", "k", "-ca", "a"), []string{"excludes"}},
		"half secure":              {flagsOf("-insecure", "", "-cert", "c"), []string{"belong together"}},
		"peers and join":           {flagsOf("-join", "true"), []string{"exclude each other"}},
		"peers without this one":   {flagsOf("-id", "3"), []string{"-peers does not name member 3"}},
		"peers twice":              {flagsOf("-peers", founders+",1=127.0.0.1:7003"), []string{"named twice"}},
		"peers at one address":     {flagsOf("-peers", "1=127.0.0.1:7001,2=127.0.0.1:7001"), []string{"members 1 and 2 are both at 127.0.0.1:7001"}},
		"id zero":                  {flagsOf("-id", "0"), []string{`"0"`, "-id"}},
		"no cluster":               {append(flagsOf(), "-cluster="), []string{"-cluster is empty"}},
		"peers without an id":      {flagsOf("-peers", "127.0.0.1:7001"), []string{"ID=HOST:PORT"}},
		"peers with id 0":          {flagsOf("-peers", "0=127.0.0.1:7001"), []string{`"0"`}},
		"peers without a port":     {flagsOf("-peers", "1=127.0.0.1"), []string{"HOST:PORT"}},
		"peers with port 0":        {flagsOf("-peers", "1=127.0.0.1:0"), []string{"HOST:PORT"}},
		"listen at another port":   {flagsOf("-listen", "127.0.0.1:7009"), []string{"-listen", "127.0.0.1:7009", "-peers", "-advertise"}},
		"listen everywhere":        {flagsOf("-peers", "", "-join", "true", "-listen", ":7001"), []string{"-advertise"}},
		"advertise something else": {flagsOf("-advertise", "127.0.0.1:9"), []string{"-advertise is 127.0.0.1:9"}},
		"name with a space":        {flagsOf("-name", "Ann B"), []string{"-name", "without spaces"}},
		"name with a control":      {flagsOf("-name", "Ann\a"), []string{"-name"}},
		"name too long":            {flagsOf("-name", strings.Repeat("x", 65)), []string{"-name"}},
		"log level":                {flagsOf("-log", "loud"), []string{`"loud"`}},
		"no snapshots":             {flagsOf("-snapshot", "0"), []string{"-snapshot is 0"}},
		"certs without a dir":      {[]string{"certs"}, []string{"one directory"}},
		"certs with two":           {[]string{"certs", "a", "b"}, []string{"one directory"}},
		"certs for nobody":         {[]string{"certs", "-systems", "0", "a"}, []string{"-systems is 0"}},
		"certs of a path":          {[]string{"certs", "-cluster", "a/b", "a"}, []string{"-cluster"}},
		"certs with a wrong flag":  {[]string{"certs", "-nope"}, []string{"-nope"}},
		"certs of an empty host":   {[]string{"certs", "-hosts", "a,,b", "a"}, []string{"-hosts"}},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(c.args, strings.NewReader(""), &stdout, &stderr); code != exitUsage {
				t.Errorf("exit code %d, want %d", code, exitUsage)
			}
			said := stderr.String()
			for _, want := range c.wants {
				if !strings.Contains(said, want) {
					t.Errorf("it says %q, want %q", said, want)
				}
			}
			if strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "chat: ") || stdout.Len() > 0 {
				t.Errorf("it says %q and prints %q, want one line and nothing", said, stdout.String())
			}
		})
	}
}

func TestHelpIsNoFailure(t *testing.T) {
	for _, args := range [][]string{{"-help"}, {"certs", "-help"}} {
		var stdout, stderr bytes.Buffer
		if code := run(args, strings.NewReader(""), &stdout, &stderr); code != exitOK {
			t.Errorf("%v: exit code %d, want %d", args, code, exitOK)
		}
		if got := stdout.String(); !strings.Contains(got, "usage:") || !strings.Contains(got, "-cluster") || stderr.Len() > 0 {
			t.Errorf("%v: it prints %q, and says %q", args, got, stderr.String())
		}
	}
}
