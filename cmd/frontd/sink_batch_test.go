package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func openSink(t *testing.T, path string, w io.Writer) *sink {
	t.Helper()
	s, err := newSink(path, w, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A gate is a log that takes nothing until it is opened.
type gate struct {
	open   chan struct{}
	got    bytes.Buffer
	writes int
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	g.writes++
	return g.got.Write(p)
}

func TestLineLeavesAtOnceAndManyTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		close(g.open)
		s := openSink(t, "", g)
		defer s.Close()
		time.Sleep(time.Second)
		io.WriteString(s, "first\n")
		synctest.Wait()
		if g.got.String() != "first\n" {
			t.Errorf("after a quiet time: %q, want the line at once", &g.got)
		}
		for range 1000 {
			io.WriteString(s, "line\n")
			time.Sleep(time.Millisecond)
		}
		time.Sleep(sinkPause)
		synctest.Wait()
		if n := strings.Count(g.got.String(), "\n"); n != 1001 || g.writes > 102 {
			t.Errorf("%d lines in %d writes, want 1001 in about 100", n, g.writes)
		}
		io.WriteString(s, strings.Repeat("x", sinkPiece)+"\n")
		synctest.Wait()
		if g.got.Len() < sinkPiece {
			t.Error("a large piece waited for more")
		}
	})
}

func TestFullDiskIsToldOnceAndLinesStayWhole(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var alarm bytes.Buffer
			d := &fullDisk{room: 10}
			s, err := newSink("", d, asJSON)
			if err != nil {
				t.Fatal(err)
			}
			s.alarm = &alarm
			line := strings.Repeat("x", 50) + "\n"
			write := func() { io.WriteString(s, line); time.Sleep(time.Second); synctest.Wait() }
			write()
			write()
			d.room = 1 << 20
			write()
			s.Close()
			if s.dropped.Load() != 2 || strings.Count(alarm.String(), "\n") != 1 {
				t.Errorf("%d dropped, told %q", s.dropped.Load(), &alarm)
			}
			lines := strings.Split(d.String(), "\n")
			if len(lines) != 4 || len(lines[0]) != 10 || lines[2]+"\n" != line || lines[3] != "" {
				t.Fatalf("lines %q", lines)
			}
			var said struct{ Lines int }
			if asJSON && (json.Unmarshal([]byte(lines[1]), &said) != nil || said.Lines != 2) ||
				!asJSON && !strings.Contains(lines[1], ": 2 log lines were lost") {
				t.Errorf("told %q", lines[1])
			}
		})
	}
}

func TestReopenLosesAndTearsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "frontd.log")
	s := openSink(t, path, io.Discard)
	const rounds, each = 20, 50
	line := "a line\n"
	for i := range rounds {
		var writers sync.WaitGroup
		for range each {
			writers.Go(func() { io.WriteString(s, line) })
		}
		writers.Wait()
		if err := os.Rename(path, path+"."+string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
		if err := s.reopen(); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	if err := s.reopen(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("reopen after Close: %v", err)
	}
	files, _ := filepath.Glob(path + "*")
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want := each
		if name == path {
			want = 0
		}
		if string(content) != strings.Repeat(line, want) {
			t.Errorf("%s has %d bytes, want %d whole lines", name, len(content), want)
		}
	}
	if len(files) != rounds+1 || s.dropped.Load() != 0 {
		t.Errorf("%d files, %d lines dropped", len(files), s.dropped.Load())
	}
}

func TestReopenThatFailsKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := openSink(t, filepath.Join(dir, "sub", "frontd.log"), io.Discard)
	moved := filepath.Join(dir, "moved")
	if err := os.Rename(filepath.Join(dir, "sub"), moved); err != nil {
		t.Fatal(err)
	}
	if err := s.reopen(); err == nil {
		t.Error("reopened where there is no folder")
	}
	io.WriteString(s, "a line\n")
	s.Close()
	if content, err := os.ReadFile(filepath.Join(moved, "frontd.log")); err != nil || string(content) != "a line\n" {
		t.Errorf("the old file has %q, %v", content, err)
	}
}

// TestSinkAllocatesNothing: the log is on the path of every request.
func TestSinkAllocatesNothing(t *testing.T) {
	if memoryFactor > 1 {
		t.Skip("the race detector allocates")
	}
	s := openSink(t, "", io.Discard)
	defer s.Close()
	line := bytes.Repeat([]byte("x"), 300)
	line[299] = '\n'
	if n := testing.AllocsPerRun(100_000, func() { s.Write(line) }); n > 0 {
		t.Errorf("%v allocations a line", n)
	}
}

func BenchmarkSink(b *testing.B) {
	s, err := newSink("", io.Discard, false)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	line := bytes.Repeat([]byte("x"), 300)
	line[299] = '\n'
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Write(line)
		}
	})
}
