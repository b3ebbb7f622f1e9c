package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are what the flags say.
type options struct {
	workloads, contenders []string
	payloads, concurrency []int
	readConcurrency       []int // concurrency, of reads
	groups, rounds        int
	warmUp, duration      time.Duration
	json, markdown, dir   string
	show                  string
	quick                 bool
	profiles              profiles
}

// parse reads the flags. An error says what is allowed.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var names []string
	for _, c := range contenders() {
		names = append(names, c.name)
	}
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(stderr)
	loads := set.String("workloads", "W1,W2,W3", "which of "+strings.Join(workloadNames(), ", "))
	who := set.String("contenders", "all", "which of "+strings.Join(names, ", "))
	payloads := set.String("payload", "16,256,4096", "bytes of a command, at least "+strconv.Itoa(commandBytesMin))
	concurrency := set.String("concurrency", "1,64,1024", "how many requests are outstanding")
	set.IntVar(&o.groups, "groups", 100, "how many idle groups W5 has")
	set.DurationVar(&o.duration, "duration", 3*time.Second, "how long each turn is measured")
	set.DurationVar(&o.warmUp, "warmup", time.Second, "how long each turn goes on before that; five times as long where 1 KiB or more goes to disk")
	set.IntVar(&o.rounds, "rounds", 3, "how many turns each contender has in each cell")
	set.BoolVar(&o.quick, "quick", false, "few cells and short turns, in less than three minutes")
	set.StringVar(&o.json, "json", "", "a `file` for the report as JSON; - is standard output, without a table")
	set.StringVar(&o.markdown, "markdown", "", "a `file` for README's tables of the report; - is standard output, without a table")
	set.StringVar(&o.show, "show", "", "shows a report again, from a `file` of -json, and measures nothing")
	set.StringVar(&o.dir, "dir", "", "a `directory` on a real disk for durable stores (default: a temporary one)")
	set.StringVar(&o.profiles.CPU, "cpuprofile", "", "a `file` for a CPU profile; like the next four it takes one contender and cell")
	set.StringVar(&o.profiles.Memory, "memprofile", "", "a `file` for a profile of allocations")
	set.StringVar(&o.profiles.Mutex, "mutexprofile", "", "a `file` for a profile of contended mutexes")
	set.StringVar(&o.profiles.Block, "blockprofile", "", "a `file` for a profile of blocking")
	set.StringVar(&o.profiles.Trace, "trace", "", "a `file` for an execution trace")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	given := map[string]bool{}
	set.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if set.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag; -help names them", set.Arg(0))
	}
	if o.quick {
		quick := func(name string, apply func()) {
			if !given[name] {
				apply()
			}
		}
		quick("workloads", func() { *loads = "W1,W2,W3,W5,R1" })
		quick("payload", func() { *payloads = "16" })
		quick("concurrency", func() { *concurrency = "1,64,1024" })
		// boltdb is what raft-wal was made to replace, and takes the most time.
		quick("contenders", func() {
			*who = strings.Join(slices.DeleteFunc(slices.Clone(names), isBolt), ",")
		})
		quick("duration", func() { o.duration = 500 * time.Millisecond })
		quick("warmup", func() { o.warmUp = 300 * time.Millisecond })
		quick("rounds", func() { o.rounds = 1 })
	}
	var err error
	if o.workloads, err = choose("-workloads", *loads, workloadNames()); err != nil {
		return o, err
	}
	if o.contenders, err = choose("-contenders", *who, names); err != nil {
		return o, err
	}
	if o.payloads, err = numbers("-payload", *payloads, commandBytesMin, 1<<20); err != nil {
		return o, err
	}
	if o.concurrency, err = numbers("-concurrency", *concurrency, 1, 1<<16); err != nil {
		return o, err
	}
	o.readConcurrency = o.concurrency
	if o.quick && !given["concurrency"] {
		o.readConcurrency = []int{64}
	}
	return o, o.validate()
}

func isBolt(contender string) bool { return strings.HasPrefix(contender, "hashicorp-bolt") }

// validate checks what is not a list.
func (o options) validate() error {
	switch {
	case o.json == "-" && o.markdown == "-":
		return errors.New("-json and -markdown cannot both have standard output: name a file")
	case o.groups < 1 || o.groups > 10_000:
		return fmt.Errorf("-groups is %d: a number from 1 to 10000 is wanted", o.groups)
	case o.rounds < 1 || o.rounds > 1000:
		return fmt.Errorf("-rounds is %d: a number from 1 to 1000 is wanted", o.rounds)
	case o.duration < 10*time.Millisecond || o.duration > time.Hour:
		return fmt.Errorf("-duration is %v: from 10ms to 1h is wanted", o.duration)
	case o.warmUp < 0 || o.warmUp > time.Hour:
		return fmt.Errorf("-warmup is %v: from 0s to 1h is wanted", o.warmUp)
	case o.profiles.any() && (len(o.contenders) != 1 || len(o.cells()) != 1 || o.rounds != 1):
		return fmt.Errorf("a profile is of one turn: name one each with -contenders, -workloads, -payload and -concurrency, " +
			"and give -rounds 1")
	}
	return nil
}

// cells are all that there are to fill, in order.
func (o options) cells() []cell {
	var all []cell
	for _, name := range o.workloads {
		w := workloadNamed(name)
		if w.idle {
			all = append(all, cell{Workload: name, PayloadBytes: commandBytesMin, Outstanding: 1, Groups: o.groups})
			continue
		}
		payloads, concurrency := o.payloads, o.concurrency
		if w.reads { // they carry nothing
			payloads, concurrency = []int{commandBytesMin}, o.readConcurrency
		}
		for _, payload := range payloads {
			for _, outstanding := range concurrency {
				all = append(all, cell{Workload: name, PayloadBytes: payload, Outstanding: outstanding})
			}
		}
	}
	return all
}

// choose reads a list of names, in the order of what is allowed.
func choose(name, list string, allowed []string) ([]string, error) {
	if list == "all" {
		return allowed, nil
	}
	asked := strings.Split(list, ",")
	for _, a := range asked {
		if !slices.Contains(allowed, a) {
			return nil, fmt.Errorf("%s has %q in it; allowed are all, or a list of %s", name, a, strings.Join(allowed, ", "))
		}
	}
	var chosen []string
	for _, a := range allowed {
		if slices.Contains(asked, a) {
			chosen = append(chosen, a)
		}
	}
	return chosen, nil
}

// numbers reads a list of numbers.
func numbers(name, list string, least, most int) ([]int, error) {
	var all []int
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < least || n > most {
			return nil, fmt.Errorf("%s has %q in it; a list of numbers from %d to %d is wanted", name, word, least, most)
		}
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all, nil
}
