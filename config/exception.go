package config

import (
	"slices"
	"strings"
)

// Incidents is the [incidents] table.
type Incidents struct {
	Set Set
	// Directory is where they are kept, absolute. Empty: a place that depends on
	// how frontd was started.
	Directory string
	Keep      int   // how many; default 500
	Size      int64 // bytes of them on disk; default 64 MiB
}

// Exception says what becomes of errors of an app, or of a route. The most
// specific wins: see Config.Exception.
type Exception struct {
	Show  bool     // the client sees all of it; default false
	Mail  bool     // it is mailed, where there is [mail]; default true
	Store string   // "errors", "all" or "none"; default "errors"
	Hide  []string // names whose values are secret too; those of app and route add up
}

func defaultException() Exception { return Exception{Mail: true, Store: "errors"} }

var incidentKeys = []key[Incidents]{
	field("directory", path("a folder's path"), `the folder that incidents are kept in, which is made for frontd alone; without it, $STATE_DIRECTORY/incidents, or else one beside the control socket that a reboot may take`,
		func(i *Incidents) *string { return &i.Directory }),
	field("keep", count(1, 100_000), `how many incidents are kept; the rarest and oldest make room`,
		func(i *Incidents) *int { return &i.Keep }),
	field("size", bound(1<<20), `how much they may take of the disk`,
		func(i *Incidents) *int64 { return &i.Size }),
}

var exceptionKeys = []key[Exception]{
	field("show", yesNo, `whether the client sees all of it: the traceback, the request; --dev shows it in any case`,
		func(e *Exception) *bool { return &e.Show }),
	field("mail", yesNo, `whether it is mailed and told to the webhook, where these are set`,
		func(e *Exception) *bool { return &e.Mail }),
	field("store", oneOf("errors", "all", "none"), `what becomes an incident: errors that the app or its end gave a reason for, all answers of 5xx, or nothing`,
		func(e *Exception) *string { return &e.Store }),
	field("hide", list(anyText("a name")), `names of header fields, form fields and variables whose values are secret, besides those that look so ("password", "token", …); letters and digits count, as a part of the name`,
		func(e *Exception) *[]string { return &e.Hide }),
}

// Exception returns what holds for errors of an app on a route; either may be nil.
func (c *Config) Exception(a *App, r *Route) Exception {
	e := defaultException()
	var hide []string
	merge := func(over *Exception, set Set) {
		within := Set{}
		for name, pos := range set {
			if name, ok := strings.CutPrefix(name, "exception."); ok {
				within[name] = pos
			}
		}
		for _, k := range exceptionKeys {
			k.copySet(&e, over, within)
		}
		hide = append(hide, over.Hide...)
	}
	if a != nil {
		merge(&a.Exception, a.Set)
	}
	if r != nil {
		merge(&r.Exception, r.Set)
	}
	slices.Sort(hide)
	e.Hide = slices.Compact(hide)
	return e
}
