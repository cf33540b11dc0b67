package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// proxies are the web servers that speak HTTP to what is behind them, and keep
// their connections to it: %[1]d is the port, %[2]s frontd's address.
var proxies = []struct{ name, config string }{
	{"nginx", `
upstream frontd { server %[2]s; keepalive 8; }
server {
  listen 127.0.0.1:%[1]d;
  client_max_body_size 0;
  location / {
    proxy_pass http://frontd;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_request_buffering off;
  }
}`},
	{"apache2", `
Listen 127.0.0.1:%[1]d
ProxyPass / http://%[2]s/ keepalive=On
ProxyPreserveHost On
`},
	{"caddy", `
http://:%[1]d {
	bind 127.0.0.1
	reverse_proxy %[2]s
}
`},
}

// Web servers that hand requests on over HTTP, on connections that are kept:
// each answer is its request's, and whole, while frontd is reloaded too.
func TestBehindProxies(t *testing.T) {
	dir := counterpart.Dir(t)
	r := serve(t, dir, "-w", "2")
	r.awaitServing("demo", 2)
	address := strings.TrimPrefix(r.url, "http://")
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			port := counterpart.FreePort(t)
			site := webServerNamed(p.name).run(t, port, fmt.Sprintf(p.config, port, address))
			get := startLoad(t, site.client, 4, http.MethodGet, site.url+"/hello", "", "hello\n")
			post := startLoad(t, site.client, 2, http.MethodPost, site.url+"/hello", "body", "hello\n")
			site.check(demoPages())
			for range inLong(1, 10) {
				if out, err := r.command("reload"); err != nil {
					t.Errorf("reload: %v: %s", err, out)
				}
				get.awaitMore(t, 10)
			}
			get.awaitMore(t, 100)
			post.awaitMore(t, 100)
			get.clean(t, "GET")
			post.clean(t, "POST")
		})
	}
}

func webServerNamed(name string) webServer {
	for _, s := range webServers {
		if s.name == name {
			return s
		}
	}
	panic("no web server " + name)
}
