package supervisor

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long tests wait for what has to come, on a busy machine too.
const patience = time.Minute

// readAll passes what write wrote through a lineReader, until the pipe's end.
func readAll(t *testing.T, write func(w io.Writer)) (lines []string) {
	t.Helper()
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r := newLineReader(pr, "stderr", func(_ string, line []byte) { lines = append(lines, string(line)) })
	done := make(chan struct{})
	go func() { // received below
		defer close(done)
		r.run()
	}()
	write(pw)
	pw.Close()
	<-done
	return lines
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	for _, c := range []struct {
		why, in string
		want    []string
	}{
		{"whole lines", "a\nb\n", []string{"a", "b"}},
		{"an empty one, and one with a carriage return", "\na\r\n", []string{"", "a"}},
		{"the last without an end", "a\nb", []string{"a", "b"}},
		{"one byte less than is delivered at once", long[1:] + "\n", []string{long[1:]}},
		{"a longer one, in marked pieces", long + long + "end\nnext\n", []string{long + CutMark, long + CutMark, "end", "next"}},
		{"nothing", "", nil},
	} {
		for _, step := range []int{1 << 20, 4097, 3} {
			if len(c.in) > 1000 && step < 10 {
				continue // 3 bytes at a time show nothing more there
			}
			got := readAll(t, func(w io.Writer) {
				for b := []byte(c.in); len(b) > 0; {
					n := min(step, len(b))
					w.Write(b[:n])
					b = b[n:]
				}
			})
			if !slices.Equal(got, c.want) {
				t.Errorf("%s, %d bytes a write: %.100q, want %.100q", c.why, step, got, c.want)
			}
		}
	}
}

func TestFloodIsCountedAndDropped(t *testing.T) {
	line := strings.Repeat("x", 99) + "\n"
	const total = 10 * FloodRate / 100
	began := time.Now()
	got := readAll(t, func(w io.Writer) {
		many := []byte(strings.Repeat(line, 100))
		for range total / 100 {
			w.Write(many)
		}
	})
	slow := time.Since(began) > 8*time.Second // too busy a machine for a flood
	whole, dropped := 0, 0
	for _, l := range got {
		var n, bytes int
		if k, _ := fmt.Sscanf(l, "[dropped %d lines, %d bytes", &n, &bytes); k == 2 {
			dropped += n
			if bytes != n*99 {
				t.Errorf("%q: want 99 bytes a line", l)
			}
		} else {
			whole++
		}
	}
	if written := total / 100 * 100; whole+dropped != written || dropped == 0 && !slow {
		t.Errorf("%d delivered + %d dropped, want %d together and some dropped", whole, dropped, written)
	}
}

// What was dropped is told when its second is over, though nothing more comes;
// what comes later is read as before, and so is the end.
func TestDroppedIsToldInSilence(t *testing.T) {
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1)
	r := newLineReader(pr, "stderr", func(_ string, line []byte) {
		if len(line) > 0 {
			lines <- string(line)
		}
	})
	done := make(chan struct{})
	go func() { // received below
		defer close(done)
		r.run()
	}()
	await := func(prefix string) {
		t.Helper()
		for limit, told := time.After(patience), false; !told; {
			select {
			case l := <-lines:
				if told = strings.HasPrefix(l, prefix); !told && !strings.HasPrefix(l, "[dropped ") { // once a second
					t.Fatalf("%q came, want %q", l, prefix)
				} else if !told { // on a busy machine it may have been dropped as well
					fmt.Fprintln(pw, prefix)
				}
			case <-limit:
				t.Fatalf("no %q came", prefix)
			}
		}
	}
	many := []byte(strings.Repeat("\n", 4096)) // each counts as 128 bytes
	for range 3 * FloodRate / lineCost / len(many) {
		pw.Write(many)
	}
	await("[dropped ")
	fmt.Fprintln(pw, "later")
	await("later")
	pw.Close()
	for {
		select {
		case <-lines: // what came later once more
		case <-done:
			return
		}
	}
}

func TestReadingEndsWithTheProcess(t *testing.T) {
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pw.Close() // as a descendant that holds it open
	var lines []string
	r := newLineReader(pr, "stderr", func(_ string, line []byte) { lines = append(lines, string(line)) })
	fmt.Fprint(pw, "last words\nand no end")
	r.finish()
	r.run() // returns, though the pipe is open
	if want := []string{"last words", "and no end"}; !slices.Equal(lines, want) {
		t.Errorf("%q, want %q", lines, want)
	}
}

func TestTailKeepsTheLast(t *testing.T) {
	var tl tail
	for i := range tailLines + 5 {
		tl.add(fmt.Append(nil, i))
	}
	got := tl.lines()
	if len(got) != tailLines || got[0] != "5" || got[tailLines-1] != "24" {
		t.Errorf("%q, want 5 to 24", got)
	}
}
