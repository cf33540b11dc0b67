package main

import (
	"bufio"
	"net/http"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// On a real terminal the requests are short lines in colour, or without it
// where NO_COLOR asks for that.
func TestDevLogOnATerminal(t *testing.T) {
	for env, want := range map[string]string{
		"TERM=xterm": "^[0-9:.]{12} \x1b\\[32m200\x1b\\[0m \x1b\\[2m +[0-9.]+m?s\x1b\\[0m GET /stream\\?a=1\r\n$",
		"NO_COLOR=1": "^[0-9:.]{12} 200  +[0-9.]+m?s GET /stream\\?a=1\r\n$",
	} {
		t.Run(env, func(t *testing.T) {
			dir := t.TempDir()
			master, slave := openTerminal(t)
			cmd := command(t, dir, "serve", "demo", "--dev", "-l", "127.0.0.1:0")
			cmd.Env = append(cmd.Env, env)
			cmd.Stderr = slave
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer time.AfterFunc(10*patience, func() { cmd.Process.Kill() }).Stop()
			slave.Close() // the last of it is the program's: its end ends the reading
			terminal := bufio.NewReader(master)
			await := func(pattern string) []string {
				t.Helper()
				re, seen := regexp.MustCompile(pattern), ""
				for {
					line, err := terminal.ReadString('\n')
					if m := re.FindStringSubmatch(line); m != nil {
						return m
					}
					if seen += line; err != nil {
						t.Fatalf("no line like %q: %v, %q", pattern, err, seen)
					}
				}
			}
			url := await(`frontd serves (http://[^ \r]+)`)[1]
			a, err := ask(t.Context(), newClient(t), http.MethodGet, url+"/stream?a=1", "", nil)
			if err != nil || a.status != http.StatusOK {
				t.Fatalf("%d, %v", a.status, err)
			}
			await(want)
			cmd.Process.Signal(syscall.SIGTERM)
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}
