package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
)

// A logbook is all that frontd writes: its own events, a line a request, and
// what its workers print.
type logbook struct {
	*slog.Logger
	sink   *sink
	json   bool
	access *front.AccessLog // nil: none

	outputs outputs // of workers whose application has a file of its own
}

func openLogbook(c config.Log, stderr io.Writer) (*logbook, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, err
	}
	s, err := newSink(c.File, stderr, c.Format == "json")
	if err != nil {
		return nil, err
	}
	l := &logbook{sink: s, json: s.json}
	opts := &slog.HandlerOptions{Level: level}
	format := front.LogText
	if l.json {
		format = front.LogJSON
		l.Logger = slog.New(slog.NewJSONHandler(s, opts))
	} else {
		l.Logger = slog.New(slog.NewTextHandler(s, opts))
		if isTerminal(stderr) && c.File == "" {
			l.Logger = slog.New(&terminalHandler{w: s, level: level})
		}
	}
	if c.Access {
		l.access = front.NewAccessLog(s, format)
	}
	return l, nil
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
		if strings.ContainsAny(s, " \"\x1b\n") {
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
