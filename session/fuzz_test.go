package session

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func FuzzTakeChanges(f *testing.F) {
	f.Add("k=1", "n=1", "k")
	f.Add("%22=%22%c3%a9%22", "n=-9223372036854775808", "%00")
	f.Add("a=%7B%22%5Cud800%22%3A%5B%5D%7D", "a=0", "")
	f.Fuzz(func(t *testing.T, set, add, del string) {
		h := http.Header{HeaderSet: {set}, HeaderAdd: {add}, HeaderDelete: {del}, "X": {"kept"}}
		ch, err := TakeChanges(h)
		if len(h) != 1 {
			t.Fatalf("left: %v", h)
		}
		if err != nil {
			return
		}
		data, err := ch.apply(`{"a":1}`)
		if err != nil {
			return
		}
		if !json.Valid([]byte(data)) || strings.ContainsFunc(data, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
			t.Fatalf("stored: %q", data)
		}
		again, err := new(Changes).apply(data)
		if err != nil || again != data {
			t.Fatalf("%s became %s, %v", data, again, err)
		}
	})
}

func FuzzVerify(f *testing.F) {
	s, err := New(policy(), new(memory))
	if err != nil {
		f.Fatal(err)
	}
	good := s.sign(token{1}, "h")
	f.Add(good)
	f.Add("")
	f.Add(url.QueryEscape(good))
	f.Fuzz(func(t *testing.T, value string) {
		if _, _, ok := s.verify(value, "h"); ok != (value == good) && !ok {
			t.Fatalf("%q: %v", value, ok)
		} else if ok && s.sign(token{1}, "h") != value {
			t.Fatalf("%q was forged", value)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(newRecord(time.Unix(1, 0)).encode())
	f.Add(encodeForward(Key{1}))
	f.Add([]byte("S"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, ok := decodeRecord(b); ok && !bytes.Equal(r.encode(), b) {
			t.Fatalf("%q is read as %+v", b, r)
		}
		if to, ok := decodeForward(b); ok && !bytes.Equal(encodeForward(to), b) {
			t.Fatalf("%q is read as %x", b, to)
		}
	})
}
