package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/frontd/frontd/config"
)

// A reloadReport is what came of a reload that went well.
type reloadReport struct {
	Waits []string `json:"waits,omitempty"` // settings that have changed and act after a restart only
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
	if len(r.Waits) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "reloaded; changed, but for the next restart or upgrade: %s\n", strings.Join(r.Waits, ", "))
	return err
}
