package config

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/frontd/frontd/configs"
)

// InitFile returns the commented file that "frontd config init" writes.
func InitFile() []byte { return configs.Manual() }

// WriteEffective writes every setting as it holds, as TOML that Parse would
// read to the same effect, except that secrets are masked. A setting that the
// file did not set ends in a comment that says so; a limit that an app or a
// route inherits is a comment.
func (c *Config) WriteEffective(w io.Writer) error {
	b := bufio.NewWriter(w)
	b.WriteString("[server]\n")
	writeLines(b, serverKeys, &c.Server, ownOrDefault(c.Server.Set))
	b.WriteString("\n[log]\n")
	writeLines(b, logKeys, &c.Log, ownOrDefault(c.Log.Set))
	b.WriteString("\n[metrics]\n")
	writeLines(b, metricsKeys, &c.Metrics, ownOrDefault(c.Metrics.Set))
	b.WriteString("\n[incidents]\n")
	writeLines(b, incidentKeys, &c.Incidents, ownOrDefault(c.Incidents.Set))
	if len(c.Mail.Set) > 0 {
		b.WriteString("\n[mail]\n")
		writeLines(b, mailKeys, &c.Mail, ownOrDefault(c.Mail.Set))
	}
	if len(c.Webhook.Set) > 0 {
		b.WriteString("\n[webhook]\n")
		writeLines(b, webhookKeys, &c.Webhook, ownOrDefault(c.Webhook.Set))
	}
	for _, a := range c.Apps {
		c.writeApp(b, a)
	}
	for _, r := range c.Routes {
		c.writeRoute(b, r)
	}
	return b.Flush()
}

func (c *Config) writeApp(b *bufio.Writer, a *App) {
	fmt.Fprintf(b, "\n[app.%s]\n", a.Name)
	effective := *a
	effective.Fallback = a.fallback()
	effective.Limits, effective.Exception, effective.Stages, effective.Session = c.AppLimits(a), c.Exception(a, nil), c.AppStages(a), c.Session(a, nil)
	writeLines(b, appKeys, &effective, func(name string) note {
		switch {
		case a.Set.Has(name):
			return own
		case a.meaningless(name), name == "body" && a.mixes():
			return hidden
		case isLimit(name), isStage(name):
			return inherited
		}
		return byDefault
	})
	if a.mixes() {
		fmt.Fprintf(b, "# body: %s  # default\n", mixed)
	}
}

// mixes reports whether an app's bodies reach it in a third way, the default of
// kinds whose workers have few places, which has no name in a file.
func (a *App) mixes() bool {
	return a.Kind != KindDemo && a.Kind != KindGo && !a.Set.Has("body")
}

const mixed = "streams what comes at once, spools the rest first"

func (c *Config) writeRoute(b *bufio.Writer, r *Route) {
	b.WriteString("\n[[route]]\n")
	effective := *r
	effective.Limits, effective.Exception, effective.Stages, effective.Session = c.Limits(r), c.Exception(c.App(r.App), r), c.Stages(r), c.Session(c.App(r.App), r)
	writeLines(b, routeKeys, &effective, func(name string) note {
		switch {
		case r.Set.Has(name):
			return own
		case isAnswer(name), isOfFiles(name) && r.Root == "":
			return hidden
		case (name == "mount" || name == "sendfile") && r.Root != "" && r.App == "", name == "internal" && r.Root == "", (isLimit(name) || isException(name) || isSession(name)) && r.Root != "" && r.App == "" && name != "max_body":
			return hidden
		case isLimit(name), isException(name), isSession(name), isStage(name):
			return inherited
		case name == "app" && r.App != "":
			return own // the only app there is
		}
		return byDefault
	})
}

// A note says where a setting that is shown comes from.
type note uint8

const (
	own       note = iota // the section has it
	byDefault             // nobody set it
	inherited             // a section above has it, or its default
	hidden                // it means nothing here
)

func ownOrDefault(s Set) func(string) note {
	return func(name string) note {
		if s.Has(name) {
			return own
		}
		return byDefault
	}
}

func writeLines[S any](b *bufio.Writer, keys []key[S], from *S, origin func(name string) note) {
	for _, l := range linesOf(keys, "") {
		value := l.text(from)
		absent := value == `""` || value == "{ }" || value == "[]"
		switch origin(l.name) {
		case own:
			fmt.Fprintf(b, "%s = %s\n", l.name, value)
		case byDefault:
			if !absent {
				fmt.Fprintf(b, "%s = %s  # default\n", l.name, value)
			}
		case inherited:
			if !absent || isLimit(l.name) {
				fmt.Fprintf(b, "#%s = %s  # from above\n", l.name, value)
			}
		case hidden:
		}
	}
}

func isLimit(name string) bool {
	return slices.ContainsFunc(linesOf(limitKeys, ""), func(l line[Limits]) bool { return l.name == name })
}

func isException(name string) bool { return strings.HasPrefix(name, "exception.") }

func isStage(name string) bool {
	return slices.ContainsFunc(linesOf(stageKeys, ""), func(l line[Stages]) bool { return l.name == name })
}

// isAnswer says whether a setting belongs to what answers in an app's place,
// which is there whole or not at all.
func isAnswer(name string) bool {
	table, _, _ := strings.Cut(name, ".")
	return table == "rewrite" || table == "redirect" || table == "return"
}

func isOfFiles(name string) bool {
	return slices.Contains([]string{"index", "listing", "fallback", "precompressed"}, name)
}

func isSession(name string) bool { return strings.HasPrefix(name, "session.") }
