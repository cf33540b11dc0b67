package config

import "testing"

func TestMount(t *testing.T) {
	const apps = "[app.p]\nkind = \"php\"\ntarget = \".\"\n[app.w]\nkind = \"wsgi\"\ntarget = \"a\"\n"
	tests := []struct{ route, mount string }{
		{`path = "/wiki/"` + "\napp = \"p\"", "/wiki"},
		{`path = "/wiki/"` + "\napp = \"p\"\nmount = \"/\"", ""},
		{`path = "/"` + "\napp = \"p\"", ""},
		{`path = "/w/"` + "\napp = \"w\"", ""},
		{`path = "/w/"` + "\napp = \"w\"\nmount = \"/w/\"", "/w"},
		{`path = "/w/upload"` + "\napp = \"w\"\nmount = \"/w\"", "/w"},
	}
	for _, tt := range tests {
		c, errs := Parse("f.toml", []byte(apps+"[[route]]\n"+tt.route), func(string) (string, bool) { return "", false })
		if len(errs) > 0 {
			t.Errorf("%q: %v", tt.route, errs)
			continue
		}
		if got := c.Routes[0].Mount; got != tt.mount {
			t.Errorf("%q: mounted at %q, want %q", tt.route, got, tt.mount)
		}
	}
	for _, bad := range []string{
		`path = "/w/"` + "\napp = \"w\"\nmount = \"/x\"", `path = "~ a"` + "\napp = \"w\"\nmount = \"/a\"",
		`path = "/w/"` + "\nroot = \".\"\nmount = \"/w\"", `path = "/w/"` + "\napp = \"w\"\nmount = \"w\"",
	} {
		if _, errs := Parse("f.toml", []byte(apps+"[[route]]\n"+bad), func(string) (string, bool) { return "", false }); len(errs) == 0 {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// Where paths without a file go: as the route says, or its app, or its kind.
func TestFallback(t *testing.T) {
	const apps = `
[app.p]
kind = "php"
target = "."
[app.q]
kind = "php"
target = "."
fallback = "/app.php"
[app.off]
kind = "php"
target = "."
fallback = ""
[app.f]
kind = "folder"
target = "."
[app.w]
kind = "wsgi"
target = "w"
[[route]]
`
	for route, want := range map[string]string{
		"app = \"p\"": "/index.php", "app = \"q\"": "/app.php", "app = \"off\"": "", "app = \"f\"": "",
		"app = \"q\"\nfallback = \"/other.php\"": "/other.php", "app = \"f\"\nfallback = \"/in/dex.py\"": "/in/dex.py",
		"root = \".\"\nfallback = \"/index.html\"": "/index.html", "app = \"w\"\nroot = \".\"": "",
	} {
		c, errs := Parse("f.toml", []byte(apps+route), noEnv)
		if len(errs) > 0 {
			t.Errorf("%q: %v", route, errs)
			continue
		}
		if got := c.Fallback(c.Routes[0]); got != want {
			t.Errorf("%q: %q, want %q", route, got, want)
		}
	}
}

// A route whose path could not be read hides no other.
func TestMisreadRouteHidesNothing(t *testing.T) {
	_, errs := Parse("f.toml", []byte("[app.a]\nkind = \"demo\"\n[[route]]\npath = \"~ [\"\napp = \"a\"\n[[route]]\npath = \"/x/\"\napp = \"a\""),
		func(string) (string, bool) { return "", false })
	if len(errs) != 1 || errs[0].Key != "route.path" {
		t.Errorf("errors %v, want the one about the path", errs)
	}
}
