package main

import (
	"fmt"
	"io"
)

// render shows a report as tables.
func render(w io.Writer, r report) {
	for _, s := range r.Series {
		if s.Error == "" && len(s.Rounds) > 0 {
			fmt.Fprintln(w, s.Cell, s.Contender, s.newest())
		}
	}
	fmt.Fprintln(w, r.Command)
	fmt.Fprintln(w, r.Machine)
}
