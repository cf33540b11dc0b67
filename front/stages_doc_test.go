package front

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docPiece is a piece of code in docs/stages.md: a file of its own, or a line
// after another one.
var docPiece = regexp.MustCompile("(?s)```go (file|line)=(\\S+)(?: after=\"([^\"]+)\")?\n(.*?)```")

// What docs/stages.md says it takes to write a stage is put over this
// package, and its test is run.
func TestStageOfTheDocs(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the package once more")
	}
	doc, err := os.ReadFile("../docs/stages.md")
	if err != nil {
		t.Fatal(err)
	}
	root := mustMake[string](t)(filepath.Abs(".."))
	dir := t.TempDir()
	replace := map[string]string{}
	lines := 0
	for i, m := range docPiece.FindAllStringSubmatch(string(doc), -1) {
		kind, name, after, code := m[1], m[2], m[3], m[4]
		if kind == "line" {
			lines++
			src := string(mustMake[[]byte](t)(os.ReadFile(filepath.Join(root, name))))
			before, rest, found := strings.Cut(src, after+"\n")
			if !found {
				t.Fatalf("%s has no line %q", name, after)
			}
			code = before + after + "\n" + code + rest
		}
		put := filepath.Join(dir, string(rune('a'+i))+".go")
		if err := os.WriteFile(put, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, name)] = put
	}
	if len(replace) != 4 || lines != 2 {
		t.Fatalf("%d pieces, %d of them lines", len(replace), lines)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, mustMake[[]byte](t)(json.Marshal(map[string]any{"Replace": replace})), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "test", "-overlay", overlay, "-count=1", "-v", "-run", "^TestMaintenance$", ".").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestMaintenance") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Every file that the page names is there.
func TestStageDocsNameFiles(t *testing.T) {
	doc, err := os.ReadFile("../docs/stages.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`((?:front|config|configs|cmd|worker)/[a-z_/]+\\.[a-z]+)`").FindAllStringSubmatch(string(doc), -1)
	if len(names) < 15 {
		t.Fatalf("only %d names", len(names))
	}
	for _, n := range names {
		if _, err := os.Stat("../" + n[1]); err != nil && n[1] != "front/maintenance.go" {
			t.Error(err)
		}
	}
}
