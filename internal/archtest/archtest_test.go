// Package archtest holds the directions between packages, and what
// ARCHITECTURE.md says of the tree.
package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/frontd/frontd/"

// allowed says what each room may import beyond the standard library: rooms
// of this module by their path, libraries by their module's path.
var allowed = map[string][]string{
	"fcgi":                 {},
	"supervisor":           {},
	"internal/memnet":      {},
	"internal/gcpace":      {},
	"worker":               {"fcgi", "internal/gcpace"},
	"worker/session":       {"fcgi", "session"},
	"session":              {},
	"session/embedded":     {"session", "go.etcd.io/bbolt"},
	"session/redis":        {"session", "github.com/redis/go-redis"},
	"app":                  {"app/wsgi"},
	"app/demo":             {},
	"app/cgi":              {},
	"app/wsgi":             {},
	"http1":                {},
	"front":                {"fcgi", "http1", "incident", "session", "github.com/klauspost/compress", "golang.org/x/crypto"},
	"metrics":              {"github.com/prometheus/client_golang"},
	"incident":             {},
	"notice":               {"incident", "github.com/wneessen/go-mail"},
	"importer":             {},
	"config":               {"configs", "github.com/pelletier/go-toml/v2"},
	"configs":              {},
	"deploy":               {},
	"host":                 {"app", "app/demo", "app/cgi", "worker", "worker/session"},
	"cmd/appworker":        {"host"},
	"cmd/frontd":           nil, // everything
	"internal/archtest":    {},
	"internal/elastic":     {},
	"internal/counterpart": {},
	"internal/machine":     {},
	"internal/terminal":    {},
	"bench":                nil,
}

// gatewayOnly: within front, only the gateway knows FastCGI.
var gatewayOnly = regexp.MustCompile(`^gateway[a-z_]*\.go$`)

type pkg struct {
	ImportPath string
	Dir        string
	Standard   bool
	GoFiles    []string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

func TestDirections(t *testing.T) {
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		may, known := allowed[room]
		if !known {
			t.Errorf("%s is no room of the house: name it here and in ARCHITECTURE.md", room)
			continue
		}
		if may == nil {
			continue
		}
		for _, imp := range p.Imports {
			if own, ok := strings.CutPrefix(imp, module); ok {
				if !slices.Contains(may, own) {
					t.Errorf("%s imports %s", room, own)
				}
			} else if strings.Contains(strings.Split(imp, "/")[0], ".") && !hasModule(may, imp) {
				t.Errorf("%s imports %s: only the standard library is allowed", room, imp)
			}
		}
	}
}

func hasModule(may []string, imp string) bool {
	return slices.ContainsFunc(may, func(m string) bool { return imp == m || strings.HasPrefix(imp, m+"/") })
}

func TestFrontKnowsFastCGIAtItsGatewayOnly(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath != module+"front" {
			continue
		}
		for _, name := range p.GoFiles {
			src, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(src, []byte(`"`+module+`fcgi"`)) && !gatewayOnly.MatchString(name) {
				t.Errorf("front/%s imports fcgi", name)
			}
		}
	}
}

// Every file or folder that ARCHITECTURE.md names exists.
func TestArchitectureNames(t *testing.T) {
	root := filepath.Join("..", "..")
	doc, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(doc, []byte("\n")); n > 150 {
		t.Errorf("ARCHITECTURE.md has %d lines, at most 150", n)
	}
	names := regexp.MustCompile("`([a-z][a-zA-Z0-9_.-]*/[a-zA-Z0-9_./-]*)`").FindAllSubmatch(doc, -1)
	if len(names) < 20 {
		t.Fatalf("only %d names found: the expression does not fit the document", len(names))
	}
	for _, m := range names {
		if _, err := os.Stat(filepath.Join(root, string(m[1]))); err != nil {
			t.Errorf("ARCHITECTURE.md names %s: %v", m[1], err)
		}
	}
}
