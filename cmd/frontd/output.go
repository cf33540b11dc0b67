package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/supervisor"
)

// outputs are the files that applications have for what their workers print.
// Two may share one: by its path it is opened once.
type outputs struct {
	mu    sync.Mutex // guards the fields below
	sinks map[string]*sink
	paths map[string]string // by application; "" and none are frontd's own log
	lost  uint64            // lines, of sinks that are closed
}

// use sends an application's output to the file at path from now on, "" is
// frontd's log. It returns where it went before.
func (o *outputs) use(app, path string) (before string, err error) {
	o.mu.Lock()
	before = o.paths[app]
	if path != "" && o.sinks[path] == nil {
		s, err := newSink(path, nil, false)
		if err != nil {
			o.mu.Unlock()
			return before, fmt.Errorf("app %s: output: %w", app, err)
		}
		if o.sinks == nil {
			o.sinks, o.paths = map[string]*sink{}, map[string]string{}
		}
		o.sinks[path] = s
	}
	if o.paths != nil {
		o.paths[app] = path
	}
	unused := o.unused()
	o.mu.Unlock()
	o.closeAll(unused)
	return before, nil
}

// unused takes out what no application uses any more. o.mu is held.
func (o *outputs) unused() []*sink {
	var list []*sink
	used := slices.Collect(maps.Values(o.paths))
	for path, s := range o.sinks {
		if !slices.Contains(used, path) {
			delete(o.sinks, path)
			list = append(list, s)
		}
	}
	return list
}

// closeAll may take a while: the caller holds no lock, or workers would wait.
func (o *outputs) closeAll(list []*sink) {
	for _, s := range list {
		s.Close()
		o.mu.Lock()
		o.lost += s.dropped.Load()
		o.mu.Unlock()
	}
}

// of is where an application's output goes, nil for frontd's log.
func (o *outputs) of(app string) *sink {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sinks[o.paths[app]]
}

// reopen opens all files anew, after someone renamed them.
func (o *outputs) reopen() (errs []error) {
	o.mu.Lock()
	sinks := maps.Clone(o.sinks)
	o.mu.Unlock()
	for path, s := range sinks {
		if err := s.reopen(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
	}
	return errs
}

// dropped is how many lines were lost.
func (o *outputs) dropped() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.lost
	for _, s := range o.sinks {
		n += s.dropped.Load()
	}
	return n
}

func (o *outputs) close() {
	o.mu.Lock()
	o.paths = nil
	all := o.unused()
	o.mu.Unlock()
	o.closeAll(all)
}

// output takes a line that a worker printed: in text form whole, and in frontd's
// own log without control characters; tagged in JSON.
func (l *logbook) output(w supervisor.Worker, stream string, line []byte) {
	to := l.outputs.of(w.App)
	if l.json {
		l.tagged(to, line, slog.String("app", w.App), slog.Int("pid", w.PID), slog.Int("slot", w.Slot), slog.String("stream", stream))
		return
	}
	if to == nil {
		l.sink.Write(fmt.Appendf(nil, "%s%s\n", l.priority(), visible(line)))
		return
	}
	to.Write(append(append(make([]byte, 0, len(line)+1), line...), '\n'))
}

// priority stands before the lines of workers on the journal, which would take
// one of their own from them.
func (l *logbook) priority() string {
	if l.journal {
		return "<6>" // info, sd-daemon(3)
	}
	return ""
}

// requestOutput takes lines that a request wrote to FCGI_STDERR. In frontd's
// log they say of which request they are, behind the line itself; an application's
// own file has its lines as they are. A failing application writes a hundred for each
// request: they go out together.
func (l *logbook) requestOutput(x *front.Exchange, lines []byte) {
	to := l.outputs.of(x.App)
	if l.json {
		for line := range bytes.Lines(lines) {
			if line = bytes.TrimSuffix(line, newline); !incident.HostLine(line) {
				l.tagged(to, line, slog.String("app", x.App), slog.Int("pid", x.Worker.PID), slog.String("id", x.ID), slog.String("stream", "stderr"))
			}
		}
		return
	}
	var before string
	var tag []byte
	own := to != nil
	if !own {
		to, before, tag = l.sink, l.priority(), fmt.Appendf(nil, " [app=%s worker=%d id=%s]", x.App, x.Worker.PID, x.ID)
	}
	all := make([]byte, 0, len(lines)+bytes.Count(lines, newline)*(len(before)+len(tag)))
	for line := range bytes.Lines(lines) {
		if incident.HostLine(line) {
			continue // the same once more, for programs
		}
		line = bytes.TrimSuffix(line, newline)
		if !own {
			line = visible(line)
		}
		all = append(append(append(append(all, before...), line...), tag...), '\n')
	}
	if len(all) > 0 {
		to.Write(all)
	}
}

var newline = []byte{'\n'}

// tagged writes a line as JSON. The level of frontd's own news is none of the
// application's: its lines are not left out.
func (l *logbook) tagged(to *sink, line []byte, attrs ...slog.Attr) {
	h := l.Handler()
	if to != nil {
		h = slog.NewJSONHandler(to, nil)
	}
	r := slog.NewRecord(time.Now(), slog.LevelInfo, string(line), 0)
	r.AddAttrs(attrs...)
	h.Handle(context.Background(), r) // a sink takes everything
}
