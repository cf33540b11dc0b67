package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"site", "static"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{"python": 0o700, "file": 0o600} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	parse := func(text string) *Config {
		t.Helper()
		c, errs := Parse(filepath.Join(dir, "f.toml"), []byte(text), noEnv)
		if errs != nil {
			t.Fatal(errs)
		}
		return c
	}
	good := parse(`
app.a = { kind = "wsgi", target = "a", directory = "site", python = "./python" }
app.b = { kind = "php", target = "site", fallback = "" }
app.d = { kind = "folder", target = ".", fallback = "/python" }
app.c = { kind = "cgi", target = "python" }
route = [ { path = "/static/", root = "static" }, { path = "/b/", app = "b" }, { path = "/c/", app = "c" }, { path = "/d/", app = "d", fallback = "/file" }, { app = "a", root = "static" } ]`)
	if errs := good.CheckFiles(); errs != nil {
		t.Errorf("all is there, and yet:\n%v", errs)
	}
	bad := parse(`server.tls = { certificate = "c", key = "k" }
app.a = { kind = "wsgi", target = "a", directory = "none", python = "./file" }
app.b = { kind = "php", target = "file" }
app.c = { kind = "cgi", target = "none" }
app.d = { kind = "folder", target = "site", fallback = "/index.py" }
app.e = { kind = "fcgi", target = "unix:/x", directory = "site", fallback = "/app.php" }
app.f = { kind = "cgi", target = "file" }
route = [ { path = "/f/", app = "f" }, { path = "/d/", app = "d", fallback = "/other.py" }, { path = "/e/", app = "e" }, { path = "/static/", root = "file" }, { path = "/b/", app = "b" }, { path = "/c/", app = "c" }, { app = "a" } ]`)
	want := []string{
		"1:8: server.tls: open " + dir + "/c: no such file or directory",
		"2:40: app.a.directory: " + dir + "/none: no such file or directory",
		"2:60: app.a.python: exec: \"" + dir + "/file\": permission denied",
		"3:25: app.b.target: " + dir + "/file is not a folder",
		"4:25: app.c.target: " + dir + "/none: no such file or directory",
		"5:45: app.d.fallback: " + dir + "/site/index.py: no such file or directory",
		"6:66: app.e.fallback: " + dir + "/site/app.php: no such file or directory",
		"7:25: app.f.target: " + dir + "/file is not executable: chmod +x it",
		"8:67: route.fallback: " + dir + "/site/other.py: no such file or directory",
		"8:143: route.root: " + dir + "/file is not a folder",
	}
	errs := bad.CheckFiles()
	for i := range max(len(errs), len(want)) {
		switch {
		case i >= len(errs):
			t.Errorf("missing: %s", want[i])
		case i >= len(want):
			t.Errorf("too much: %v", errs[i])
		case errs[i].Error() != dir+"/f.toml:"+want[i]:
			t.Errorf("error %d is\n%v, want\n%s", i, errs[i], want[i])
		}
	}
}
