package main

import (
	"context"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"os"
	"strings"
	"unicode"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
)

// A logbook is all that frontd writes: its own events, a line a request, and
// what its workers print.
type logbook struct {
	*slog.Logger
	sink    *sink
	json    bool
	journal bool             // the sink is the journal, which takes priorities from lines
	access  *front.AccessLog // nil: none

	outputs outputs // of workers whose application has a file of its own
}

// openLogbook opens the log as the configuration has it. In development, at a
// terminal, requests are a short line in colour.
func openLogbook(c config.Log, stderr io.Writer, dev bool) (*logbook, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, err
	}
	s, err := newSink(c.File, stderr, c.Format == "json")
	if err != nil {
		return nil, err
	}
	l := &logbook{sink: s, json: s.json, journal: c.File == "" && onJournal(stderr)}
	l.Logger = slog.New(logHandler(s, l.json, level, c.File == "", stderr))
	format := front.LogText
	if l.json {
		format = front.LogJSON
	} else if dev && c.File == "" && isTerminal(stderr) {
		format = front.LogTerminal
		if os.Getenv("NO_COLOR") != "" { // no-color.org
			format = front.LogTerminalPlain
		}
	}
	if c.Access {
		l.access = front.NewAccessLog(s, format)
	}
	return l, nil
}

// ofServer is for what net/http's servers say for themselves, which else goes to
// standard error whatever the log is.
func (l *logbook) ofServer() *stdlog.Logger {
	return slog.NewLogLogger(l.Handler(), slog.LevelWarn)
}

// logHandler writes frontd's own events as whoever reads them takes them:
// direct says that w leads to stderr.
func logHandler(w io.Writer, json bool, level slog.Level, direct bool, stderr io.Writer) slog.Handler {
	opts := &slog.HandlerOptions{Level: level}
	plain := func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, opts) }
	if json {
		opts.ReplaceAttr = inSeconds
		plain = func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, opts) }
	}
	switch {
	case direct && onJournal(stderr):
		return newJournalHandler(w, plain)
	case direct && !json && isTerminal(stderr):
		return &terminalHandler{w: w, level: level}
	}
	return plain(w)
}

// inSeconds writes durations as the access log does: slog's own are nanoseconds
// in JSON, and nothing says so.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.Float64Value(a.Value.Duration().Seconds())
	}
	return a
}

func (l *logbook) Close() {
	l.outputs.close()
	l.sink.Close()
}

// lost is how many lines did not get into a log.
func (l *logbook) lost() uint64 { return l.sink.dropped.Load() + l.outputs.dropped() }

// A terminalHandler writes what a person at a terminal reads: the time, the
// message, then what belongs to it.
type terminalHandler struct {
	w     io.Writer
	level slog.Level
	attrs []slog.Attr
}

func (h *terminalHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *terminalHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Time.Format("15:04:05.000 "))
	switch {
	case r.Level >= slog.LevelError:
		b.WriteString("\x1b[31merror\x1b[0m ")
	case r.Level >= slog.LevelWarn:
		b.WriteString("\x1b[33mwarn\x1b[0m  ")
	}
	b.WriteString(r.Message)
	add := func(a slog.Attr) bool {
		s := a.Value.String()
		if strings.ContainsFunc(s, func(r rune) bool { return r == ' ' || r == '"' || !unicode.IsPrint(r) }) {
			s = fmt.Sprintf("%q", s)
		}
		fmt.Fprintf(&b, " \x1b[2m%s=\x1b[0m%s", a.Key, s)
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	b.WriteByte('\n')
	_, err := io.WriteString(h.w, b.String())
	return err
}

func (h *terminalHandler) WithAttrs(a []slog.Attr) slog.Handler {
	c := *h
	c.attrs = append(c.attrs[:len(c.attrs):len(c.attrs)], a...)
	return &c
}

func (h *terminalHandler) WithGroup(string) slog.Handler { return h }

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
