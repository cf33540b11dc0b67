package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A log that takes nothing holds nobody up, is bounded in what it keeps, and
// says what it lost when it takes lines again.
func TestStuckLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in whose time a slow reader takes none
		r, w := io.Pipe()
		s, err := newSink("", w, false)
		if err != nil {
			t.Fatal(err)
		}
		line := append(bytes.Repeat([]byte("x"), 64<<10-1), '\n')
		const lines = 1000
		for range lines {
			s.Write(line) // to the test's own time limit, if it waits
		}
		lost := s.dropped.Load()
		if kept := lines - int(lost); lost == 0 || kept*len(line) > sinkBytes+2*len(line) {
			t.Errorf("%d lines of 64 KiB are kept", kept)
		}
		var got bytes.Buffer
		read := make(chan error, 1)
		go func() {
			_, err := got.ReadFrom(r)
			read <- err // received below
		}()
		s.Close()
		w.Close()
		if err := <-read; err != nil {
			t.Error(err)
		}
		if n := bytes.Count(got.Bytes(), line); n != lines-int(lost) {
			t.Errorf("%d lines are written, %d were lost of %d", n, lost, lines)
		}
		if want := fmt.Sprintf("frontd: %d log lines were lost", lost); !strings.Contains(got.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	})
}

// Neither does whoever wants it opened again or closed wait for ever.
func TestStuckLogIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		s, err := newSink("", w, false)
		if err != nil {
			t.Fatal(err)
		}
		s.path = "stuck"
		s.Write([]byte("line\n"))
		synctest.Wait()
		began := time.Now()
		if err := s.reopen(); !errors.Is(err, errSinkStuck) {
			t.Errorf("reopened: %v", err)
		}
		s.Close()
		if took := time.Since(began); took != 2*sinkWait {
			t.Errorf("it took %v, want %v for each", took, sinkWait)
		}
		r.Close() // lets the writer go
	})
}

// A fullDisk takes so many bytes.
type fullDisk struct {
	bytes.Buffer
	room int
}

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.room)
	d.room -= n
	d.Buffer.Write(p[:n])
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// What a full disk cuts off does not tear the line that comes when there is room.
func TestFullDiskTearsNoLine(t *testing.T) {
	d := &fullDisk{room: 8}
	s := &sink{w: d}
	for _, line := range []string{"one\n", "two and more\n", "lost\n"} {
		s.put([]byte(line))
	}
	d.room = 1000
	s.put([]byte("four\n"))
	if got, want := d.String(), "one\ntwo \nfrontd: 2 log lines were lost: the log did not take them\nfour\n"; got != want {
		t.Errorf("written is %q, want %q", got, want)
	}
}

// A rotation under load loses no line and tears none.
func TestRotateOutput(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "blog.log")
	var o outputs
	if before, err := o.use("blog", path); before != "" || err != nil {
		t.Fatal(before, err)
	}
	if _, err := o.use("shop", path); err != nil { // the same file, opened once
		t.Fatal(err)
	}
	const writers, lines, rotations = 4, 2048, 20 // so many fit the queue
	var all sync.WaitGroup
	for w := range writers {
		app := []string{"blog", "shop"}[w%2]
		all.Go(func() { // Wait below
			for i := range lines {
				fmt.Fprintf(o.of(app), "%d %d %s\n", w, i, strings.Repeat("x", 100))
			}
		})
	}
	for i := range rotations {
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
			t.Fatal(err)
		}
		if errs := o.reopen(); errs != nil {
			t.Fatal(errs)
		}
	}
	all.Wait()
	o.close()
	files, _ := filepath.Glob(path + "*")
	seen := map[string]int{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(string(b)) {
			if !strings.HasSuffix(l, strings.Repeat("x", 100)+"\n") {
				t.Fatalf("%s has a torn line: %q", f, l)
			}
			seen[l]++
		}
	}
	if len(files) != rotations+1 || len(seen) != writers*lines || o.dropped() != 0 {
		t.Errorf("%d files with %d lines, %d dropped; want %d, %d, 0", len(files), len(seen), o.dropped(), rotations+1, writers*lines)
	}
}
