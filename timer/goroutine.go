package timer

import (
	"bytes"
	"runtime"
	"strconv"
)

// goroutineID returns the number of the running goroutine, as stack traces show it. Go has no
// other way to learn it, and Cancel none other to tell a call that cancels itself, for which it
// must not wait, from another goroutine, which must. It takes about a microsecond, off the path of
// ticks.
func goroutineID() uint64 {
	var buffer [64]byte
	trace := buffer[:runtime.Stack(buffer[:], false)]
	number, _, _ := bytes.Cut(bytes.TrimPrefix(trace, []byte("goroutine ")), []byte(" "))
	id, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		panic("timer: no goroutine number in " + strconv.Quote(string(trace)))
	}
	return id
}
