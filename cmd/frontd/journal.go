package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
)

// onJournal reports whether f leads to systemd's journal ($JOURNAL_STREAM of
// systemd.exec(5)), which takes a line's priority from its beginning.
func onJournal(f any) bool {
	file, ok := f.(*os.File)
	if !ok || os.Getenv("JOURNAL_STREAM") == "" {
		return false
	}
	info, err := file.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// A journalHandler begins each line with its priority as sd-daemon(3) has it,
// "<4>" for a warning, so that journalctl -p finds it. The journal takes it
// off again. Lines without one, those of requests and of workers, have the
// unit's SyslogLevel=, which is info.
type journalHandler struct{ error, warn, info, debug slog.Handler }

func newJournalHandler(w io.Writer, make func(io.Writer) slog.Handler) *journalHandler {
	at := func(priority string) slog.Handler { return make(prefixed{w, priority}) }
	return &journalHandler{error: at("<3>"), warn: at("<4>"), info: at("<6>"), debug: at("<7>")}
}

func (h *journalHandler) at(l slog.Level) slog.Handler {
	switch {
	case l >= slog.LevelError:
		return h.error
	case l >= slog.LevelWarn:
		return h.warn
	case l >= slog.LevelInfo:
		return h.info
	}
	return h.debug
}

func (h *journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.at(l).Enabled(ctx, l)
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.at(r.Level).Handle(ctx, r)
}

func (h *journalHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return &journalHandler{h.error.WithAttrs(a), h.warn.WithAttrs(a), h.info.WithAttrs(a), h.debug.WithAttrs(a)}
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	return &journalHandler{h.error.WithGroup(name), h.warn.WithGroup(name), h.info.WithGroup(name), h.debug.WithGroup(name)}
}

// prefixed writes lines with something before them; a handler of slog writes
// each with one call.
type prefixed struct {
	w      io.Writer
	prefix string
}

func (p prefixed) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}
