package supervisor

import (
	"maps"
	"strings"
	"testing"
)

func TestGuardLines(t *testing.T) {
	for _, c := range []struct {
		why, in string
		token   string
		groups  map[int]bool
	}{
		{"what lives and what does not", "=T\n+10\n+20\n-10\n", "T", map[int]bool{20: true}},
		{"a number cut off is another's", "=T\n+10\n+123", "T", map[int]bool{10: true}},
		{"never everybody, ourselves or process 1", "+0\n+-1\n+1\n", "", nil},
		{"nonsense", "\n+\n*3\n+x\n=\n", "", nil},
	} {
		token, groups := readGuardLines(strings.NewReader(c.in))
		if token != c.token || !maps.Equal(groups, c.groups) {
			t.Errorf("%s: %q, %v; want %q, %v", c.why, token, groups, c.token, c.groups)
		}
	}
}

func FuzzGuardLines(f *testing.F) {
	f.Add("=T\n+10\n-10\n+20\n")
	f.Add("\n+1\n+-1\n+0")
	f.Fuzz(func(t *testing.T, in string) {
		token, groups := readGuardLines(strings.NewReader(in))
		for pgid := range groups {
			if pgid <= 1 {
				t.Errorf("it would kill %d", -pgid)
			}
		}
		if strings.Contains(token, "\n") {
			t.Errorf("token %q", token)
		}
	})
}
