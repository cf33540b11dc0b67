package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// A check tries as the application's user what a start would: that the user is there
// does not mean that it gets at the files.
func TestCheckAsTheUser(t *testing.T) {
	counterpart.NeedRoot(t, "another user's rights are for root to try")
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "shut"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "f.toml")
	for folder, want := range map[string]string{
		"shut": "f.toml:1:6: app.a: uid 65534 cannot enter the working directory " + filepath.Join(dir, "shut") + ": permission denied",
		".":    "f.toml: ok, 1 app, 1 route",
	} {
		text := "[app.a]\nkind = \"exec\"\ntarget = \"/bin/true\"\nuser = \"nobody\"\ndirectory = \"" + folder + "\"\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := command(t, dir, "check", "-c", "f.toml").CombinedOutput()
		if !strings.Contains(string(out), want) || (err == nil) != (folder == ".") {
			t.Errorf("%s: %v\n%s\nwant %s", folder, err, out, want)
		}
	}
}
