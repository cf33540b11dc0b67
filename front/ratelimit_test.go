package front

import (
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate := mustMake[*Rate](t)(NewRate(2, time.Minute, 3))
		h := chainFor(t, Route{Handler: http.HandlerFunc(ok), Rate: rate})
		for i := range 3 {
			if w := ask(h, "GET", "/"); w.Code != 200 {
				t.Fatalf("request %d of a burst of 3: %d", i+1, w.Code)
			}
		}
		w := ask(h, "GET", "/")
		if w.Code != 429 || w.Header().Get("Retry-After") != "30" {
			t.Fatalf("over the burst: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
		if w := ask(h, "GET", "/", "Client: 198.51.100.1"); w.Code != 200 {
			t.Errorf("another client: %d", w.Code)
		}
		time.Sleep(29 * time.Second)
		if w := ask(h, "GET", "/"); w.Code != 429 || w.Header().Get("Retry-After") != "1" {
			t.Errorf("a second early: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
		time.Sleep(time.Second) // virtual
		if a, b := ask(h, "GET", "/"), ask(h, "GET", "/"); a.Code != 200 || b.Code != 429 {
			t.Errorf("with one token: %d and %d", a.Code, b.Code)
		}
		time.Sleep(time.Hour)
		for i, want := range []int{200, 200, 200, 429} {
			if w := ask(h, "GET", "/"); w.Code != want {
				t.Errorf("request %d after a pause: %d, want %d", i+1, w.Code, want)
			}
		}
	})
}

func TestRateKeys(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.2", false}, {"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true}, {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
	} {
		if same := rateKey(netip.MustParseAddr(c.a)) == rateKey(netip.MustParseAddr(c.b)); same != c.same {
			t.Errorf("%s and %s are one client: %v", c.a, c.b, same)
		}
	}
	if rateKey(netip.Addr{}) == rateKey(netip.MustParseAddr("0.0.0.0")) {
		t.Error("no address is 0.0.0.0")
	}
}

// More clients than there is room for: the table neither grows nor refuses any.
func TestRateTableIsBounded(t *testing.T) {
	rate := mustMake[*Rate](t)(NewRate(1, time.Hour, 0))
	addr := netip.MustParseAddr("10.0.0.0")
	for range 3 * rateRows * rateWays {
		if addr = addr.Next(); rate.take(addr) != 0 {
			t.Fatalf("%v is refused its first request", addr)
		}
	}
	if rate.take(addr) == 0 {
		t.Error("the last client is forgotten already")
	}
	if n := testing.AllocsPerRun(100, func() { rate.take(addr) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRateIsExactUnderConcurrency(t *testing.T) {
	rate := mustMake[*Rate](t)(NewRate(1, time.Hour, 100))
	var all sync.WaitGroup
	passed := make(chan int, 8)
	for range 8 {
		all.Go(func() { // waited for below
			n := 0
			for range 100 {
				if rate.take(netip.MustParseAddr("10.0.0.1")) == 0 {
					n++
				}
			}
			passed <- n
		})
	}
	all.Wait()
	close(passed)
	sum := 0
	for n := range passed {
		sum += n
	}
	if sum != 100 {
		t.Errorf("%d of 800 passed, want the burst of 100", sum)
	}
}

func TestBadRates(t *testing.T) {
	for _, c := range []struct {
		requests, burst int
		per             time.Duration
	}{{0, 1, time.Second}, {1, 1, 0}, {-1, 1, time.Second}, {1, -1, time.Second}, {1000, 1, time.Nanosecond}} {
		if _, err := NewRate(c.requests, c.per, c.burst); err == nil {
			t.Error(fmt.Sprint(c, " was taken"))
		}
	}
}
