package front

import (
	"net/http"
	"testing"
)

// FuzzMendRange: what was mended once needs no mending, and what is ordinary none at all.
func FuzzMendRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-0", "Bytes= 1-2 , -0,", "items=0-1", "bytes=0-99999999999999999999", "bytes=--", "=", "bytes=00-0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h := http.Header{"Range": {s}}
		mendRange(h)
		once, there := h["Range"]
		if !there {
			return
		}
		was := once[0]
		mendRange(h)
		if again := h["Range"]; len(again) != 1 || again[0] != was {
			t.Errorf("%q, mended to %q, then %q", s, was, again)
		}
	})
}
