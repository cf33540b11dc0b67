package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// A shutConn is a connection whose other side has closed.
type shutConn struct{ net.Conn }

func (shutConn) Read([]byte) (int, error) { return 0, io.EOF }

// Two sides, two rounds, 200 requests a cell: the whole way from the command
// line to the files.
func TestSmoke(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("CPU times of others are read on Linux only")
	}
	counterpart.Find(t, "nginx")
	dir := t.TempDir()
	page, data := filepath.Join(dir, "r.html"), filepath.Join(dir, "r.json")
	var out, log bytes.Buffer
	err := run(t.Context(), []string{"-frontd", buildFrontd(t, dir), "-sides", "frontd-go,nginx-gofcgi", "-workloads", "hello,upload",
		"-conns", "4", "-rounds", "2", "-requests", "200", "-duration", "30s", "-html", page, "-json", data}, &out, &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	b, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Cells) != 2 || len(r.Skipped) != 0 {
		t.Fatalf("%d cells, left out %v", len(r.Cells), r.Skipped)
	}
	for _, c := range r.Cells {
		if len(c.Rows) != 2 {
			t.Fatalf("%s: %d sides", c.Workload, len(c.Rows))
		}
		for _, row := range c.Rows {
			checkRow(t, c, row)
		}
	}
	if !strings.Contains(out.String(), "nginx-gofcgi") || strings.Contains(out.String(), "!") {
		t.Errorf("the table:\n%s", &out)
	}
	checkPage(t, page)
}

func checkRow(t *testing.T, c *Cell, row *Row) {
	t.Helper()
	if row.Baseline != "frontd-go" || len(row.Samples) != 2 || len(row.Failures) > 0 {
		t.Errorf("%s, %s: against %q, %d samples, failures %v", c.Workload, row.Side, row.Baseline, len(row.Samples), row.Failures)
	}
	for _, s := range row.Samples {
		// A front and two workers at least; a request costs between 1 µs and 1 s.
		if s.Requests != 200 || s.Processes < 3 || s.CPU < 1 || s.CPU > 1e6 || s.Rate <= 0 || s.RSS < 1<<20 {
			t.Errorf("%s, %s: %+v", c.Workload, row.Side, s)
		}
	}
	if row.CPURatio.N != 2 || row.Side == row.Baseline && row.CPURatio.Median != 1 {
		t.Errorf("%s, %s: ratio %+v", c.Workload, row.Side, row.CPURatio)
	}
}

// The page stands alone: nothing in it is fetched.
func checkPage(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, outside := range []string{"http://", "https://", "src=", "href=", "url(", "@import", "<script", "ZgotmplZ"} {
		if strings.Contains(page, outside) {
			t.Errorf("the page has %q in it", outside)
		}
	}
	if n := strings.Count(page, "<rect "); n != 12 { // 2 cells, 3 plots, 2 sides
		t.Errorf("%d bars, want 12", n)
	}
}

// A side whose program fails is named with what it said, and the others run.
func TestBrokenSide(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("CPU times of others are read on Linux only")
	}
	r := &rig{dir: t.TempDir(), self: os.Args[0], log: io.Discard}
	defer r.Close()
	broken := &side{name: "broken", family: familyNone, start: func(s *stage) (string, error) {
		return "", s.run(nil, r.self, rolePrefix+"nothing-such")
	}}
	missing := &side{name: "missing", family: familyNone, needs: []string{"no-such-program-anywhere"}}
	ceiling := allSides[len(allSides)-1]
	p := &plan{workloads: []*workload{findWorkload("hello")}, conns: []int{2}, rounds: 1, duration: 1e9, requests: 20}
	report, err := r.compare(t.Context(), p, []*side{broken, missing, ceiling})
	if err != nil {
		t.Fatal(err)
	}
	report.settle(nil)
	var out bytes.Buffer
	writeText(&out, report)
	for _, want := range []string{`LEFT OUT broken: failed: `, `no role "nothing-such"`, "LEFT OUT missing: not installed: no-such-program-anywhere", "  ceiling  "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"-sides", "nosuch"}, {"-conns", "0"}, {"-conns", "1e9"}, {"-workloads", "x"}, {"-rounds", "0"}, {"rest"}, {"-duration", "-1s"},
	} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-list"}, &out, io.Discard); err != nil || !strings.Contains(out.String(), "gunicorn-gthread") {
		t.Errorf("-list: %v\n%s", err, &out)
	}
}

// buildFrontd builds what the harness runs; cmd is not imported by anyone.
func buildFrontd(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("go", "build", "-pgo=off", "-o", dir, "github.com/frontd/frontd/cmd/frontd").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return filepath.Join(dir, "frontd")
}
