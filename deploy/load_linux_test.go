package deploy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	loadPause   = 5 * time.Millisecond // of each client between two requests: load, not a benchmark
	loadTimeout = time.Minute          // more than any restart takes; then the request has failed

	// With FRONTD_LONG no client pauses, and slow streams are under way; on a
	// machine that has nothing left a restart takes longer.
	fullStreams = 50
	fullTimeout = 3 * loadTimeout
)

// A load is requests without a pause, sent from within the container's network
// by this binary run again.
type load struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Scanner
}

// startLoad returns when the first requests have been answered.
func (c *container) startLoad(t *testing.T, base string) *load {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l := &load{t: t, cmd: exec.CommandContext(t.Context(), "nsenter", "-t", strconv.Itoa(c.leader), "-n", "--", self, base)}
	if long() {
		l.cmd.Args = append(l.cmd.Args, "full")
	}
	l.cmd.Env = append(os.Environ(), role+"=load")
	l.cmd.Stderr = os.Stderr
	if l.stdin, err = l.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.out = bufio.NewScanner(out)
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l.round()
	return l
}

// round returns when each client has had an answer to a request that it sent
// after the call.
func (l *load) round() {
	l.t.Helper()
	io.WriteString(l.stdin, "round\n") // seen by the answer
	if !l.out.Scan() || l.out.Text() != "ok" {
		l.t.Fatalf("load: %q, %v", l.out.Text(), l.out.Err())
	}
}

// end stops the load and fails the test for each request that failed.
func (l *load) end() {
	l.t.Helper()
	l.stdin.Close()
	requests, failed := "none", 0
	for l.out.Scan() {
		if n, ok := strings.CutPrefix(l.out.Text(), "requests "); ok {
			requests = n
			continue
		}
		failed++
		l.t.Errorf("under load: %s", l.out.Text())
	}
	if err := l.cmd.Wait(); err != nil {
		l.t.Errorf("load: %v", err)
	}
	l.t.Logf("%s requests, %d failed", requests, failed)
}

// A tally is what the clients count together.
type tally struct {
	mu     sync.Mutex // guards the fields below
	done   []int      // by client
	failed []string
	more   *sync.Cond
}

func (c *tally) add(client int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done[client]++
	if err != nil {
		c.failed = append(c.failed, err.Error())
	}
	c.more.Broadcast()
}

// round waits for two requests of each client: the second began after the call.
func (c *tally) round() {
	c.mu.Lock()
	defer c.mu.Unlock()
	begin := append([]int(nil), c.done...)
	for i := range begin {
		for c.done[i] < begin[i]+2 {
			c.more.Wait()
		}
	}
}

// A loadClient has a connection for each request, or keeps one.
type loadClient struct {
	path string
	keep bool
}

// loadClients are those of a load; some have requests that take a while.
func loadClients(full bool) []loadClient {
	clients := []loadClient{
		{"/hello", false}, {"/hello", false}, {"/hello", false}, {"/hello", true}, {"/", true}, {"/sleep?ms=200", false}, {"/sleep?ms=300", true},
	}
	if full {
		for i := range fullStreams {
			clients = append(clients, loadClient{"/stream?n=20&interval=50", i%2 == 0})
		}
	}
	return clients
}

// loadMain sends requests until its standard input ends.
func loadMain(in io.Reader, out io.Writer, args []string) error {
	full := len(args) == 2 && args[1] == "full"
	if len(args) != 1 && !full {
		return errors.New("load: want one URL, and full for no pauses")
	}
	pause, timeout := loadPause, loadTimeout
	if full {
		pause, timeout = time.Nanosecond, fullTimeout
	}
	clients := loadClients(full)
	c := &tally{done: make([]int, len(clients))}
	c.more = sync.NewCond(&c.mu)
	stop := make(chan struct{})
	var running sync.WaitGroup
	for i, k := range clients {
		client := &http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: !k.keep}}
		running.Go(func() { // waited for below
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					c.add(i, get(client, args[0]+k.path))
				}
			}
		})
	}
	for commands := bufio.NewScanner(in); commands.Scan(); {
		c.round()
		fmt.Fprintln(out, "ok")
	}
	close(stop)
	running.Wait()
	total := 0
	for _, n := range c.done {
		total += n
	}
	for _, f := range c.failed[:min(len(c.failed), 20)] {
		fmt.Fprintln(out, f)
	}
	_, err := fmt.Fprintf(out, "requests %d\n", total)
	return err
}

func get(client *http.Client, url string) error {
	began := time.Now()
	resp, err := client.Get(url)
	if err != nil {
		return fmt.Errorf("after %v: %w", time.Since(began), err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("%s: after %v: read the body: %w", url, time.Since(began), err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: after %v: %s", url, time.Since(began), resp.Status)
	}
	return nil
}
