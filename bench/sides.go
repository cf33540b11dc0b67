package main

// allSides are in the order they are shown in.
var allSides = []*side{
	{
		name: "frontd-go", family: familyGo, title: "frontd serve, 2 Go workers of its SDK",
		start: frontdServe(`kind = "go"
target = "$APPS/role:worker"`),
	},
	{
		name: "frontd-nethttp", family: familyGo, title: "the same with net/http in the place of frontd's engine",
		start: frontdNetHTTP(`kind = "go"
target = "$APPS/role:worker"`),
	},
	{
		name: "frontd-demo", family: familyGo, title: "frontd serve, the built-in demo's /hello",
		only: []string{"hello"}, start: frontdServe(`kind = "demo"`),
		note: "runs more code for a request than the bare application",
	},
	{
		name: "nginx-gofcgi", family: familyGo, title: "nginx + 2 workers of net/http/fcgi", needs: []string{"nginx"},
		start: nginxNetFCGI,
		note:  "the workers are not supervised",
	},
	{
		name: "nginx-frontd-go", family: familyGo, title: "nginx + 2 Go workers of frontd's SDK (frontd pool)", needs: []string{"nginx"},
		start: nginxPool("exec:'$SELF' role:worker"),
	},
	{
		name: "caddy-gofcgi", family: familyGo, title: "Caddy + 2 workers of net/http/fcgi", needs: []string{"caddy"},
		start: caddyNetFCGI,
		note:  "Caddy opens a FastCGI connection for each request; the workers are not supervised",
	},
	{
		name: "caddy-frontd-go", family: familyGo, title: "Caddy + 2 Go workers of frontd's SDK (frontd pool)", needs: []string{"caddy"},
		start: caddyPool,
		note:  "Caddy opens a FastCGI connection for each request",
	},
	{
		name: "gofast", family: familyGo, title: "a gofast 0.8.0 front + 2 Go workers of frontd's SDK (frontd pool)",
		start: gofastPool,
		note:  "one FastCGI connection a request: gofast's pool mixes answers up once a client leaves",
	},
	{
		name: "frontd-php", family: familyPHP, title: "frontd serve, 2 php-cgi", needs: []string{"php-cgi"},
		start: frontdPHP,
	},
	{
		name: "nginx-php-fpm", family: familyPHP, title: "nginx + php-fpm, 2 children", needs: []string{"nginx", phpFPM},
		start: nginxPHP,
		note:  "a FastCGI connection a request, as is usual: a kept one would pin a child to one nginx worker",
	},
	{
		name: "frontd-wsgi", family: familyWSGI, title: "frontd serve, 2 WSGI workers of one thread",
		needs: []string{"python3"}, start: frontdServe(frontdWSGI),
	},
	{
		name: "frontd-wsgi-threads", family: familyWSGI, title: "frontd serve, 2 WSGI workers of 4 threads",
		needs: []string{"python3"}, start: frontdServe(frontdWSGI + "threads = 4"),
	},
	{
		name: "nginx-frontd-wsgi", family: familyWSGI, title: "nginx + 2 WSGI workers of frontd (frontd pool)", needs: []string{"nginx", "python3"},
		start: nginxPool("wsgi:app:application"),
	},
	{
		name: "gunicorn-sync", family: familyWSGI, title: "gunicorn, 2 sync workers", needs: []string{"gunicorn"},
		start: gunicorn("-k", "sync"),
		note:  "keeps no connection: the client connects for each request; no shield against slow clients",
	},
	{
		name: "gunicorn-gthread", family: familyWSGI, title: "gunicorn, 2 gthread workers of 4 threads", needs: []string{"gunicorn"},
		start: gunicorn("-k", "gthread", "--threads", "4", "--keep-alive", "60"),
	},
	{
		name: "uwsgi-http-socket", family: familyWSGI, title: "uWSGI http-socket, 2 processes", needs: []string{uWSGI},
		start:  uwsgi("--http-socket", "$ADDRESS"),
		closes: true,
		note:   "keeps no connection; no shield against slow clients",
	},
	{
		name: "uwsgi-http11", family: familyWSGI, title: "uWSGI http11-socket, 2 processes", needs: []string{uWSGI},
		start: uwsgi("--http11-socket", "$ADDRESS"),
		note:  "a kept connection pins a process: with more connections than processes the others starve",
	},
	{
		name: "uwsgi-router", family: familyWSGI, title: "uWSGI --http router, 2 processes", needs: []string{uWSGI},
		start: uwsgi("--http", "$ADDRESS", "--http-keepalive", "--tcp-nodelay", "--socket", "$SOCKET"),
	},
	{
		name: "nginx-uwsgi", family: familyWSGI, title: "nginx + uWSGI, 2 processes", needs: []string{"nginx", uWSGI},
		start: nginxUWSGI,
	},
	{
		name: "frontd-one", family: familySlow, title: "frontd serve, 1 Go worker, so 1 FastCGI connection for all requests",
		only: []string{"hello"}, start: frontdOne,
	},
	{
		name: "frontd-one-slow", family: familySlow, title: "the same, while 200 clients read 1 KiB a second each, over that one connection",
		only: []string{"hello"}, crowd: 200, start: frontdOne,
		note: "its p99 ratio is what slow readers cost the others",
	},
	{
		name: "ceiling", family: familyNone, title: "no server at all: answers without looking", only: []string{"hello"},
		start: func(s *stage) (string, error) { return "", s.run(nil, s.rig.self, rolePrefix+"ceiling", s.address) },
		note:  "what the harness itself can measure at most",
	},
}

const (
	phpFPM = "php-fpm|php-fpm[0-9]*"
	uWSGI  = "uwsgi_python3|uwsgi-core|uwsgi"
)
