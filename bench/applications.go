package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The application again, as each runtime writes it at its simplest. All lie in
// the rig's folder: app.py, php/*.php, php.ini.

const wsgiApplication = `"""The application of the benchmark, as bare WSGI."""

LINE = b"0123456789abcde\n"
ANSWERS = {"/hello": b"hello\n", "/10k": LINE * (10240 // 16), "/1m": LINE * (1048576 // 16)}


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/upload":
        stream, left, size = environ["wsgi.input"], int(environ["CONTENT_LENGTH"]), 0
        while left > size:
            piece = stream.read(min(65536, left - size))
            if not piece:
                break
            size += len(piece)
        answer = b"%d\n" % size
    else:
        answer = ANSWERS[path]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(answer)))])
    return [answer]
`

const phpGive = `<?php
$answer = %s;
header('Content-Type: text/plain; charset=utf-8');
header('Content-Length: ' . strlen($answer));
echo $answer;
`

const phpUpload = `<?php
$n = 0;
$in = fopen('php://input', 'rb');
while (!feof($in)) {
    $n += strlen(fread($in, 65536));
}
$answer = $n . "\n";
header('Content-Type: text/plain; charset=utf-8');
header('Content-Length: ' . strlen($answer));
echo $answer;
`

// phpIni holds for php-cgi and php-fpm alike. opcache is loaded by the
// distribution's conf.d where it is installed.
const phpIni = `post_max_size = 0
memory_limit = 256M
output_buffering = 4096
opcache.enable = 1
opcache.validate_timestamps = 1
`

func writeApplications(dir string) error {
	php := filepath.Join(dir, "php")
	if err := os.Mkdir(php, 0o755); err != nil {
		return err
	}
	write := func(name, text string) error { return os.WriteFile(name, []byte(text), 0o644) }
	err := errors.Join(
		write(filepath.Join(dir, "app.py"), wsgiApplication),
		write(filepath.Join(dir, "php.ini"), phpIni),
		write(filepath.Join(php, "upload.php"), phpUpload),
	)
	for _, w := range allWorkloads {
		if !w.post {
			err = errors.Join(err, write(filepath.Join(php, w.path+".php"), fmt.Sprintf(phpGive, phpLiteral(w.answer))))
		}
	}
	return err
}

func phpLiteral(answer []byte) string {
	if n := strings.Count(string(answer), line); n > 0 {
		return fmt.Sprintf(`str_repeat("0123456789abcde\n", %d)`, n)
	}
	return fmt.Sprintf("%q", answer)
}
