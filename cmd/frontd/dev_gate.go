package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/supervisor"
)

// wrote keeps what the newest worker prints while it starts: the supervisor's
// own memory of 20 lines has no room for a traceback of some depth.
func (f *draft) wrote(w supervisor.Worker, line []byte) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.Generation < f.starting {
		return
	}
	if w.Generation > f.starting {
		f.starting, f.output = w.Generation, f.output[:0]
	}
	if room := devOutput - len(f.output); len(line) < room {
		f.output = append(append(f.output, line...), '\n')
	}
}

// trouble returns why no worker of the newest files serves, nil if one does,
// what that worker printed, and the epoch that this was known in.
func (f *draft) trouble() (err error, printed string, epoch int64) {
	up := f.app.notUp()
	f.mu.Lock()
	defer f.mu.Unlock()
	err = f.broken
	if err == nil {
		err = up
	}
	var start *supervisor.StartError
	if errors.As(err, &start) {
		if start.Worker.Generation == f.starting {
			printed = string(f.output)
		} else {
			printed = strings.Join(start.Stderr, "\n")
		}
	}
	return err, printed, f.epoch
}

// gate is the stage before a draft's handler: requests wait while new workers
// start, and who asks for a page is told why there are none.
func (f *draft) gate(next http.Handler) http.Handler {
	if f == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.wait(r.Context())
		if wantsPage(r) {
			news := f.ofRequest() // before it fails: no change in the meantime is missed
			if err, printed, epoch := f.trouble(); err != nil {
				f.showTrouble(w, r, err, printed, epoch)
				return
			}
			front.ExchangeOf(r).News = news
			own := &refreshing{ResponseWriter: w, news: news}
			next.ServeHTTP(own, r)
			own.end()
			return
		}
		next.ServeHTTP(w, r)
	})
}

// wait returns when what the files say now has been tried, or when ctx ends.
func (f *draft) wait(ctx context.Context) {
	f.mu.Lock()
	renewing := f.renewing
	f.mu.Unlock()
	for _, due := range []<-chan struct{}{f.app.tried, renewing} {
		if due == nil {
			continue
		}
		select {
		case <-due:
		case <-ctx.Done():
		case <-f.life.Done():
		}
	}
}

// wantsPage says whether a browser asks for a page, and not for what is in one.
func wantsPage(r *http.Request) bool {
	if r.Method != http.MethodGet || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return false
	}
	into := r.Header.Get("Sec-Fetch-Dest")
	return into == "" || slices.Contains([]string{"document", "iframe", "frame"}, into)
}

// warnOfDev says it where development is open to others: its pages show
// sources and variables.
func (d *daemon) warnOfDev() {
	if !d.dev {
		return
	}
	for _, door := range d.allDoors() {
		if a, ok := door.listener.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
			d.log.Warn(fmt.Sprintf("--dev shows sources and variables to everybody who reaches %v", a))
		}
	}
}
