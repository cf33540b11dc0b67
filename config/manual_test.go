package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/frontd/frontd/configs"
)

func noEnv(string) (string, bool) { return "", false }

// uncommented is the manual with every "#name = value" and "#[table]" in use.
func uncommented(t *testing.T) []byte {
	t.Helper()
	setting := regexp.MustCompile(`(?m)^#(\[|[A-Za-z_]+ = )`)
	b := setting.ReplaceAll(configs.Manual(), []byte("$1"))
	if n := len(setting.FindAll(configs.Manual(), -1)); n < 40 {
		t.Fatalf("only %d commented settings in the manual", n)
	}
	return b
}

func TestManualIsValid(t *testing.T) {
	for name, data := range map[string][]byte{"as it is": InitFile(), "with everything in use": uncommented(t)} {
		t.Run(name, func(t *testing.T) {
			c, errs := Parse("frontd.toml", data, noEnv)
			if errs != nil {
				t.Fatal(errs)
			}
			if c.App("hello").Kind != KindDemo {
				t.Errorf("app.hello is %+v", c.App("hello"))
			}
		})
	}
}

// The manual's settings "as it is" are the defaults, so those that say
// "Default" and stand there commented can be compared with Default.
func TestManualShowsDefaults(t *testing.T) {
	c, errs := Parse("/etc/frontd/frontd.toml", uncommented(t), noEnv)
	if errs != nil {
		t.Fatal(errs)
	}
	d := Default()
	for _, l := range linesOf(serverKeys, "") {
		if l.name == "control" || l.name == "cgroup" || l.name == "trusted_proxies" || strings.HasPrefix(l.name, "tls.") || l.name == "cache.max_age" || l.name == "session.domain" || l.name == "session.file" {
			continue // no default that could be shown
		}
		if got, want := l.text(&c.Server), l.text(&d.Server); got != want {
			t.Errorf("the manual shows server.%s = %s, the default is %s", l.name, got, want)
		}
	}
	for _, l := range linesOf(logKeys, "") {
		if got, want := l.text(&c.Log), l.text(&d.Log); l.name != "file" && got != want {
			t.Errorf("the manual shows log.%s = %s, the default is %s", l.name, got, want)
		}
	}
}

func TestManualAndSchemaHaveTheSameKeys(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	want := schemaKeys(schema, "")
	root, broken := parseTree(uncommented(t), func(pos Pos, key, reason string) { t.Error(pos, key, reason) })
	if broken {
		t.Fatal("not TOML")
	}
	got := treeKeys(root, nil)
	slices.Sort(got)
	got = slices.Compact(got)
	for _, k := range want {
		if !slices.Contains(got, k) {
			t.Errorf("%s is in the schema and not in configs/frontd.toml", k)
		}
	}
	for _, k := range got {
		if !slices.Contains(want, k) {
			t.Errorf("%s is in configs/frontd.toml and not in the schema", k)
		}
	}
	if len(want) < 40 {
		t.Errorf("the schema has only %d keys: %v", len(want), want)
	}
}

func schemaKeys(o map[string]any, prefix string) []string {
	var keys []string
	if items, ok := o["items"].(map[string]any); ok {
		return schemaKeys(items, prefix)
	}
	if any, ok := o["additionalProperties"].(map[string]any); ok && any["properties"] != nil {
		return schemaKeys(any, prefix+".NAME")
	}
	properties, _ := o["properties"].(map[string]any)
	for name, p := range properties {
		path := strings.TrimPrefix(prefix+"."+name, ".")
		inner := schemaKeys(p.(map[string]any), path)
		if inner == nil {
			keys = append(keys, path)
		}
		keys = append(keys, inner...)
	}
	return keys
}

func treeKeys(n *node, keys []string) []string {
	for _, item := range n.items {
		if item.kind == table {
			keys = treeKeys(item, keys)
		}
	}
	for _, e := range n.entries {
		path := e.value.path
		if parts := strings.Split(path, "."); parts[0] == "app" && len(parts) > 1 {
			parts[1] = "NAME"
			path = strings.Join(parts, ".")
		}
		tables := len(e.value.items) > 0 && e.value.items[0].kind == table
		if isFreeTable(path) || e.value.kind != table && !tables {
			keys = append(keys, path)
			continue
		}
		keys = treeKeys(e.value, keys)
	}
	return keys
}

// isFreeTable: what is in it is named by who writes it.
func isFreeTable(path string) bool {
	return regexp.MustCompile(`^app\.NAME\.(env|settings)$|\.handlers$|headers\.(set|add)$|^webhook\.headers$|\.error_page$`).MatchString(path)
}

func TestSamplesAreValid(t *testing.T) {
	files, err := filepath.Glob("../configs/*.toml")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			c, errs := Parse(name, data, noEnv)
			if errs != nil {
				t.Fatal(errs)
			}
			if c.Warnings != nil {
				t.Error(c.Warnings)
			}
		})
	}
}
