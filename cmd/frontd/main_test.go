package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/host"
	"github.com/frontd/frontd/internal/machine"
)

// The test binary is its own frontd and appworker: called by one of these
// names it is that program. "exe" is how the guard is called, by /proc/self/exe.
func TestMain(m *testing.M) {
	frontd := func() {
		engineOfTests = testedEngine()
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	testscript.Main(leakChecked{m}, map[string]func(){
		"frontd": frontd,
		"exe":    frontd,
		"appworker": func() {
			err := host.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr)
			if err != nil {
				fmt.Fprintf(os.Stderr, "appworker: %v\n", err)
			}
			os.Exit(host.ExitStatus(err))
		},
		"gofcgi":    goFCGI,
		"counting":  counting,
		"detached":  detached,
		"failing":   failing,
		"misbehave": misbehave,

		machine.InitName: machine.Main,
	})
}

// engineVariable in the environment of a test run names the engine that every
// frontd of it has, whatever is configured: "own" or "net/http". Not set: the
// configured one.
const engineVariable = "FRONTD_ENGINE"

func testedEngine() front.Engine { return front.Engine(os.Getenv(engineVariable)) }

// leakChecked also fails when the tests leave a goroutine behind.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	// This binary's names are first in PATH already. The system's programs come
	// next: its python3 is the one that the system's packages belong to.
	path := os.Getenv("PATH")
	for i := range len(path) {
		if path[i] == ':' {
			path = path[:i] + ":/usr/bin:/bin:/usr/sbin:/sbin" + path[i:]
			break
		}
	}
	os.Setenv("PATH", path)
	os.Unsetenv("VIRTUAL_ENV")
	code := m.M.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintf(os.Stderr, "goroutines were left behind: %v\n", err)
		return 1
	}
	return 0
}
