package main

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/supervisor"
)

// ready asks a worker whether it serves, and what it is able to.
func (a *application) ready(ctx context.Context, w supervisor.Worker, c *config.App, concurrency int) error {
	nc, err := dialer("unix", w.Addr)(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	caps, err := fcgi.Probe(ctx, nc)
	if err != nil {
		return err
	}
	if c.Ready != "" {
		if err := firstRequest(ctx, w, c); err != nil {
			return err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[w.Generation] = answer{caps, concurrency, c.Recycle}
	return nil
}

// readyPause is between two questions to a worker that is not ready yet.
const readyPause = 100 * time.Millisecond

// firstRequest asks a worker for the path of the setting ready until it
// answers with less than 500, or until ctx ends.
func firstRequest(ctx context.Context, w supervisor.Worker, c *config.App) error {
	t := &fcgi.Transport{Dial: dialer("unix", w.Addr)}
	defer t.Close()
	for {
		err := askReady(ctx, t, c)
		if err == nil {
			return nil
		}
		pause := time.NewTimer(readyPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("ready = %q: %w", c.Ready, err)
		}
	}
}

func askReady(ctx context.Context, t *fcgi.Transport, c *config.App) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+c.Ready, nil)
	if err != nil {
		return err
	}
	m := &fcgi.CGI{
		Scheme: "http", ServerName: "localhost", ServerPort: "80", ServerAddr: "127.0.0.1", RemoteAddr: "127.0.0.1",
		RequestURI: c.Ready, RequestID: "ready", Host: "localhost", PathInfo: r.URL.Path,
	}
	if root := docroot(c); root != "" {
		script := path.Clean(r.URL.Path)
		if !strings.HasSuffix(script, ".php") {
			script = path.Join(script, "index.php")
		}
		m.DocumentRoot, m.ScriptName, m.PathInfo = root, script, ""
		m.ScriptFilename = filepath.Join(root, filepath.FromSlash(script))
	}
	var params fcgi.Params
	fcgi.AppendCGI(&params, r, m, 0)
	resp, err := t.RoundTrip(ctx, &fcgi.Request{Role: fcgi.RoleResponder, Params: &params})
	if err != nil {
		return err
	}
	defer resp.Close()
	if resp.Status >= http.StatusInternalServerError {
		return fmt.Errorf("status %d", resp.Status)
	}
	return nil
}
