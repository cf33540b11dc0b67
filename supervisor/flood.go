package supervisor

import (
	"bytes"
	"fmt"
	"time"
)

// A flood is what a lineReader knows of a stream that brought more than FloodRate.
// It is read in rounds: all that the pipe holds, then nothing for as long as
// PaceRate has it. One read for each write would wake us, and the worker, thousands
// of times a second, and each time take a CPU from who serves a request.
type flood struct {
	going bool          // there was one in this window, or the one before
	pipe  int           // bytes that the pipe holds; 0: not asked yet
	round int           // bytes read in this round
	pause *time.Timer   // nil before the first
	held  time.Duration // how long nothing was read after the pipe was full
}

// open begins a window.
func (r *lineReader) open(now time.Time) {
	r.report()
	r.allowance = FloodRate
	r.flood.going = r.came > FloodRate && now.Sub(r.window) < 2*floodWindow // else there was a silence
	if r.flood.going {
		r.allowance = LastingRate
	}
	r.window, r.came = now, 0
}

// drop counts lines, of which the last has no end, instead of delivering them.
// It returns how many they are.
func (r *lineReader) drop(lines []byte) int {
	n := bytes.Count(lines, newline) + 1
	r.droppedLines += n
	r.droppedBytes += len(lines) - (n - 1)
	r.last = append(append(r.last, lines[max(0, len(lines)-lastWords-1):]...), '\n')
	if over := len(r.last) - lastWords; over > 0 {
		whole := over + bytes.IndexByte(r.last[over-1:], '\n') // a line's beginning: there is an end behind each
		r.last = r.last[:copy(r.last, r.last[whole:])]
	}
	r.flood.going = true
	return n
}

var newline = []byte{'\n'}

// keepPace ends a round of reading when the pipe is empty, which a read of less
// than was asked for says, or when all that it can hold was read. It waits then
// until the next is due, or until finish: what is in the pipe then is bounded.
func (r *lineReader) keepPace(n, asked int) {
	f := &r.flood
	if !f.going {
		f.round = 0
		return
	}
	if f.pipe == 0 {
		f.pipe = enlarge(r.pipe)
	}
	if f.round += n; n == asked && f.round < f.pipe {
		return
	}
	// The kernel keeps writes in pages, each of which may not be full.
	full := f.round >= f.pipe-f.pipe/8
	f.round = 0
	wait := time.Duration(f.pipe) * time.Second / PaceRate
	if f.pause == nil {
		f.pause = time.NewTimer(wait)
	} else {
		f.pause.Reset(wait)
	}
	select {
	case <-f.pause.C:
		if full {
			f.held += wait
		}
	case <-r.over:
		f.pause.Stop()
	}
}

// report says what was dropped.
func (r *lineReader) report() {
	if r.droppedLines > 0 {
		line := fmt.Appendf(nil, "[dropped %d lines, %d bytes: more than %s", r.droppedLines, r.droppedBytes, rate(r.allowance))
		if r.allowance < FloodRate {
			line = append(line, " of a flood that goes on"...)
		}
		if held := r.flood.held.Round(time.Millisecond); held > 0 {
			line = fmt.Appendf(line, "; the worker was held up at %s, for %v", rate(PaceRate), held)
		}
		r.emit(r.stream, append(line, ']'))
	}
	r.droppedLines, r.droppedBytes, r.last, r.flood.held = 0, 0, r.last[:0], 0
}

func rate(n int) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB a second", n>>10)
	}
	return fmt.Sprintf("%d MiB a second", n>>20)
}
