package machine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// unpack reads an archive as the kernel does, into lines "MODE NAME CONTENT".
func unpack(t *testing.T, b []byte) (list []string) {
	t.Helper()
	offset := 0
	take := func(n int) string {
		if offset+n > len(b) {
			t.Fatalf("the archive ends at %d, within an entry", len(b))
		}
		s := string(b[offset : offset+n])
		offset += n
		return s
	}
	pad := func() { offset += -offset & 3 }
	for {
		if magic := take(6); magic != "070701" {
			t.Fatalf("at %d stands %q", offset-6, magic)
		}
		var fields [13]int
		for i := range fields {
			n, err := strconv.ParseUint(take(8), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			fields[i] = int(n)
		}
		const mode, size, nameLength = 1, 6, 11
		name := strings.TrimSuffix(take(fields[nameLength]), "\x00")
		pad()
		content := take(fields[size])
		pad()
		if name == "TRAILER!!!" {
			return list
		}
		list = append(list, strings.TrimRight(fmt.Sprintf("%o %s %s", fields[mode], name, content), " "))
	}
}

func TestArchive(t *testing.T) {
	dir := t.TempDir()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755),
		os.WriteFile(filepath.Join(dir, "a", "b", "five"), []byte("12345"), 0o700),
		os.Symlink("b/five", filepath.Join(dir, "a", "link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	a := newArchive(&out)
	a.folder("/dev")
	a.file("/etc/x/config", 0o644, []byte("four"))
	if err := a.tree("/srv/a", filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	a.copy("/bin/link", filepath.Join(dir, "a", "link")) // what it leads to
	a.copy("/bin/link", filepath.Join(dir, "a", "link")) // once
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	want := "40755 dev|40755 etc|40755 etc/x|100644 etc/x/config four|40755 srv|40755 srv/a|40755 srv/a/b|100700 srv/a/b/five 12345|" +
		"120777 srv/a/link b/five|40755 bin|100700 bin/link 12345"
	if got := strings.Join(unpack(t, out.Bytes()), "|"); got != want {
		t.Errorf("in the archive are\n%s\nwant\n%s", got, want)
	}
	if err := newArchiveOf(filepath.Join(dir, "no such file")); err == nil {
		t.Error("a file that is not there is packed")
	}
}

func newArchiveOf(path string) error {
	a := newArchive(new(bytes.Buffer))
	a.copy("/x", path)
	return a.close()
}

func TestVerdict(t *testing.T) {
	m := Machine{Commands: [][]string{{"first"}, {"second", "-v"}}}
	for _, c := range []struct{ why, console, err string }{
		{"all is well", "ok\r\n\n" + saysEnded + "0\r\nok\n" + saysEnded + "0\r\n", ""},
		{"one fails", saysEnded + "0\n" + saysEnded + "2\n", `["second" "-v"]: exit status 2`},
		{"a panic of the kernel's", saysEnded + "0\nKernel panic\n", "the machine went off after 1 of 2 commands"},
		{"nothing", "", "the machine went off after 0 of 2 commands"},
	} {
		err := m.verdict(c.console)
		if got := fmt.Sprint(err); err == nil && c.err != "" || err != nil && got != c.err {
			t.Errorf("%s: %v, want %q", c.why, err, c.err)
		}
	}
}
