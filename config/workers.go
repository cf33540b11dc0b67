package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"
)

// Elastic is a number of workers that follows the load. The zero value, whose
// Max is 0, is none: the number is fixed.
type Elastic struct {
	Min   int           // that always run; may be 0, then the first request waits for a start
	Max   int           // at most; at least 1
	Spare int           // idle ones beside those at work, while there is work
	Idle  time.Duration // how long fewer must have been enough before one goes
}

// Recycle says when a worker is replaced by a new one. Zero is never.
type Recycle struct {
	Requests int           // served
	Memory   int64         // resident bytes of the process and its descendants
	Age      time.Duration // since its start
	Jitter   float64       // the share of each that chance takes off, 0 to 1
}

const (
	maxProcesses  = 4096 // a typing error, not a machine
	defaultIdle   = 60 * time.Second
	defaultJitter = 0.1
)

var elasticKeys = []key[Elastic]{
	field("min", count(0, maxProcesses), `how many always run; with 0, a request may wait for the first to start`,
		func(e *Elastic) *int { return &e.Min }),
	must(field("max", count(1, maxProcesses), `how many run at most`,
		func(e *Elastic) *int { return &e.Max })),
	field("spare", count(0, maxProcesses), `how many idle ones stand by, while there are requests`,
		func(e *Elastic) *int { return &e.Spare }),
	field("idle", duration(100*time.Millisecond), `how long fewer workers must have been enough before the others go`,
		func(e *Elastic) *time.Duration { return &e.Idle }),
}

var recycleKeys = []key[Recycle]{
	field("requests", count(0, math.MaxInt32), `after so many requests; 0 is never`,
		func(c *Recycle) *int { return &c.Requests }),
	field("memory", size, `when it and its children have so much resident memory; 0 is never`,
		func(c *Recycle) *int64 { return &c.Memory }),
	field("age", duration(0), `after so long; "0s" is never`,
		func(c *Recycle) *time.Duration { return &c.Age }),
	field("jitter", share, `the share of each of these that chance takes off, so that workers do not go together`,
		func(c *Recycle) *float64 { return &c.Jitter }),
}

// workersKey is a number, or a table of Elastic.
var workersKey = func() key[App] {
	fixed := field("workers", workers,
		`how many processes, or { min, max, spare, idle } for as many as the load needs, or, for fcgi, how many connections; without it, as many as CPUs`,
		func(a *App) *int { return &a.Workers })
	k := fixed
	k.read = func(r *reader, n *node, into *App) {
		if n.kind != table {
			fixed.read(r, n, into)
			return
		}
		e := Elastic{Idle: defaultIdle}
		before := len(r.errs)
		readTable(r, n, elasticKeys, &e)
		if len(r.errs) > before {
			return
		}
		if e.Min > e.Max {
			r.failf(n.pos, n.path, "min is %d and max is %d", e.Min, e.Max)
			return
		}
		if e.Spare > e.Max {
			r.failf(n.pos, n.path, "spare is %d and max is %d", e.Spare, e.Max)
			return
		}
		into.Elastic = e
	}
	k.text = func(from *App) string {
		if from.Elastic.Max == 0 {
			return fixed.text(from)
		}
		var list []string
		for _, l := range linesOf(elasticKeys, "") {
			list = append(list, l.name+" = "+l.text(&from.Elastic))
		}
		return "{ " + strings.Join(list, ", ") + " }"
	}
	k.schema = func(from *App) property {
		number := maps.Clone(workers.schema)
		return property{"anyOf": []property{number, objectSchema(elasticKeys, &Elastic{Idle: defaultIdle})}}
	}
	return k
}()

// share is a number from 0 to 1.
var share = form[float64]{
	read: func(r *reader, n *node) (float64, error) {
		const want = "a share from 0 to 1, such as 0.1"
		s := n.text
		switch n.kind {
		case float, integer:
		case text:
			if !strings.Contains(n.text, "${") {
				return 0, fmt.Errorf("%v, want %s", n.kind, want)
			}
			var err error
			if s, err = r.str(n, want); err != nil {
				return 0, err
			}
		default:
			return 0, fmt.Errorf("%v, want %s", n.kind, want)
		}
		v, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
		if err != nil || !(v >= 0 && v <= 1) { // not NaN either
			return 0, errors.New(s + ", want " + want)
		}
		return v, nil
	},
	text: func(v float64) string {
		s := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	},
	schema: fromEnv(property{"type": "number", "minimum": 0, "maximum": 1}),
}

// urlText is a path with its query, of our own making.
var urlText = parsed(`a path such as "/health"`, func(_ *reader, s string) (string, error) {
	if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, " \t\r\n#") {
		return "", fmt.Errorf(`%q is not a path of a URL; want "/health" or "/health?full=1"`, s)
	}
	return s, nil
}, sameText)

// checkPool holds the settings of an app's workers to what they can mean.
func (r *reader) checkPool(a *App) {
	if a.Kind == KindFCGI && a.Elastic.Max > 0 {
		r.failf(a.Set["workers"], "app."+a.Name+".workers", "its workers are not frontd's: want how many connections at once, an integer")
	}
}
