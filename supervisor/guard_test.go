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
		cgroup  string
		daemon  int
	}{
		{"what lives and what does not", "=T\n+10\n+20\n-10\n", "T", map[int]bool{20: true}, "", 0},
		{"a number cut off is another's", "=T\n+10\n+123", "T", map[int]bool{10: true}, "", 0},
		{"never everybody, ourselves or process 1", "+0\n+-1\n+1\n", "", nil, "", 0},
		{"a control group, and whose", "=T\n@123 /sys/fs/cgroup/a b\\x2dc\n", "T", nil, "/sys/fs/cgroup/a b\\x2dc", 123},
		{"a control group cut off", "@123 /sys/fs/cgr", "", nil, "", 0},
		{"no control group", "@0 /x\n@x /x\n@12 x\n@12\n@\n", "", nil, "", 0},
		{"nonsense", "\n+\n*3\n+x\n=\n", "", nil, "", 0},
	} {
		got := readGuardLines(strings.NewReader(c.in))
		if got.token != c.token || !maps.Equal(got.groups, c.groups) || got.cgroup != c.cgroup || got.daemon != c.daemon {
			t.Errorf("%s: %+v; want %+v", c.why, got, c)
		}
	}
}

func FuzzGuardLines(f *testing.F) {
	f.Add("=T\n+10\n-10\n+20\n")
	f.Add("\n+1\n+-1\n+0")
	f.Add("@12 /sys/fs/cgroup/frontd\n@0 /\n")
	f.Fuzz(func(t *testing.T, in string) {
		o := readGuardLines(strings.NewReader(in))
		for pgid := range o.groups {
			if pgid <= 1 {
				t.Errorf("it would kill %d", -pgid)
			}
		}
		if strings.Contains(o.token+o.cgroup, "\n") {
			t.Errorf("token %q, control group %q", o.token, o.cgroup)
		}
		if o.cgroup != "" && (o.daemon <= 0 || o.cgroup[0] != '/') {
			t.Errorf("control group %q of %d", o.cgroup, o.daemon)
		}
	})
}
