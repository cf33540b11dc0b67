package main

import (
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	// The name holds spaces and parentheses, as any process may call itself.
	s, err := parseStat([]byte("4242 (a) (b c) S 17 4242 4242 0 -1 4194560 5 6 7 8 250 50 30 7 20 0 13 0 24 47591424 4087\n"))
	want := procStat{pid: 4242, parent: 17, own: 3 * time.Second, reaped: 370 * time.Millisecond}
	if err != nil || s != want {
		t.Errorf("parseStat = %+v, %v; want %+v", s, err, want)
	}
	for _, bad := range []string{"", "1", "1 (x", "1 (x) S 1", ") 1 (", "x (y) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "1 (y) S q 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"} {
		if s, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("parseStat(%q) = %+v, want an error", bad, s)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (init) S 0 0 0 0 -1 4194560 51882 43604339 0 4853 114 800 54894 22699 20 0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseStat(b); err == nil && s.own%tick != 0 {
			t.Errorf("%q: %v is no number of ticks", b, s.own)
		}
	})
}

func TestParseKB(t *testing.T) {
	rollup := []byte("55d0-7ffd ---p 0 00:00 0 [rollup]\nRss:    9000 kB\nPss:    1234 kB\nPss_Anon:  1 kB\n")
	for name, want := range map[string]int64{"Pss": 1234 << 10, "Rss": 9000 << 10, "Pss_Anon": 1 << 10, "Swap": -1, "ss": -1} {
		if got := parseKB(rollup, name); got != want {
			t.Errorf("parseKB(%q) = %d, want %d", name, got, want)
		}
	}
	if got := parseKB([]byte("Pss: many kB\n"), "Pss"); got != -1 {
		t.Errorf("no number: %d, want -1", got)
	}
}

func TestDescend(t *testing.T) {
	all := []procStat{{pid: 1}, {pid: 10, parent: 1}, {pid: 11, parent: 10}, {pid: 12, parent: 11}, {pid: 20, parent: 1}, {pid: 30, parent: 1}}
	var got []int
	for _, s := range descend(all, []int{10, 30, 99, 11}) {
		got = append(got, s.pid)
	}
	if slices.Sort(got); !slices.Equal(got, []int{10, 11, 12, 30}) {
		t.Errorf("descend = %v, want each of the two trees once", got)
	}
}

// The clock of a process that works goes on, and is finer than a tick.
func TestCPUOfThisProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("CPU times of others are read on Linux only")
	}
	before, tree, err := cpuOf([]int{os.Getpid()})
	if err != nil || len(tree) == 0 {
		t.Fatalf("cpuOf: %d processes, %v", len(tree), err)
	}
	own := ownCPU()
	for ownCPU()-own < 3*time.Millisecond { // less than a tick
	}
	after, _, err := cpuOf([]int{os.Getpid()})
	if d := after - before; err != nil || d < 3*time.Millisecond || d > 10*time.Second {
		t.Errorf("3 ms of work are %v, %v", d, err)
	}
	if rss, _ := memoryOf(tree); rss < 1<<20 {
		t.Errorf("RSS of a Go program: %d bytes", rss)
	}
	if _, _, err := cpuOf([]int{1 << 30}); err == nil {
		t.Error("a tree without a process has no CPU time")
	}
}
