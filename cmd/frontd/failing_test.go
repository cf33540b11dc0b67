package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
	"github.com/frontd/frontd/worker"
)

// failing is a Go application that panics.
func failing() {
	err := worker.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/go/panic":
			priceOf(nil, r.FormValue("item"))
		case "/go/odd": // as an exception that nobody has seen before
			odd := spell(r.FormValue("n"))
			fmt.Fprintf(worker.Stderr(r.Context()), "Traceback (most recent call last):\n%s  File \"/srv/%[2]s.py\", line 1, in %[2]s\n    %[2]s()\nshop.%[2]s: %[2]s\n",
				strings.Repeat("  File \"/srv/shop.py\", line 7, in view\n    return cart()\n", 30), odd)
			w.WriteHeader(http.StatusInternalServerError)
		case "/go/bare":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			fmt.Fprintln(w, "go is well")
		}
	}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// spell makes a word of a number: errors that only differ in digits may be the same.
func spell(digits string) string {
	return strings.Map(func(r rune) rune { return 'a' + r - '0' }, digits)
}

func priceOf(prices map[string]*int, item string) int { return *prices[item] }

const failingFlask = `
import ctypes, faulthandler, resource, time
from flask import Flask, request
faulthandler.enable()
app = Flask(__name__)

class SoldOut(Exception):
    pass

def take(item, password):
    raise SoldOut("no more of " + item)

@app.route("/raise", methods=["GET", "POST"])
def fails():
    try:
        {}["price"]
    except KeyError as e:
        take(request.values["item"], request.values["password"])

@app.get("/segfault")
def segfault():
    ctypes.string_at(0)

@app.get("/memory")
def memory():
    size = 1 << 28
    with open("/proc/self/statm") as f:
        used = int(f.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + size // 2, resource.RLIM_INFINITY))
    try:
        return str(len(bytearray(size)))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

def wait_for_the_bank():
    time.sleep(10000)

@app.get("/slow")
def slow():
    wait_for_the_bank()

@app.get("/")
def index():
    return "flask is well\n"
`

const failingPHP = `<?php
function total(array $cart) {
    return vat($cart);
}
total(["item" => 7]);
`

const failingPerl = `#!/usr/bin/perl
use strict;
use FCGI;
my $request = FCGI::Request();
sub pay {
    my $card = shift;
    die "no funds";
}
while ($request->Accept() >= 0) {
    pay("visa") if $ENV{REQUEST_URI} =~ m{^/perl/die};
    print "Content-Type: text/plain\r\n\r\nperl is well\n";
}
`

const failingApps = `
[server]
listen = ["127.0.0.1:0"]
queue = { timeout = "1m" }
[app.flask]
kind = "wsgi"
target = "failing:app"
workers = 2
timeout = { request = "60s", stop = "1s" }
error_page = { 502 = "sorry.html", 504 = "sorry.html" }
[app.php]
kind = "php"
target = "site"
workers = 1
[app.perl]
kind = "exec"
target = "%s"
workers = 1
error_page = { 502 = "sorry.html" }
[app.go]
kind = "go"
target = "%s"
env = { PATH = "${PATH}" }
workers = 1
[[route]]
path = "/php/"
app = "php"
mount = "/php"
[[route]]
path = "/perl/"
app = "perl"
[[route]]
path = "/go/"
app = "go"
[[route]]
path = "/slow"
app = "flask"
timeout = { request = "2s" }
[[route]]
path = "/"
app = "flask"
`

// layFailing writes applications in four languages that fail, each in a way
// of its own, and returns the configuration that serves them.
func layFailing(t testing.TB, dir string) string {
	t.Helper()
	needFlask(t)
	counterpart.Find(t, "php-cgi")
	counterpart.NeedRun(t, "perl's FCGI", "perl", "-MFCGI", "-e1")
	program, err := exec.LookPath("failing")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "failing.py"), failingFlask)
	write(t, filepath.Join(dir, "site", "fatal.php"), failingPHP)
	write(t, filepath.Join(dir, "shop.pl"), failingPerl)
	write(t, filepath.Join(dir, "sorry.html"), "<!DOCTYPE html><title>Sorry</title><p>The shop is shut ({status}). Tell us {incident} of {request}.</p>\n")
	return fmt.Sprintf(failingApps, filepath.Join(dir, "shop.pl"), program)
}
