package app

import (
	"slices"
	"strings"
	"testing"
)

func TestSplitWords(t *testing.T) {
	for _, test := range []struct {
		in   string
		want []string
		err  string
	}{
		{in: "", want: nil},
		{in: "  \t ", want: nil},
		{in: "a b\tc\nd", want: []string{"a", "b", "c", "d"}},
		{in: `a\ b`, want: []string{"a b"}},
		{in: "a\\\nb", want: []string{"ab"}},
		{in: `'a b'"c d"e`, want: []string{"a bc de"}},
		{in: `'' ""`, want: []string{"", ""}},
		{in: `'a\b'`, want: []string{`a\b`}},
		{in: `"a\"b\\c\d\$e"`, want: []string{`a"b\c\d$e`}},
		{in: "\"a\\\nb\"", want: []string{"ab"}},
		{in: `$HOME ~ * #x`, want: []string{"$HOME", "~", "*", "#x"}},
		{in: `it\'s`, want: []string{"it's"}},
		{in: `'|' \& ">"`, want: []string{"|", "&", ">"}},
		{in: `'a`, err: "never closed"},
		{in: `"a\"`, err: "never closed"},
		{in: `a\`, err: "lone"},
		{in: `a | b`, err: "no shell"},
		{in: `a; b`, err: "no shell"},
	} {
		got, err := splitWords(test.in)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: %q, %v; want an error with %q", test.in, got, err, test.err)
			}
			continue
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, %v; want %q", test.in, got, err, test.want)
		}
	}
}

// FuzzSplitWords: what was split can be quoted and split again.
func FuzzSplitWords(f *testing.F) {
	for _, s := range []string{"", "a b", `'a b'"c"\ d`, `"\`, `''`, "a\\\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		words, err := splitWords(s)
		if err != nil {
			return
		}
		again, err := splitWords(quoteWords(words))
		if err != nil || !slices.Equal(again, words) {
			t.Errorf("%q -> %q -> %q -> %q, %v", s, words, quoteWords(words), again, err)
		}
	})
}
