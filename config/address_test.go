package config

import (
	"net"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"127.0.0.1:8080":          {"", "tcp", "127.0.0.1:8080"},
		":8080":                   {"", "tcp", ":8080"},
		"localhost:0":             {"", "tcp", "localhost:0"},
		"[::1]:80":                {"", "tcp", "[::1]:80"},
		"[fe80::1%eth0]:80":       {"", "tcp", "[fe80::1%eth0]:80"},
		"php_fpm.example.com.:90": {"", "tcp", "php_fpm.example.com.:90"},
		"http://:80":              {"http", "tcp", ":80"},
		"https://0.0.0.0:443":     {"https", "tcp", "0.0.0.0:443"},
		"fcgi://[::]:9000":        {"fcgi", "tcp", "[::]:9000"},
		"unix:/run/a b.sock":      {"", "unix", "/run/a b.sock"},
		"unix:@web":               {"", "unix", "@web"},
		"http+unix:/a":            {"http", "unix", "/a"},
		"fcgi+unix:/a":            {"fcgi", "unix", "/a"},
		"fcgi+unix:@a":            {"fcgi", "unix", "@a"},
		"systemd:web":             {"", "systemd", "web"},
		"http+systemd:web":        {"http", "systemd", "web"},
		"https+systemd:web":       {"https", "systemd", "web"},
		"fcgi+systemd:web":        {"fcgi", "systemd", "web"},

		"unix:/" + strings.Repeat("x", 106): {"", "unix", "/" + strings.Repeat("x", 106)},
	} {
		a, err := ParseAddress(text)
		if err != nil || a != want {
			t.Errorf("ParseAddress(%q) = %+v, %v; want %+v", text, a, err, want)
		}
		if a.String() != text {
			t.Errorf("%+v prints as %q, want %q", a, a, text)
		}
	}
}

func TestParseAddressErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "allowed: HOST:PORT",
		"8080":             "allowed: HOST:PORT",
		"/run/x.sock":      `a path is written "unix:/run/x.sock"`,
		"localhost":        "allowed: HOST:PORT",
		"::1:80":           "allowed: HOST:PORT",
		"[::1]":            "allowed: HOST:PORT",
		"[127.0.0.1]:80":   "not an IPv6 address",
		"[]:80":            "not an IPv6 address",
		"*:80":             `every interface is written ":80"`,
		"a b:80":           "neither a name nor an IP address",
		"-a:80":            "neither a name nor an IP address",
		"a..b:80":          "neither a name nor an IP address",
		"user@host:80":     "neither a name nor an IP address",
		"localhost:http":   `port "http" is not a number`,
		"localhost:":       `port "" is not a number`,
		"localhost:65536":  "is not a number from 0 to 65535",
		"localhost:+80":    "is not a number",
		"localhost:080":    "is not a number",
		"http://localhost": "allowed: HOST:PORT",
		"http://a:80/":     "is not a number",
		"ftp://a:80":       "allowed: HOST:PORT",
		"unix:":            "absolute path",
		"unix:run/x":       "absolute path",
		"unix:@":           "absolute path",
		"unix:/run/":       "a folder",
		"unix:/a\x00b":     "a NUL",
		"unix://run/x\x00": "a NUL",
		"systemd:":         "FileDescriptorName=",
		"systemd:a:b":      "FileDescriptorName=",
		"https+unix:/a":    "is not a number",

		"unix:/" + strings.Repeat("x", 107): "a path of 108 bytes, a unix socket's has at most 107",
	} {
		if a, err := ParseAddress(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseAddress(%q) = %+v, %v; want an error with %q", text, a, err, want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"127.0.0.1:80", "[::1]:80", ":0", "unix:/a", "unix:@a", "fcgi+unix:/a", "https://a:1", "systemd:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		if a.String() != s {
			t.Errorf("%q prints as %q", s, a)
		}
		if a.Net == "tcp" {
			if _, _, err := net.SplitHostPort(a.Addr); err != nil {
				t.Errorf("%q: %v", s, err)
			}
		}
	})
}
