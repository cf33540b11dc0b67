package front

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// A Rate bounds how many requests a client makes. Each client has a bucket
// that holds burst tokens and fills at a steady pace; a request takes one, and
// is 429 with Retry-After where there is none. An IPv6 client is its /64, which
// is what one customer has; clients without an address share a bucket.
//
// It is the generic cell rate algorithm: of a bucket only the time at which it
// is full again is kept. The table has a fixed size, about a megabyte for
// 65,536 clients; when more are active at once, the one whose bucket is
// nearest to full is forgotten, which errs in its favour.
type Rate struct {
	step  time.Duration // that one token takes to come back
	burst time.Duration // of tokens that may be saved up
	now   func() time.Time
	start time.Time
	seed  maphash.Seed
	locks [64]sync.Mutex // each guards the rows of its remainder
	rows  []rateRow
}

const (
	rateRows = 8192
	rateWays = 8
)

type rateRow [rateWays]struct {
	client uint64
	full   time.Duration // since Rate.start; in the past: a full bucket, the same as none
}

var errRate = errors.New("want at least one request, a time above zero and a burst of at least one")

// NewRate allows so many requests per a time, and burst of them at once; a burst of
// 0 is as many as requests.
func NewRate(requests int, per time.Duration, burst int) (*Rate, error) {
	if burst == 0 {
		burst = requests
	}
	if requests <= 0 || per <= 0 || burst < 0 || per/time.Duration(requests) <= 0 {
		return nil, fmt.Errorf("rate: %w", errRate)
	}
	step := per / time.Duration(requests)
	return &Rate{
		step: step, burst: step * time.Duration(burst), now: time.Now, start: time.Now(),
		seed: maphash.MakeSeed(), rows: make([]rateRow, rateRows),
	}, nil
}

// Stage counts a client once a request, however many routes an application sends it through.
func (t *Rate) stage(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := ExchangeOf(r)
		if x.redirects > 0 {
			next.ServeHTTP(w, r)
			return
		}
		if wait := t.take(x.Client.Addr()); wait > 0 {
			failRate(w, r, wait, fmt.Sprintf("client %v: the next token comes in %v", x.Client.Addr(), wait.Round(time.Millisecond)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func failRate(w http.ResponseWriter, r *http.Request, wait time.Duration, detail string) {
	seconds := int64((wait + time.Second - 1) / time.Second) // RFC 9110 §10.2.3: whole seconds
	failWith(w, r, RateLimited, detail, http.Header{"Retry-After": {strconv.FormatInt(seconds, 10)}})
}

// take takes a token of a client's, or returns how long the next one takes.
func (t *Rate) take(client netip.Addr) (wait time.Duration) { return t.count(client, true) }

// look is take without taking: how long the next token takes, 0 if there is one.
func (t *Rate) look(client netip.Addr) (wait time.Duration) { return t.count(client, false) }

func (t *Rate) count(client netip.Addr, taking bool) (wait time.Duration) {
	key := maphash.Comparable(t.seed, rateKey(client))
	at := key % uint64(len(t.rows))
	lock := &t.locks[at%uint64(len(t.locks))]
	lock.Lock()
	defer lock.Unlock()
	now := t.now().Sub(t.start)
	row, slot := &t.rows[at], 0
	for i := range row {
		if row[i].client == key {
			slot = i
			break
		}
		if row[i].full < row[slot].full {
			slot = i
		}
	}
	full := now
	if row[slot].client == key && row[slot].full > now {
		full = row[slot].full
	}
	if wait = full + t.step - t.burst - now; wait > 0 {
		return wait
	}
	if taking {
		row[slot].client, row[slot].full = key, full+t.step
	}
	return 0
}

// rateKey is what counts as one client.
func rateKey(client netip.Addr) netip.Prefix {
	client = client.Unmap().WithZone("")
	if client.Is6() {
		p, _ := client.Prefix(64) // of an IPv6 address: cannot fail
		return p
	}
	return netip.PrefixFrom(client, 32)
}
