package main

import (
	"fmt"
	"io"
	"sync"

	dlogger "github.com/lni/dragonboat/v4/logger"
)

// dragonboatOutput is where dragonboat's log goes. There is one for all that
// runs in a process, since the library has one log.
var dragonboatOutput struct {
	once sync.Once
	mu   sync.Mutex
	to   io.Writer // guarded by mu
}

// dragonboatLogTo has the log of dragonboat written to w from now on.
func dragonboatLogTo(w io.Writer) {
	out := &dragonboatOutput
	out.mu.Lock()
	out.to = w
	out.mu.Unlock()
	out.once.Do(func() {
		dlogger.SetLoggerFactory(func(pkg string) dlogger.ILogger { return &dragonboatLogger{pkg: pkg, level: dlogger.INFO} })
	})
}

// A dragonboatLogger writes what one of dragonboat's packages has to say.
type dragonboatLogger struct {
	pkg   string
	level dlogger.LogLevel // guarded by dragonboatOutput.mu
}

func (l *dragonboatLogger) SetLevel(level dlogger.LogLevel) {
	dragonboatOutput.mu.Lock()
	l.level = level
	dragonboatOutput.mu.Unlock()
}

func (l *dragonboatLogger) Debugf(format string, args ...any) { l.print(dlogger.DEBUG, format, args) }

func (l *dragonboatLogger) Infof(format string, args ...any) { l.print(dlogger.INFO, format, args) }

func (l *dragonboatLogger) Warningf(format string, args ...any) {
	l.print(dlogger.WARNING, format, args)
}

func (l *dragonboatLogger) Errorf(format string, args ...any) { l.print(dlogger.ERROR, format, args) }

// Panicf panics: the library relies on that.
func (l *dragonboatLogger) Panicf(format string, args ...any) {
	l.print(dlogger.CRITICAL, format, args)
	panic(fmt.Sprintf(format, args...))
}

func (l *dragonboatLogger) print(level dlogger.LogLevel, format string, args []any) {
	out := &dragonboatOutput
	out.mu.Lock()
	defer out.mu.Unlock()
	if level <= l.level {
		fmt.Fprintf(out.to, "dragonboat/"+l.pkg+": "+format+"\n", args...)
	}
}
