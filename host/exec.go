package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/frontd/frontd/app"
)

// become replaces this process with the program that hosts a, which takes
// the socket on descriptor 0. Nothing of ours stays in between, and nobody
// removes a unix socket's file at the end: the next to listen there does.
func become(ctx context.Context, a app.App, args arguments) error {
	cmd, err := a.Command(app.Options{Threads: args.threads, Python: args.python, Dev: args.dev})
	if err != nil {
		return err
	}
	release := func() error { return nil }
	if args.listen != "" {
		l, err := listen(ctx, args.listen)
		if err != nil {
			return err
		}
		release = l.Close
		if err := l.toStandardInput(); err != nil {
			return errors.Join(err, release())
		}
	}
	return errors.Join(replace(cmd), release())
}

// replace runs cmd in place of this process. It returns only if it cannot.
func replace(cmd app.Command) error {
	// Go's sockets do not block; FastCGI programs expect one that does.
	if err := syscall.SetNonblock(0, false); err != nil {
		return fmt.Errorf("make the socket blocking: %w", err)
	}
	if err := os.Chdir(cmd.Dir); err != nil {
		return err
	}
	argv := append([]string{filepath.Base(cmd.Path)}, cmd.Args...)
	err := syscall.Exec(cmd.Path, argv, environment(os.Environ(), cmd.Env))
	return fmt.Errorf("run %s: %w", cmd.Path, err)
}

// environment adds to base. Of a name that is there twice getenv finds the
// first, so base must not keep it.
func environment(base, additions []string) []string {
	set := make(map[string]bool)
	for _, v := range additions {
		name, _, _ := strings.Cut(v, "=")
		set[name] = true
	}
	env := slices.DeleteFunc(slices.Clone(base), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return set[name]
	})
	return append(env, additions...)
}
