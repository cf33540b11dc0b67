package main

import (
	"slices"
	"strconv"

	"github.com/frontd/frontd/config"
)

// procsEnv gives each of an application's Go processes its share of the CPUs, one
// at least: where there are as many workers as CPUs, each with threads for all of
// them, a third of a small request's cost is their waking each other. Who says
// how many threads there are to be, with threads or GOMAXPROCS, decides alone.
func procsEnv(c *config.App) []string {
	switch c.Kind {
	case config.KindGo, config.KindExec, config.KindDemo:
	default:
		return nil // hosts that leave the work to other programs
	}
	if threadsOf(c) > 0 || slices.ContainsFunc(c.Env, func(v config.Variable) bool { return v.Name == goProcs }) {
		return nil
	}
	cpus, workers := numCPU(), max(workersOf(c), c.Elastic.Max)
	if workers == 1 {
		return nil // all of them, as many as there will be
	}
	return []string{goProcs + "=" + strconv.Itoa((cpus+workers-1)/workers)}
}

const goProcs = "GOMAXPROCS"
