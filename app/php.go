package app

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// phpSettings are given to php-cgi with -d, so they hold over php.ini; a
// script can still change display_errors with ini_set.
var phpSettings = []string{
	// With cgi.fix_pathinfo=0 PATH_TRANSLATED, where there is one, would be taken
	// for the script instead of SCRIPT_FILENAME (sapi/cgi/cgi_main.c, init_request_info).
	"cgi.discard_path=1",
	// E: without it $_ENV stays empty, and with it the app's env.
	"variables_order=EGPCS",
	"log_errors=1", // to FCGI_STDERR, unless php.ini has an error_log
}

// fixPathInfo is the setting cgi.fix_pathinfo. With 1, PHP's default, a
// SCRIPT_FILENAME that does not exist is cut at its slashes until a file is
// found, of any name: a request for /upload.jpg/x.php runs the upload. php-fpm
// guards against it with security.limit_extensions, which php-cgi lacks. With 0
// it is a 404, but PHP_SELF is PATH_INFO instead of the script's name and
// PATH_INFO. So it is 1 only where each script was found to be a file, when
// none of the folders above it is one.
func fixPathInfo(found bool) string { return "cgi.fix_pathinfo=" + onOff(found) }

// phpCommand runs php-cgi: one process, one request at a time. It is told not
// to end after a number of requests (500 by its default), because recycling is
// the supervisor's, and not to fork children, which the supervisor would not
// see. cgi.force_redirect does not matter: php-cgi looks at it only when it
// runs as plain CGI.
func (a App) phpCommand(o Options) (Command, error) {
	path, err := findPHP(filepath.SplitList(os.Getenv("PATH")))
	if err != nil {
		return Command{}, err
	}
	var args []string
	// What shows an error itself answers 200 with it: who asks for tracebacks has a
	// page of its own for them, and the notices in its log.
	for _, s := range append(slices.Clip(phpSettings), fixPathInfo(o.Found), "display_errors="+onOff(o.Dev && !o.Tracebacks)) {
		args = append(args, "-d", s)
	}
	return Command{
		Path: path, Args: args,
		Env:         []string{"PHP_FCGI_CHILDREN=0", "PHP_FCGI_MAX_REQUESTS=0"},
		Concurrency: 1,
	}, nil
}

func onOff(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// findPHP looks for php-cgi, then for one with a version in its name, as
// Debian (php-cgi8.2), Alpine (php-cgi83) and others (php8.2-cgi) call it;
// of several the newest.
func findPHP(dirs []string) (string, error) {
	for _, dir := range dirs {
		if path, err := exec.LookPath(filepath.Join(dir, "php-cgi")); err == nil {
			return filepath.Abs(path)
		}
	}
	best := ""
	for _, dir := range dirs {
		for _, pattern := range []string{"php-cgi[0-9]*", "php[0-9]*-cgi"} {
			found, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				continue // a $PATH with a [ in it: nothing can be found there by pattern
			}
			for _, path := range found {
				fi, err := os.Stat(path)
				if err == nil && executable(fi) && (best == "" || phpVersion(path) > phpVersion(best)) {
					best = path
				}
			}
		}
	}
	if best == "" {
		return "", errors.New("looked for php-cgi, php-cgi8* and php8*-cgi in $PATH: none is there" +
			"\n(Debian and Ubuntu: apt install php-cgi; Fedora: dnf install php-cli; Alpine: apk add php83-cgi)")
	}
	return filepath.Abs(best)
}

// phpVersion turns the digits of a name into one number, major version
// first: php-cgi8.2, php-cgi82 and php8.2-cgi are 802; php-cgi8.10 is 810.
func phpVersion(path string) int {
	digits := strings.Trim(filepath.Base(path), "ph-cgi")
	major, minor, _ := strings.Cut(digits, ".")
	if minor == "" && len(major) > 1 {
		major, minor = major[:1], major[1:]
	}
	n := func(s string) (v int) {
		for _, c := range s {
			if c < '0' || c > '9' || v > 1000 {
				break
			}
			v = v*10 + int(c-'0')
		}
		return v
	}
	return n(major)*100 + n(minor)
}
