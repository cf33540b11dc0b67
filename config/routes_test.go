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

// A route whose path could not be read hides no other.
func TestMisreadRouteHidesNothing(t *testing.T) {
	_, errs := Parse("f.toml", []byte("[app.a]\nkind = \"demo\"\n[[route]]\npath = \"~ [\"\napp = \"a\"\n[[route]]\npath = \"/x/\"\napp = \"a\""),
		func(string) (string, bool) { return "", false })
	if len(errs) != 1 || errs[0].Key != "route.path" {
		t.Errorf("errors %v, want the one about the path", errs)
	}
}
