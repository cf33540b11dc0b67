package front

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frontd/frontd/fcgi"
)

// How far ahead of a client that reads nothing a worker of one request at a time
// makes an answer of 64 MiB: to its end, or no further than memory holds.
func TestGatewayPace(t *testing.T) {
	const size, item = 64 << 20, 64 << 10
	for _, c := range []struct {
		why      string
		onDemand bool // the application makes answers so
		length   bool // the answer tells its own
		field    string
		trusted  bool // a proxy asks

		whole bool   // it is taken off the worker ahead of the client
		seen  string // X-Accel-Buffering, by the client
	}{
		{why: "whole pages", whole: true},
		{why: "piece by piece", onDemand: true},
		{why: "made already, as its length tells", onDemand: true, length: true, whole: true},
		{why: "said of a whole page", length: true, field: "no"},
		{why: "capitals", field: "No"},
		{why: "said of pieces", onDemand: true, field: "yes", whole: true},
		{why: "another word changes nothing", onDemand: true, field: "maybe"},
		{why: "for the web server before us, too", field: "no", trusted: true, seen: "no"},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			var given atomic.Int64
			ended := make(chan struct{})
			w := startWorker(t, 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				if c.field != "" {
					w.Header().Set("X-Accel-Buffering", c.field)
				}
				if c.length {
					w.Header().Set("Content-Length", fmt.Sprint(size))
				}
				for given.Load() < size {
					given.Add(item)
					w.Write(make([]byte, item))
				}
			}))
			marker := startWorker(t, 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "here") }))
			g := gateway(w.upstream)
			g.OnDemand = c.onDemand
			config := Config{Routes: []Route{
				{Path: "/marker", App: "marker", Settings: settingsFor(), Handler: gateway(marker.upstream)},
				{Path: "/", App: "app", Settings: settingsFor(), Handler: g},
			}}
			if c.trusted {
				config.Proxies.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
			}
			url := siteOf(t, config)
			resp, err := http.DefaultTransport.RoundTrip(newReq(t, "GET", url+"/", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if seen := resp.Header.Get("X-Accel-Buffering"); seen != c.seen {
				t.Errorf("the client sees X-Accel-Buffering %q, want %q", seen, c.seen)
			}
			if c.whole {
				<-ended // with nothing read
			} else {
				standsStill(t, url+"/marker", &given)
				if n := given.Load(); n > size/2 {
					t.Errorf("%d bytes were asked for ahead of a client that read nothing", n)
				}
			}
			if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
				t.Errorf("%d bytes, %v; want %d", n, err, size)
			}
			<-ended
		})
	}
}

// standsStill returns when n has not changed while so many other requests were
// served that a file would have been begun, and gone on with, several times over.
func standsStill(t *testing.T, marker string, n *atomic.Int64) {
	t.Helper()
	for before := int64(-1); before != n.Load(); {
		before = n.Load()
		for begin, served := time.Now(), 0; served < 100 || time.Since(begin) < 200*time.Millisecond; served++ {
			if _, body := fetch(t, newReq(t, "GET", marker, nil)); body != "here" {
				t.Fatalf("marker: %q", body)
			}
		}
	}
}

// Whatever an answer says of it, no file is begun where none is allowed.
func TestGatewayPaceWithoutFile(t *testing.T) {
	c := &call{g: &Gateway{}, x: &Exchange{Settings: new(settingsFor())}}
	c.x.Settings.ResponseFile = 0
	c.pace(&fcgi.Response{ContentLength: 5, Header: http.Header{"X-Accel-Buffering": {"yes"}}}) // else a panic: it has no stream
}
