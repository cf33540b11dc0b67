package deploy

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"go.uber.org/goleak"
)

// role is the variable by which this binary runs itself as something else.
const role = "FRONTD_DEPLOY_ROLE"

// init keeps what runs as "boot" on its first thread: the death signal that it
// was started with is that thread's, and is lost if another one calls execve.
func init() {
	if os.Getenv(role) == "boot" {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(role) {
	case "":
		goleak.VerifyTestMain(m)
		return
	case "boot":
		err = bootMain()
	case "load":
		err = loadMain(os.Stdin, os.Stdout, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
