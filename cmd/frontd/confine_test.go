package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/frontd/frontd/config"
)

// Applications that run as root for want of a user are named, in one line;
// those of others, and with nobody's rights to give away, are not.
func TestRootIsTold(t *testing.T) {
	apps := []*config.App{
		{Name: "shop", Kind: config.KindWSGI}, {Name: "blog", Kind: config.KindPHP, User: "blog"},
		{Name: "far", Kind: config.KindFCGI}, {Name: "bin", Kind: config.KindCGI},
	}
	for euid, want := range map[int]string{0: `apps="shop, bin"`, 1000: ""} {
		var out bytes.Buffer
		log, err := openLogbook(config.Log{Format: "text", Level: "info"}, &out, false)
		if err != nil {
			t.Fatal(err)
		}
		sayRoot(log, euid, apps)
		log.Close()
		lines := strings.Count(out.String(), "\n")
		if got := out.String(); want == "" && got != "" || want != "" && (lines != 1 || !strings.Contains(got, want)) {
			t.Errorf("user %d: %q, want %q", euid, got, want)
		}
	}
}
