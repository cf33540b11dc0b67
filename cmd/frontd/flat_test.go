package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// forgetPeak makes the kernel count a process's peak memory anew (proc(5),
// clear_refs), and returns what it holds now.
func forgetPeak(t testing.TB, pid int) int64 {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
	return rss(t, pid)
}

// peak is the most resident memory since forgetPeak, in bytes.
func peak(t testing.TB, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// nothing is zeros without an end.
type nothing struct{}

func (nothing) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// What passes through takes no memory: neither frontd nor a worker holds more than
// 16 MiB for a body of 2 GiB, or an answer of that size.
func TestFlatMemory(t *testing.T) {
	const size = int64(2<<30) / (memoryFactor * memoryFactor) // the race detector takes its time
	dir := counterpart.Dir(t)
	config := strings.Replace(jsonLog, "[log]", "max_body = 0\n[log]", 1) + demoApp(1)
	r := serve(t, dir, configure(t, dir, config)...)
	pids := append(r.awaitServing("demo", 1), r.PID())
	// The memory that any load takes, once.
	r.site().checkBody("/checksum", bulk, false)
	r.site().checkDownload("/download", bulk)

	for _, transfer := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"download", func(t *testing.T) { bigDownload(t, r, size) }},
		{"upload", func(t *testing.T) { bigUpload(t, r, size) }},
	} {
		t.Run(transfer.name, func(t *testing.T) {
			before := map[int]int64{}
			for _, pid := range pids {
				before[pid] = forgetPeak(t, pid)
			}
			transfer.run(t)
			for _, pid := range pids {
				grown := peak(t, pid) - before[pid]
				if grown > memoryFactor*16<<20 {
					t.Errorf("process %d (frontd is %d) grew by %d KiB, want at most %d MiB for %d MiB", pid, r.PID(), grown>>10, memoryFactor*16, size>>20)
				}
				t.Logf("process %d: from %d KiB by at most %+d KiB", pid, before[pid]>>10, grown>>10)
			}
		})
	}
}

func bigDownload(t *testing.T, r *running, size int64) {
	resp, err := r.client.Get(fmt.Sprintf("%s/download?bytes=%d", r.url, size))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("%d bytes of %d, %v", n, size, err)
	}
}

func bigUpload(t *testing.T, r *running, size int64) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/checksum", io.LimitReader(nothing{}, size))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = size
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if want := strconv.FormatInt(size, 10); err != nil || !strings.Contains(string(b), want) {
		t.Errorf("%v, %q, want %s in it", err, b, want)
	}
}
