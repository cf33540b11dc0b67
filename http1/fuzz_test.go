package http1

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// FuzzRequests holds what the engine accepts against net/http and against the
// reference: who lets a request through that another one reads differently
// lets requests be smuggled.
//
//   - What the engine accepts, net/http accepts, with the same method, target,
//     host, fields, body and trailers.
//   - The engine accepts what the reference does, nothing more or less, and
//     the same of it.
//   - A body is whole for all three or for none, but where the engine is
//     stricter about chunks.
func FuzzRequests(f *testing.F) {
	for _, v := range vectors {
		if len(v.raw) < 1<<10 {
			f.Add([]byte(v.raw + get))
		}
	}
	var seen []message
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := messageOf(r)
		if seen = append(seen, m); !m.Whole {
			panic(http.ErrAbortHandler)
		}
	}), Log: quietLog}
	l := newListener()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	// Received by Cleanup.
	f.Cleanup(func() { s.Close(); <-done })
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, answers := ours(t, l, raw, &seen)
		net, err := theirs(raw, len(list))
		if len(net) < len(list) {
			t.Fatalf("%q: net/http has %d requests (%v), the engine %d: %+v", raw, len(net), err, len(list), list)
		}
		rest := string(raw)
		for i, m := range list {
			n := net[i]
			if !m.Whole {
				// It is refused in the middle, which net/http may not do, or
				// later: what each has of it is no matter.
				n.Body, n.Whole, n.Trailer, m.Trailer = m.Body, false, nil, nil
			}
			if !reflect.DeepEqual(m, n) {
				t.Fatalf("%q: request %d\nengine   %+v\nnet/http %+v", raw, i, m, n)
			}
			ref, after, ok := reference(rest)
			if !ok {
				t.Fatalf("%q: the engine accepts request %d, the reference does not: %+v", raw, i, m)
			}
			if !m.Whole {
				m.Body = ref.Body
			}
			if !reflect.DeepEqual(m, ref) {
				t.Fatalf("%q: request %d\nengine    %+v\nreference %+v", raw, i, m, ref)
			}
			if rest = after; m.Close || !m.Whole {
				return // nothing behind it is read
			}
		}
		if ref, _, ok := reference(rest); ok {
			t.Fatalf("%q: the engine does not accept request %d, the reference does: %+v\nanswers %q", raw, len(list), ref, answers)
		}
	})
}

// FuzzPieces holds that it does not matter how the bytes come.
func FuzzPieces(f *testing.F) {
	for _, v := range vectors {
		if len(v.raw) < 1<<10 {
			f.Add([]byte(v.raw+get), uint16(len(v.raw)/2))
		}
	}
	var seen []message
	var refused *Rule
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := messageOf(r)
		if seen = append(seen, m); !m.Whole {
			panic(http.ErrAbortHandler)
		}
	}), Refused: func(r Refusal) { refused = r.Rule }, Log: quietLog}
	l := newListener()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	// Received by Cleanup.
	f.Cleanup(func() { s.Close(); <-done })
	f.Fuzz(func(t *testing.T, raw []byte, cut uint16) {
		seen, refused = nil, nil
		l.talk(string(raw), 1<<20)
		whole, rule := seen, refused
		seen, refused = nil, nil
		l.talkCut(string(raw), int(cut)%(len(raw)+1))
		if refused != rule || !reflect.DeepEqual(seen, whole) {
			t.Fatalf("%q: whole %+v (%v), cut at %d %+v (%v)", raw, whole, rule, int(cut)%(len(raw)+1), seen, refused)
		}
	})
}

// FuzzNames holds that names get net/http's canonical form.
func FuzzNames(f *testing.F) {
	for _, name := range []string{"host", "Accept-encoding", "X--y", "x_y", "UPGRADE-INSECURE-REQUESTS", "-", "a-B-c"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" || !allIn([]byte(name), inToken) {
			t.Skip()
		}
		if got, want := canonical(name), http.CanonicalHeaderKey(name); got != want {
			t.Errorf("%q: %q, net/http has %q", name, got, want)
		}
		if !equalFold(name, strings.ToLower(name)) {
			t.Errorf("%q does not equal itself", name)
		}
	})
}
