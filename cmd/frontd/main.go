// Command frontd accepts HTTP and forwards each request over FastCGI to a
// pool of worker processes, which it starts, watches and restarts.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the linker for a release.
var version = "0.1.0-dev"

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// Exit statuses, fixed by the contract.
const (
	exitOK     = 0 // stopped as asked
	exitFailed = 1
	exitUsage  = 2 // wrong usage or configuration
)

// run is frontd as a function.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var said *saidError
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &said):
		return said.status
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "frontd: %s\n", visibleText(err.Error()))
		if usage.cmd != nil {
			fmt.Fprintf(stderr, "Run '%s --help' for what it takes.\n", usage.cmd.CommandPath())
		}
		return exitUsage
	}
	fmt.Fprintf(stderr, "frontd: %s\n", visibleText(err.Error())) // with what workers printed
	return exitFailed
}

// A usageError is wrong usage or configuration.
type usageError struct {
	err error
	cmd *cobra.Command // whose help would tell; nil where it would not
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...), cmd}
}

// A saidError was told to the user already.
type saidError struct{ status int }

func (e *saidError) Error() string { return fmt.Sprintf("exit status %d", e.status) }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "frontd",
		Short: "HTTP in front, FastCGI workers behind, supervised",
		Long: "frontd accepts HTTP and forwards each request over FastCGI to a pool of worker\n" +
			"processes that each host an application. It starts them, watches them, restarts them.",
		SilenceUsage: true, SilenceErrors: true,
		// cobra's own check of an unknown command is no usage error of ours.
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usagef(cmd, "unknown command %q%s", args[0], didYouMean(cmd, args[0]))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{plainFlag(err), cmd} })
	root.AddCommand(
		serveCommand(), poolCommand(), checkCommand(), configCommand(), importCommand(),
		statusCommand(), workersCommand(), topCommand(), incidentsCommand(), reloadCommand(), restartCommand(), scaleCommand(), upgradeCommand(), stopCommand(),
		requestCommand(), versionCommand(),
		appworkerCommand(), guardCommand(), launchCommand(),
	)
	strictCompletion(root)
	return root
}

func didYouMean(cmd *cobra.Command, arg string) string {
	cmd.SuggestionsMinimumDistance = 2 // cobra's own default, which this one call of it leaves out
	if near := cmd.SuggestionsFor(arg); len(near) > 0 {
		return fmt.Sprintf(", did you mean %q?", near[0])
	}
	return ""
}

// strictCompletion makes a shell that cobra does not know a usage error.
func strictCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Args = usageArgs(cobra.NoArgs)
			cmd.RunE = func(cmd *cobra.Command, _ []string) error {
				return usagef(cmd, "which shell: bash, zsh, fish or powershell")
			}
		}
	}
}

// usageArgs makes arguments that check refuses a usage error. What cobra says of
// them counts them, or takes one too many for a command: the form says more.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check(cmd, args) == nil {
			return nil
		}
		if len(args) > 0 && cmd.HasAvailableSubCommands() {
			return usagef(cmd, "%s: unknown command %q%s", cmd.Name(), args[0], didYouMean(cmd, args[0]))
		}
		given := "no arguments"
		if len(args) > 0 {
			given = strings.Trim(fmt.Sprintf("%q", args), "[]")
		}
		return usagef(cmd, "%s: want %s%s", given, cmd.CommandPath(), strings.TrimPrefix(cmd.Use, cmd.Name()))
	}
}

// plainFlag says what a flag takes in the place of how Go failed to parse it.
func plainFlag(err error) error {
	number, ok := errors.AsType[*strconv.NumError](err)
	if !ok {
		return err
	}
	want := "want a number"
	if errors.Is(number, strconv.ErrRange) {
		want = "too large"
	}
	return errors.New(strings.TrimSuffix(err.Error(), number.Error()) + want)
}
