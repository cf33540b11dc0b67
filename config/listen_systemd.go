package config

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// firstPassed is SD_LISTEN_FDS_START of sd_listen_fds(3).
const firstPassed = 3

// missingSystemd says why there is no socket of that name to take.
func missingSystemd(name string) error {
	if _, err := passedSocket(name, os.Getpid(), os.Getenv); err != nil {
		return err
	}
	return fmt.Errorf("systemd passed one socket of this name, and it is in use already")
}

// passedSocket finds the descriptor of that name, as sd_listen_fds_with_names(3) does.
func passedSocket(name string, pid int, env func(string) string) (int, error) {
	if env("LISTEN_PID") != strconv.Itoa(pid) {
		return 0, fmt.Errorf("systemd passed no socket to this process: start the .socket unit before the service (LISTEN_PID is %q)", env("LISTEN_PID"))
	}
	n, err := strconv.Atoi(env("LISTEN_FDS"))
	if err != nil || n < 1 {
		return 0, fmt.Errorf("systemd passed no socket (LISTEN_FDS is %q)", env("LISTEN_FDS"))
	}
	names := strings.Split(env("LISTEN_FDNAMES"), ":")
	for i := range min(n, len(names)) {
		if names[i] == name {
			return firstPassed + i, nil
		}
	}
	return 0, fmt.Errorf("systemd passed no socket of this name, only %s: see FileDescriptorName= in the .socket unit", quoteList(names))
}
