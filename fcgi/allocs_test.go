//go:build !race

package fcgi

import (
	"context"
	"testing"
)

// A hello through both ends costs 19 allocations: the request and its context, its
// URL and its header for the handler take most of them. Under the race detector
// pools forget at random, so nothing is counted there.
func TestHopAllocations(t *testing.T) {
	const most = 21 // an empty pool after a collection counts as well
	r, c := benchRequest()
	var p Params
	AppendCGI(&p, r, c, 0)
	for name, flow := range map[string]bool{"plain": false, "flow": true} {
		tr := benchTransport(t, flow, srvSay("hello"))
		n := testing.AllocsPerRun(500, func() {
			resp, err := tr.RoundTrip(context.Background(), &Request{Role: RoleResponder, Params: &p})
			if err != nil {
				t.Fatal(err)
			}
			resp.Discard()
			resp.Close()
		})
		t.Logf("%s: %v allocations a request", name, n)
		if n > most {
			t.Errorf("%s: %v allocations a request, want at most %d", name, n, most)
		}
	}
}
