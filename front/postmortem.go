package front

import (
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/frontd/frontd/incident"
)

//go:embed postmortem.html
var postmortemHTML string

// postmortemTemplate is the page of Settings.ShowErrors: all of the incident, in
// one file that fetches nothing and needs no script.
var postmortemTemplate = template.Must(template.New("postmortem").Funcs(newsFuncs).Parse(postmortemHTML))

// A postmortem is what that page is made of.
type postmortem struct {
	*page
	StatusText string
	Chain      []link // the exception that ended the request first, then what it came of
	Curl       string
	Lacks      bool // secrets were taken out of Curl
	Facts      []incident.Field
	Answer     string // that the application gave itself
}

// A link is one exception.
type link struct {
	*incident.Traceback
	How   string // it led to the one before
	Left  int    // frames
	Calls []shownFrame
}

type shownFrame struct {
	incident.Frame
	Open   bool
	Lines  []shownLine
	Locals []incident.Field
}

type shownLine struct {
	incident.SourceLine
	At bool
}

// Bounds of what is shown: a page that a phone can take.
const (
	maxShownFrames = 100 // of one exception, the innermost
	maxShownLinks  = 10
)

// tells says whether an incident has more to show than its ID.
func tells(i *incident.Incident) bool {
	return i != nil && (i.Traceback != nil || i.Raw != "" || i.Stderr != "" || i.Request != nil || i.Worker != nil)
}

func (p *page) postmortem() *postmortem {
	i := p.Incident
	m := &postmortem{page: p, StatusText: http.StatusText(p.Status), Curl: i.Curl(), Answer: p.Answer}
	m.Lacks = strings.Contains(m.Curl, incident.Removed)
	for t, n, how := i.Traceback, 0, ""; t != nil && n < maxShownLinks; t, n = t.Cause, n+1 {
		m.Chain = append(m.Chain, newLink(t, how, n == 0))
		how = relations[t.Relation]
	}
	if i.Worker != nil {
		m.Facts = workerFacts(i.Worker)
	}
	return m
}

// relations say how the next exception led to the one before.
var relations = map[string]string{"": "Caused by", "from": "Caused by", "during": "While handling", "previous": "After"}

// newLink shows the innermost frame of the first exception unfolded: it is
// where one looks first, and so it stands first.
func newLink(t *incident.Traceback, how string, first bool) link {
	l := link{Traceback: t, How: how, Left: max(0, len(t.Frames)-maxShownFrames)}
	for n, f := range slices.Backward(t.Frames[l.Left:]) {
		s := shownFrame{Frame: f, Open: first && n == len(t.Frames)-l.Left-1}
		for _, line := range f.Source {
			s.Lines = append(s.Lines, shownLine{line, line.Number == f.Line})
		}
		for _, name := range slices.Sorted(maps.Keys(f.Locals)) {
			s.Locals = append(s.Locals, incident.Field{Name: name, Value: f.Locals[name]})
		}
		l.Calls = append(l.Calls, s)
	}
	return l
}

func workerFacts(w *incident.Worker) []incident.Field {
	var facts []incident.Field
	add := func(name, value string) {
		if value != "" && value != "0" && value != "0s" {
			facts = append(facts, incident.Field{Name: name, Value: value})
		}
	}
	add("Process", fmt.Sprint(w.PID))
	add("Age", w.Age.Round(time.Millisecond).String())
	add("Requests served", fmt.Sprint(w.Requests))
	add("Ended", w.Exit)
	add("Signal", w.Signal)
	if w.OOM {
		add("Memory", "it was killed for want of memory")
	}
	return facts
}
