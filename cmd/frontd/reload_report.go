package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/frontd/frontd/config"
)

// A reloadReport is what came of a reload that went well.
type reloadReport struct {
	Waits    []string `json:"waits,omitempty"`    // settings that have changed and act after a restart only
	Rescaled []string `json:"rescaled,omitempty"` // where scale had set a number of workers that holds no more
}

// rescaled tells of the applications whose number of workers is the
// configuration's again. Who had set another one, while the load was high, has to
// know: their number may have gone down by much.
func (s *succession) rescaled() []string {
	var list []string
	for _, st := range s.steps {
		if st.scaled == nil {
			continue
		}
		st.app.mu.Lock()
		st.app.scaled = false
		st.app.mu.Unlock()
		if was, is := workersText(st.scaled), workersText(st.next); was != is {
			list = append(list, fmt.Sprintf("%s has %s as the configuration says, and no more %s as scale said", st.app.name, is, was))
		}
	}
	return list
}

// workersText is how many an application has, in words.
func workersText(c *config.App) string {
	if e := c.Elastic; e.Max > 0 {
		return fmt.Sprintf("%d to %s", e.Min, count(e.Max, "worker"))
	}
	return count(workersOf(c), "worker")
}

// waitingIn are the settings that differ and that only a new process takes over: a
// restart, or an upgrade. Those of which a reload would lose something are not among
// them; it is refused.
func waitingIn(before, now *config.Config) []string {
	var list []string
	for _, s := range []struct {
		key  string
		same bool
	}{
		{"server.control", before.Server.Control == now.Server.Control},
		{"server.cgroup", before.Server.Cgroup == now.Server.Cgroup},
		{"incidents.directory", before.Incidents.Directory == now.Incidents.Directory},
		{"log.format", before.Log.Format == now.Log.Format},
		{"log.access", before.Log.Access == now.Log.Access},
		{"log.file", before.Log.File == now.Log.File},
		{"log.level", before.Log.Level == now.Log.Level},
	} {
		if !s.same {
			list = append(list, s.key)
		}
	}
	return list
}

// print tells a person, where there is something to tell.
func (r reloadReport) print(w io.Writer) error {
	var err error
	if len(r.Waits) > 0 {
		_, err = fmt.Fprintf(w, "reloaded; changed, but for the next restart or upgrade: %s\n", strings.Join(r.Waits, ", "))
	}
	for _, line := range r.Rescaled {
		_, err = fmt.Fprintf(w, "reloaded; %s\n", line)
	}
	return err
}
