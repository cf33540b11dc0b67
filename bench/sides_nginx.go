package main

import (
	"fmt"
	"path/filepath"
)

// nginxFile: two workers as there are two of everything; request bodies are
// passed on as they come, answers are held in memory and beyond that in a file,
// both as frontd does; connections, on both sides, are not cut after 1000 requests.
const nginxFile = `daemon off;
worker_processes $WORKERS;
pid $DIR/nginx.pid;
error_log stderr warn;
events { worker_connections 2048; }
http {
  access_log off;
  default_type application/octet-stream;
  keepalive_requests 100000000;
  client_max_body_size 0;
  client_body_buffer_size 128k;
  client_body_temp_path $DIR/body;
  fastcgi_temp_path $DIR/fastcgi;
  proxy_temp_path $DIR/proxy;
  uwsgi_temp_path $DIR/uwsgi;
  scgi_temp_path $DIR/scgi;
  fastcgi_request_buffering off;
  fastcgi_buffer_size 32k;
  fastcgi_buffers 16 32k;
  uwsgi_request_buffering off;
  uwsgi_buffer_size 32k;
  uwsgi_buffers 16 32k;
  upstream app {
    server unix:$SOCKET;
    $KEEP
  }
  server {
    listen $ADDRESS backlog=4096;
    location / {
$LOCATION
    }
  }
}
`

// nginxKeep is for workers that serve many connections at once.
const nginxKeep = "keepalive 256; keepalive_requests 100000000;"

// cgiParams are what nginx's own fastcgi_params has.
const cgiParams = `$P QUERY_STRING $query_string;
$P REQUEST_METHOD $request_method;
$P CONTENT_TYPE $content_type;
$P CONTENT_LENGTH $content_length;
$P REQUEST_URI $request_uri;
$P DOCUMENT_URI $document_uri;
$P DOCUMENT_ROOT $document_root;
$P SERVER_PROTOCOL $server_protocol;
$P REQUEST_SCHEME $scheme;
$P HTTPS $https if_not_empty;
$P REMOTE_ADDR $remote_addr;
$P REMOTE_PORT $remote_port;
$P SERVER_ADDR $server_addr;
$P SERVER_PORT $server_port;
$P SERVER_NAME $server_name;
`

const (
	fastcgiLocation = `fastcgi_pass app;
fastcgi_keep_conn on;
fastcgi_param GATEWAY_INTERFACE CGI/1.1;
fastcgi_param SERVER_SOFTWARE nginx;
fastcgi_param SCRIPT_NAME "";
fastcgi_param PATH_INFO $document_uri;
`
	phpLocation = `root $APPS/php;
fastcgi_pass app;
fastcgi_param GATEWAY_INTERFACE CGI/1.1;
fastcgi_param SERVER_SOFTWARE nginx;
fastcgi_param REDIRECT_STATUS 200;
fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
fastcgi_param SCRIPT_NAME $fastcgi_script_name;
`
	uwsgiLocation = `uwsgi_pass app;
uwsgi_param PATH_INFO $document_uri;
`
)

func (s *stage) nginx(location, keep, params string) error {
	file, err := s.write("nginx.conf", userLine()+replace(nginxFile,
		"$LOCATION", location+replace(cgiParams, "$P", params), "$KEEP", keep, "$WORKERS", fmt.Sprint(workers)))
	if err != nil {
		return err
	}
	return s.run(nil, findProgram("nginx"), "-p", s.dir, "-c", file, "-e", "stderr")
}

func nginxNetFCGI(s *stage) (string, error) {
	if err := s.netFCGI(); err != nil {
		return "", err
	}
	return "", s.nginx(fastcgiLocation, nginxKeep, "fastcgi_param")
}

func nginxPool(app string) func(*stage) (string, error) {
	return func(s *stage) (string, error) {
		if err := s.pool(app); err != nil {
			return "", err
		}
		return "", s.nginx(fastcgiLocation, nginxKeep, "fastcgi_param")
	}
}

// fpmFile: as many children as frontd has workers; no log of each request.
const fpmFile = `[global]
error_log = $DIR/fpm.log
daemonize = no
log_level = warning
[bench]
$USER
listen = $SOCKET
listen.backlog = 4096
pm = static
pm.max_children = $WORKERS
`

func nginxPHP(s *stage) (string, error) {
	user, args := "", []string{"-F", "-c", filepath.Join(s.rig.dir, "php.ini")}
	if userLine() != "" {
		user, args = "user = root\ngroup = root", append(args, "-R")
	}
	file, err := s.write("fpm.conf", replace(fpmFile, "$USER", user, "$WORKERS", fmt.Sprint(workers)))
	if err != nil {
		return "", err
	}
	if err := s.run(nil, findProgram(phpFPM), append(args, "-y", file)...); err != nil {
		return "", err
	}
	return ".php", s.nginx(phpLocation, "", "fastcgi_param")
}

func nginxUWSGI(s *stage) (string, error) {
	if _, err := uwsgi("--socket", "$SOCKET")(s); err != nil {
		return "", err
	}
	return "", s.nginx(uwsgiLocation, "", "uwsgi_param")
}
