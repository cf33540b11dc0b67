package metrics

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	sampleLine = regexp.MustCompile(`^([a-z][a-z0-9_]*)(\{(?:[a-z]+="(?:[^"\\\n]|\\[\\n"])*"(?:,|(?:\})))+)? (-?[0-9.e+-]+|[+-]Inf)$`)
	typeLine   = regexp.MustCompile(`^# TYPE ([a-z][a-z0-9_]*) (counter|gauge|histogram)$`)
)

// lint holds a page to the format and to Prometheus' conventions of names.
func lint(page string) error {
	types := map[string]Type{}
	seen := map[string]bool{}
	current := ""
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if m := typeLine.FindStringSubmatch(line); m != nil {
			current = m[1]
			if types[current] != "" {
				return fmt.Errorf("%s is there twice", current)
			}
			types[current] = Type(m[2])
			if total := strings.HasSuffix(current, "_total"); total != (m[2] == "counter") {
				return fmt.Errorf("%s is a %s: _total is for counters, and for each of them", current, m[2])
			}
			continue
		}
		if strings.HasPrefix(line, "# HELP ") {
			if !strings.HasSuffix(line, ".") {
				return fmt.Errorf("help is no sentence: %s", line)
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			return fmt.Errorf("not a sample: %q", line)
		}
		name := m[1]
		if types[current] == Histogram {
			name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		}
		if name != current {
			return fmt.Errorf("%s stands under %s", name, current)
		}
		if seen[m[1]+m[2]] {
			return fmt.Errorf("%s%s is there twice", m[1], m[2])
		}
		seen[m[1]+m[2]] = true
	}
	return nil
}

func TestPageIsWellFormed(t *testing.T) {
	s := New("a\"b\\c\nd")
	s.Keep([]string{"blog", "shop"})
	for _, status := range []int{0, 101, 200, 301, 404, 500} {
		r := request("blog", status, time.Duration(status)*time.Millisecond)
		r.Cause = "a\"b\\c\nd"
		s.Observe(r)
	}
	var p Page
	s.Write(&p)
	WriteProcess(&p)
	if err := lint(string(p.Bytes())); err != nil {
		t.Errorf("%v in\n%s", err, p.Bytes())
	}
	if want := `cause="a\"b\\c\nd"`; !strings.Contains(string(p.Bytes()), want) {
		t.Errorf("no %s in\n%s", want, p.Bytes())
	}
}

// The lint itself has to see what is wrong.
func TestLintSees(t *testing.T) {
	for _, bad := range []string{
		"# TYPE a_total gauge\n", "# TYPE a counter\n", "# TYPE a gauge\n# TYPE a gauge\n", "# TYPE a gauge\nb 1\n",
		"# TYPE a gauge\na 1\na 1\n", "# TYPE a gauge\na{x=\"\"y} 1\n", "# HELP a no sentence\n", "a{b=\"c\n\"} 1\n", "# TYPE a gauge\na NaNo\n",
	} {
		if lint(bad) == nil {
			t.Errorf("nothing is said of %q", bad)
		}
	}
}

func TestProcessIsKnown(t *testing.T) {
	u := processUsage()
	if u == unknownUsage {
		t.Skip("this system does not tell")
	}
	age := float64(time.Now().Unix()) - u.startTime
	if u.residentSize < 1<<20 || u.openFiles < 3 || u.maxFiles < u.openFiles || u.threads < 1 || age < -2 || age > 24*3600 {
		t.Errorf("this process is %+v, started %v s ago", u, age)
	}
}
