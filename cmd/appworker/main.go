// Command appworker is one worker process: it hosts one application and
// speaks FastCGI, on the listening socket at standard input or on an address.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/frontd/frontd/host"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run is appworker as a function. Signals are the worker's: TERM and INT let
// the requests in hand finish.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := host.Main(ctx, args, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "appworker: %v\n", err)
	}
	return host.ExitStatus(err)
}
