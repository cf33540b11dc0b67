package supervisor

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A spring is a pipe whose writer has always more: what is read of it comes from
// a generator, in no time. A round ends when pipeUsual was read, as of a real pipe
// that nobody may enlarge.
type spring struct {
	next     func(p []byte) (int, error)
	reads    int
	deadline time.Time
}

func (s *spring) Read(p []byte) (int, error)                   { s.reads++; return s.next(p) }
func (*spring) Close() error                                   { return nil }
func (s *spring) SetReadDeadline(t time.Time) error            { s.deadline = t; return nil }
func (*spring) SyscallConn() (conn syscall.RawConn, err error) { return nil, os.ErrInvalid }

// What a worker writes in a second as much as is delivered is read as it comes.
// From there on it is read in rounds of all that the pipe holds, at PaceRate, and
// of the seconds after the first LastingRate is delivered. Nothing is left uncounted,
// and what came last is delivered in any case.
func TestFloodIsReadInRounds(t *testing.T) {
	const seconds = 3
	synctest.Test(t, func(t *testing.T) {
		line := strings.Repeat("x", 127) + "\n"
		var given []byte // what is under way
		written, stop := 0, time.Now().Add(seconds*time.Second)
		free := 0 // reads before the first pause
		src := new(spring)
		began := time.Now()
		src.next = func(p []byte) (int, error) {
			if time.Now().Equal(began) {
				free++
			}
			if len(given) == 0 {
				if !time.Now().Before(stop) {
					return 0, io.EOF
				}
				for range 60 << 10 / len(line) { // the pages of a full pipe need not be
					given = append(given, fmt.Sprintf("%0127d\n", written)...)
					written++
				}
			}
			n := copy(p, given)
			given = given[n:]
			return n, nil
		}
		delivered, dropped, held := 0, 0, time.Duration(0)
		last := ""
		r := newLineReader(src, "stderr", func(_ string, l []byte) {
			var n, bytes int
			if k, _ := fmt.Sscanf(string(l), "[dropped %d lines, %d bytes", &n, &bytes); k != 2 {
				delivered++
				last = string(l)
				return
			}
			dropped += n
			if bytes != n*127 {
				t.Errorf("%q: want 127 bytes a line", l)
			}
			if _, d, found := strings.Cut(string(l), "held up at 16 MiB a second, for "); found {
				took, err := time.ParseDuration(strings.TrimSuffix(d, "]"))
				if err != nil {
					t.Error(err)
				}
				held += took
			}
		})
		r.run()
		if delivered+dropped != written {
			t.Errorf("%d delivered + %d dropped of %d", delivered, dropped, written)
		}
		if want := fmt.Sprintf("%0127d", written-1); last != want {
			t.Errorf("the last that was delivered is %q, want %q", last, want)
		}
		if most := FloodRate/127 + 1 + seconds*(LastingRate/127+1) + lastWords/128; delivered > most {
			t.Errorf("%d lines were delivered, want at most %d", delivered, most)
		}
		if read, most := written*128, FloodRate+seconds*PaceRate+pipeUsual; read > most || read < seconds*PaceRate*7/8 {
			t.Errorf("%d bytes were read in %d s, want %d to %d", read, seconds, seconds*PaceRate*7/8, most)
		}
		if free*MaxLine < FloodRate {
			t.Errorf("it was held up after %d reads, want %d bytes at once", free, FloodRate)
		}
		if held < (seconds-1)*time.Second {
			t.Errorf("it says that the worker was held up for %v, of %v", held, seconds*time.Second)
		}
	})
}

// A worker that floods in small writes wakes nobody for each of them.
func TestFloodOfSmallWritesIsReadRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := new(spring)
		began := time.Now()
		var paused time.Time // when the last round ended
		src.next = func(p []byte) (int, error) {
			now := time.Now()
			switch took := now.Sub(began); {
			case took == 0: // until it is a flood
				return copy(p, bytes.Repeat([]byte{'\n'}, len(p))), nil
			case took > time.Second/2:
				return 0, io.EOF
			case now.Equal(paused):
				t.Fatalf("read again at once after a small read, %v after the flood's begin", took)
			}
			paused = now
			return copy(p, "small\n"), nil
		}
		newLineReader(src, "stderr", func(string, []byte) {}).run()
		if paused.IsZero() {
			t.Error("it was not read again")
		}
	})
}

// Who floods once is not taken for one who floods for good: after a second of
// little, or of nothing, as much is delivered as before.
func TestFloodEnds(t *testing.T) {
	for name, pause := range map[string]func(r *lineReader, give func(int)){
		"silence": func(*lineReader, func(int)) { <-time.After(2 * floodWindow) },
		"little": func(_ *lineReader, give func(int)) {
			<-time.After(floodWindow) // its second is over
			give(10)
			<-time.After(floodWindow)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				delivered := 0
				r := newLineReader(nil, "stderr", func(_ string, l []byte) {
					if !bytes.HasPrefix(l, []byte("[dropped")) {
						delivered++
					}
				})
				give := func(lines int) {
					for ; lines > 0; lines-- {
						r.take(copy(r.buf[len(r.buf):cap(r.buf)], "x\n"))
					}
				}
				const second = FloodRate / lineCost // lines
				give(2 * second)
				if delivered != second {
					t.Errorf("%d lines were delivered at first, want %d", delivered, second)
				}
				pause(r, give)
				delivered = 0
				give(2 * second)
				if delivered != second {
					t.Errorf("%d lines were delivered after it, want %d", delivered, second)
				}
				<-time.After(floodWindow)
				delivered = 0
				give(2 * second)
				if want := LastingRate / lineCost; delivered != want {
					t.Errorf("%d lines were delivered of a flood that goes on, want %d", delivered, want)
				}
			})
		})
	}
}

// Whoever has ended is not paced: what is left of it is bounded.
func TestPaceEndsWithTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLineReader(new(spring), "stderr", func(string, []byte) {})
		r.drop([]byte("a flood"))
		close(r.over)
		before := time.Now()
		r.keepPace(pipeMax, pipeMax)
		if took := time.Since(before); took != 0 {
			t.Errorf("it was held up for %v", took)
		}
	})
}

// What a worker writes last is delivered although it is silent for long before its end.
func TestLastWordsBeforeASilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := new(spring)
		begun := false
		src.next = func(p []byte) (int, error) {
			switch {
			case !begun:
				begun = true
				return copy(p, "a flood\nwhy it ends\n"), nil
			case src.deadline.IsZero():
				return 0, io.EOF
			}
			<-time.After(time.Until(src.deadline))
			return 0, os.ErrDeadlineExceeded
		}
		var got []string
		r := newLineReader(src, "stderr", func(_ string, l []byte) { got = append(got, string(l)) })
		r.window, r.came, r.allowance = time.Now(), FloodRate+1, FloodRate
		r.run()
		if len(got) == 0 || got[len(got)-1] != "why it ends" {
			t.Errorf("delivered: %q", got)
		}
	})
}
