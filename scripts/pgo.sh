#!/bin/sh
# Makes cmd/frontd/default.pgo, by which the compiler chooses what to inline and
# where to guess a call's target: profiles of the front under load, over the hop
# with flow control and over the plain one. Takes wrk, python3 and php-cgi, and a
# minute. Run it where nothing else is running, after changes to the path of a request.
set -eu
cd "$(dirname "$0")/.."
: "${GO:=go}" "${SPAN:=12}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
$GO build -pgo=off -tags profile -o "$work/frontd" ./cmd/frontd
mkdir "$work/site" "$work/py" "$work/profiles"
echo '<?php echo "hello\n";' >"$work/site/index.php"
cat >"$work/py/app.py" <<'END'
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"hello\n"]
END
run() { # APP PATH CONNECTIONS
	: >"$work/log"
	FRONTD_PROFILE=$work/profiles FRONTD_PROFILE_TIME=$((SPAN + 2))s \
		"$work/frontd" serve "$1" -l 127.0.0.1:0 -w 2 --control "$work/c.sock" 2>"$work/log" &
	pid=$!
	url=
	while [ -z "$url" ]; do
		kill -0 $pid
		url=$(sed -n 's/.*msg=listening address=\(http[^ ]*\).*/\1/p' "$work/log")
	done
	until grep -q 'worker ready' "$work/log"; do kill -0 $pid; done
	wrk -t1 -c"$3" -d"$((SPAN + 3))" "$url$2" >"$work/wrk" # until after the profile's end
	sed -n 's/Requests/  requests/p' "$work/wrk"
	"$work/frontd" stop --control "$work/c.sock"
	wait $pid
}
echo "demo" && run demo /hello 32
echo "demo, many" && run demo /hello 256
echo "python" && (cd "$work/py" && run wsgi:app:app / 32)
echo "php" && run "php:$work/site" / 32
$GO tool pprof -proto "$work"/profiles/*.pprof >"$work/default.pgo" 2>/dev/null
mv "$work/default.pgo" cmd/frontd/default.pgo
ls -l cmd/frontd/default.pgo
