package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/incident"
)

// What a request carries along for an incident, in bytes.
const (
	stderrKept    = 64 << 10
	stderrKeptDev = 256 << 10 // with local variables
	bodyKept      = 8 << 10
)

// An incidents makes incidents of what the front and the supervisor tell of.
type incidents struct {
	// Immutable.
	log  *logbook
	dev  bool
	apps *registry
	kept *incident.Recorder

	telling telling
	first   []herald // who is told to begin with

	tails  tails
	deaths deaths
	last   lastAnswers
	dumps  deaths // of processes that were asked for their stacks: that these are told
}

// incidentsDir is where incidents are kept, unless the configuration says.
func incidentsDir(c *config.Config, name string) (string, error) {
	if c.Incidents.Directory != "" {
		return c.Incidents.Directory, nil
	}
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); dir != "" { // systemd joins several with colons
		return filepath.Join(dir, "incidents"), nil
	}
	base, err := runtimeBase()
	return filepath.Join(base, name+".incidents"), err
}

// openIncidents reads what is kept for the daemon of a name. A guest shares the
// folder with who served before it, until own.
func openIncidents(c *config.Config, log *logbook, name string, guest bool) (*incidents, error) {
	dir, err := incidentsDir(c, name)
	if err != nil {
		return nil, err
	}
	in := &incidents{log: log}
	in.kept, err = incident.Open(incident.Options{
		Directory: dir, Bounds: incidentBounds(c), Guest: guest, New: in.tell,
		Again:   func([]incident.Summary) { in.telling.wake() },
		Trouble: func(err error) { in.log.Warn("incidents", "error", err) },
	})
	if err != nil {
		return nil, err
	}
	in.telling.log, in.telling.dir, in.telling.kept = log, dir, in.kept
	in.first, err = heraldsOf(c, log)
	if err == nil && !guest {
		err = in.telling.begin(in.first)
	}
	if err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

func incidentBounds(c *config.Config) incident.Bounds {
	return incident.Bounds{Keep: c.Incidents.Keep, Size: c.Incidents.Size}
}

// close writes what is not on disk yet.
func (in *incidents) close() {
	if in != nil {
		in.telling.end()
		in.kept.Close()
	}
}

// handOver leaves the telling to an heir. What the last requests here come to
// is kept on, and is the heir's when this process has ended.
func (in *incidents) handOver() {
	in.telling.end()
	in.kept.Flush()
}

// takeOver begins to tell: nobody before us does any more.
func (in *incidents) takeOver() {
	in.kept.Look() // else what was told of is forgotten with the incidents that are not known here
	if err := in.telling.begin(in.first); err != nil {
		in.log.Error("nobody is told of incidents", "error", err)
	}
}

// own makes the folder ours alone: who served before us has ended.
func (in *incidents) own() {
	in.kept.Own()
	in.telling.wake()
}

// tell logs a new incident: once, whatever comes of the same.
func (in *incidents) tell(i *incident.Incident) {
	said := []any{"incident", i.ID, "app", i.App, "kind", string(i.Kind), "what", i.Title()}
	if i.Request != nil {
		said = append(said, "id", i.Request.ID)
	}
	in.log.Error("new incident", said...)
	in.telling.wake()
}

// keep is what requests carry along.
func (in *incidents) keep() front.Keep {
	if in.dev {
		return front.Keep{Stderr: stderrKeptDev, Body: bodyKept}
	}
	return front.Keep{Stderr: stderrKept, Body: bodyKept}
}

// policy is what holds for errors on a route; nil is no route, or no app.
func (in *incidents) policy(c *config.Config, a *config.App, r *config.Route) *incident.Policy {
	e := c.Exception(a, r)
	p := &incident.Policy{None: e.Store == "none", All: e.Store == "all", Quiet: !e.Mail, Redactor: incident.NewRedactor(e.Hide...), Locals: in.dev}
	if a == nil {
		return p
	}
	p.Folders = []string{a.Directory}
	if filepath.IsAbs(a.Target) { // a document root, a folder of programs
		p.Folders = append(p.Folders, a.Target)
	}
	// An environment of Python's own: its libraries are in tracebacks too.
	if dir := filepath.Dir(filepath.Dir(a.Python)); a.Python != "" {
		if _, err := os.Stat(filepath.Join(dir, "pyvenv.cfg")); err == nil {
			p.Folders = append(p.Folders, dir)
		}
	}
	return p
}

// failed is asked for the incident of a request that was answered with 5xx,
// or not at all, or that ended with a failure behind its answer.
func (in *incidents) failed(f front.Failure) *incident.Incident {
	x := f.Exchange
	policy := new(incident.Policy)
	if x.Route != nil && x.Route.Errors != nil {
		policy = x.Route.Errors
	}
	kind := kindOf(&f, policy)
	if policy.None || kind == "" {
		return nil
	}
	p := incident.Report{
		Kind: kind, Cause: string(x.Cause), App: x.App, Status: f.Status, Time: time.Now(),
		Place: f.Request.Method + " " + x.Path, Text: x.Stderr, Request: x.ID, PID: x.Worker.PID,
		Policy: *policy, Whole: x.Settings.ShowErrors,
		// An exit status alone is a failed grep at the end of a script, too.
		Traced: f.Status < http.StatusInternalServerError,
		Fill:   func(i *incident.Incident) { in.fill(i, &f) },
	}
	switch {
	case f.Panic != nil:
		p.Text = fmt.Appendf(nil, "panic: %v\n\n%s", f.Panic, f.Stack)
	case x.Cause == front.WorkerDied && len(x.Stderr) > 0 && staysAlive(x.Worker.PID):
		// It broke the answer off, as ours do where an application fails in its
		// middle, and said why: there is no death to wait for.
	case x.Cause == front.WorkerDied:
		if id := in.deaths.await(x.Worker.PID, deathWait); id != "" {
			return in.ofDeath(id, &f, policy)
		}
	case x.Cause == front.StartFailed:
		return in.ofStart(x)
	}
	if x.Cause != "" && f.Panic == nil {
		p.Detail = x.Detail
	}
	i := in.kept.Record(p)
	if i != nil && x.Cause == front.BadResponse {
		in.last.note(lastAnswer{x.Worker.PID, i.ID, policy.Redactor, p.Time})
	}
	if i != nil && p.Whole && kind == incident.Timeout {
		in.dumps.await(x.Worker.PID, stacksWait)
		return in.whole(i.ID, x)
	}
	return i
}

// kindOf says what a failure is, "" for none of ours.
func kindOf(f *front.Failure, p *incident.Policy) incident.Kind {
	x := f.Exchange
	switch {
	case f.Panic != nil, x.Cause == front.Internal:
		return incident.Panic
	case x.Cause == front.WorkerDied, x.Cause == front.BadResponse, x.Cause == front.RedirectLoop:
		return incident.BadAnswer
	case x.Cause == front.RequestTimeout:
		return incident.Timeout
	case x.Cause == front.StartFailed:
		return incident.StartFailed
	case x.Cause == "" && len(x.Stderr) > 0:
		return incident.Exception
	case p.All && x.Cause != front.ShuttingDown && x.Cause != front.ClientGone:
		return incident.ErrorStatus
	}
	return ""
}

// ofDeath is the incident of a request whose worker's end is one already: it
// gets to know what was asked.
func (in *incidents) ofDeath(id string, f *front.Failure, p *incident.Policy) *incident.Incident {
	var asked incident.Incident
	in.fill(&asked, f)
	status := f.Status
	in.kept.Add(id, p.Redactor, func(i *incident.Incident) {
		if i.Request == nil {
			i.Request, i.Status, i.Stderr = asked.Request, status, asked.Stderr
		}
	})
	return in.whole(id, f.Exchange)
}

// ofStart is the incident of the start that failed last.
func (in *incidents) ofStart(x *front.Exchange) *incident.Incident {
	if a := in.apps.get(x.App); a != nil {
		if id := a.startIncident(); id != "" {
			return in.whole(id, x)
		}
	}
	return nil
}

// whole is an incident with all of it where the client is to see that.
func (in *incidents) whole(id string, x *front.Exchange) *incident.Incident {
	if x.Settings.ShowErrors {
		in.kept.Flush()
		if i, err := in.kept.Get(id); err == nil {
			return i
		}
	}
	return &incident.Incident{ID: id, Kind: incident.Crash, App: x.App} // the ID alone is shown
}

// fill adds what is known of a request and its worker: copies, for both are
// used again.
func (in *incidents) fill(i *incident.Incident, f *front.Failure) {
	x, r := f.Exchange, f.Request
	scheme, host := x.Scheme, x.Host
	if scheme == "" {
		scheme = "http"
	}
	i.Stderr = string(x.Stderr)
	i.Request = &incident.Request{
		ID: x.ID, Method: r.Method, URL: scheme + "://" + host + x.RequestURI, Proto: r.Proto, Time: x.Start,
		Body: string(x.BodyHead), Length: r.ContentLength, Headers: fieldsOf(r.Header),
	}
	if x.Client.IsValid() {
		i.Request.Client = x.Client.Addr().String()
	}
	if x.Worker.PID == 0 {
		return
	}
	i.LastLines = in.tails.last(x.Worker.PID, lastLines)
	i.Worker = &incident.Worker{PID: x.Worker.PID, Slot: slotOf(x.Worker.Name)}
	if a := in.apps.get(x.App); a != nil {
		if w, served, ok := a.workerOf(x.Worker.PID); ok {
			i.Worker.Age, i.Worker.Requests = time.Since(w.Started), served
		}
	}
}

// lastLines is how many lines that a worker printed go into an incident.
const lastLines = 20

func slotOf(name string) int {
	_, slot, _ := strings.Cut(name, "/")
	n, err := strconv.Atoi(slot)
	if err != nil {
		return 0 // an app whose workers are not ours has no slots
	}
	return n
}

// fieldsOf are header fields in the order of their names.
func fieldsOf(h http.Header) []incident.Field {
	var list []incident.Field
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			list = append(list, incident.Field{Name: name, Value: v})
		}
	}
	return list
}

// handle answers the control socket.
func (in *incidents) handle(mux *http.ServeMux) {
	mux.HandleFunc("GET /incidents", func(w http.ResponseWriter, _ *http.Request) { reply(w, in.kept.List(), nil) })
	mux.HandleFunc("GET /incidents/{id}", func(w http.ResponseWriter, r *http.Request) {
		i, err := in.kept.Get(r.PathValue("id"))
		reply(w, i, err)
	})
	mux.HandleFunc("DELETE /incidents", func(w http.ResponseWriter, _ *http.Request) {
		n := in.kept.Clear()
		in.log.Info("incidents cleared", "count", n)
		reply(w, cleared{n}, nil)
	})
}

type cleared struct {
	Count int `json:"count"`
}
