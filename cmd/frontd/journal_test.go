package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestJournalPriorities(t *testing.T) {
	var b bytes.Buffer
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := slog.New(newJournalHandler(&b, func(w io.Writer) slog.Handler {
		return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: noTime})
	})).With("app", "blog").WithGroup("g")
	log.Debug("nobody asked")
	log.Info("one", "n", 1)
	log.Warn("two")
	log.Error("three")
	want := "<6>level=INFO msg=one app=blog g.n=1\n<4>level=WARN msg=two app=blog\n<3>level=ERROR msg=three app=blog\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestOnJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	other, err := os.Create(f.Name() + ".other")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
	for _, c := range []struct {
		what any
		want bool
	}{{f, true}, {other, false}, {new(bytes.Buffer), false}} {
		if got := onJournal(c.what); got != c.want {
			t.Errorf("%T: %v, want %v", c.what, got, c.want)
		}
	}
	t.Setenv("JOURNAL_STREAM", "")
	if onJournal(f) {
		t.Error("without the variable it is taken for the journal")
	}
}
