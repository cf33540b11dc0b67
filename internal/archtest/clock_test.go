package archtest

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// wallClock is where a time is taken apart, and so loses what Go measures by: the
// clock that nobody sets. What is left moves with the clock on the wall, forth and
// back. Each place says why that does no harm; bounds of time are none of them.
var wallClock = map[string]string{
	"http1/answer.go":               "a text is made again when it is another second",
	"front/accesslog.go":            "likewise",
	"front/requestid.go":            "the order of ids, which are different by chance",
	"front/static.go":               "a file's time, in its ETag",
	"front/tls.go":                  "when the files were looked at; a clock that was set back is seen",
	"cmd/frontd/dev.go":             "tells this process from the one before",
	"cmd/frontd/dev_watch.go":       "a file's time: another one is a change",
	"notice/webhook.go":             "said to the receiver",
	"session/record.go":             "outlives the process; see TestClockIsSetBack there",
	"session/embedded/file.go":      "likewise; an entry that lives too long costs room",
	"app/wsgi/frontd_wsgi/fresh.py": "a file's time, in development",
}

var (
	goWall     = regexp.MustCompile(`\.Unix(Nano|Milli|Micro)?\(\)|\btime\.\w+\(.*\)\.Round\(0\)|\bCLOCK_REALTIME\b`)
	pythonWall = regexp.MustCompile(`\btime\.time(_ns)?\(\)|from time import .*\btime\b|datetime\.now\(`)
)

// No timeout, no age and no pause goes by the clock on the wall.
func TestWallClockIsNamed(t *testing.T) {
	found := map[string]string{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".git") || d.Name() == "testdata" || name == "bench" || name == "internal") {
			return fs.SkipDir
		}
		wall := goWall
		switch {
		case strings.HasSuffix(name, ".py"):
			wall = pythonWall
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(path)
		if m := wall.Find(b); m != nil {
			found[name] = string(m)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, what := range found {
		if wallClock[name] == "" {
			t.Errorf("%s has %s: by that clock an hour may pass in a moment, or never; if it does no harm, say why in wallClock", name, what)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wallClock)) {
		if found[name] == "" {
			t.Errorf("%s takes no time apart any more", name)
		}
	}
}
