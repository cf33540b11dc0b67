package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/frontd/frontd/host"
	"github.com/frontd/frontd/supervisor"
)

// Names under which frontd runs itself again.
const (
	appworkerName = "appworker"
	guardName     = "guard"
	launchName    = "launch"
)

// appworkerCommand makes frontd one worker, so that it runs from one file.
func appworkerCommand() *cobra.Command {
	return &cobra.Command{
		Use: appworkerName, Hidden: true, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			nameProcess(appworkerName)
			err := host.Main(cmd.Context(), args, cmd.OutOrStdout(), cmd.ErrOrStderr())
			if host.ExitStatus(err) == exitUsage {
				return &usageError{err: err}
			}
			return err
		},
	}
}

// guardCommand is the process that leaves no worker behind when frontd dies.
func guardCommand() *cobra.Command {
	return &cobra.Command{
		Use: guardName, Hidden: true, Args: cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			nameProcess("frontd-guard")
			supervisor.GuardMain()
		},
	}
}

// launchCommand is what becomes a worker that has a user or limits of its own.
func launchCommand() *cobra.Command {
	return &cobra.Command{
		Use: launchName, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			supervisor.LaunchMain()
			return &saidError{exitFailed} // it has told frontd why
		},
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "frontd %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// self is the path of this program, which outlives its file's replacement on
// Linux: a worker restarted during an upgrade is still ours.
func self() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// nameProcess says what this process is, to ps, top and pgrep, which would see
// "exe". Elsewhere than on Linux it is the name of the file.
func nameProcess(name string) {
	if f, err := os.OpenFile("/proc/self/comm", os.O_WRONLY, 0); err == nil {
		f.WriteString(name)
		f.Close()
	}
}
