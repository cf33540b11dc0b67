package session

import (
	"encoding/json"
	"maps"
	"testing"
)

// What is stored is read by a scanner of our own where that can be: to the same
// keys and values as by encoding/json, and what is written is read again.
func FuzzObject(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1}`, `{"a":"b","c":[1,{"d":"}"}],"e":null}`, `{"a":1,}`, `{"a": 1}`, `{"a":1 }`, `{ "a":1}`, `{"a\n":1}`,
		`{"a":"\"","b":"\\"}`, `{"a":}`, `{"a":1,"a":2}`, `{"a":[}`, `{"a":]}`, `{"é":1}`, `{"<":1}`, `{"":{}}`, `{"a":1}}`, `{"a":"`, `{`, `null`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := scanObject(s)
		var raw map[string]json.RawMessage
		err := json.Unmarshal([]byte(s), &raw)
		if got == nil {
			return
		}
		want := map[string]string{}
		for k, v := range raw {
			want[k] = string(v)
		}
		if err != nil || !maps.Equal(got, want) {
			t.Fatalf("%q is %q, encoding/json has %q, %v", s, got, want, err)
		}
		text := formatObject(got)
		again, err := parseObject(text)
		if err != nil || !maps.Equal(got, again) {
			t.Fatalf("%q, written as %q, is %q, %v", s, text, again, err)
		}
		for k := range got {
			if quick := scanObject(`{"` + k + `":1}`); quick == nil && plainKey(k) {
				t.Fatalf("the key %q takes the long way", k)
			}
		}
	})
}
