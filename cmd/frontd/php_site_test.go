package main

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// sitePage is a PHP site in one front controller: a counter in a session, and
// what became of an upload.
const sitePage = `<?php
session_save_path(dirname(__DIR__));
session_start();
$_SESSION["n"] = ($_SESSION["n"] ?? 0) + 1;
$f = $_FILES["f"] ?? null;
printf("n=%d uri=%s post=%d error=%s sha=%s cached=%s", $_SESSION["n"], $_SERVER["REQUEST_URI"], count($_POST),
	$f ? $f["error"] : "-", $f && !$f["error"] ? hash_file("sha256", $f["tmp_name"]) : "-",
	var_export(($s = opcache_get_status(false)) && $s["opcache_statistics"]["hits"] > 0, true));
`

// A session follows its visitor through workers, compiled scripts stay in a
// worker's cache from one request to the next, and what PHP does not take of an
// upload is told.
func TestPHPSite(t *testing.T) {
	t.Parallel()
	counterpart.NeedRun(t, "php-cgi with opcache", "sh", "-c", "php-cgi -i | grep -q 'Opcode Caching.*Up and Running'")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "site", "index.php"), sitePage)
	old := time.Now().Add(-time.Hour) // what changed within two seconds opcache leaves out (opcache.file_update_protection)
	if err := os.Chtimes(filepath.Join(dir, "site", "index.php"), old, old); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "site", ".user.ini"), "post_max_size = 300K\nupload_max_filesize = 100K\n")
	r := serve(t, dir, "./site", "-w", "1")
	cookie := ""
	ask := func(path string, upload int) string {
		t.Helper()
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		form.WriteField("a", "b")
		if upload > 0 {
			part, err := form.CreateFormFile("f", "f.bin")
			if err != nil {
				t.Fatal(err)
			}
			part.Write(pattern(upload))
		}
		form.Close()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+path, &body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", form.FormDataContentType())
		req.Header.Set("Cookie", cookie)
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if c := resp.Cookies(); len(c) == 1 {
			cookie = c[0].Name + "=" + c[0].Value
		}
		return string(text)
	}
	for i, c := range []struct {
		upload int
		want   string
	}{
		{0, "post=1 error=- sha=-"},
		{50 << 10, "post=1 error=0 sha=" + sumOf(pattern(50<<10))},
		{150 << 10, "post=1 error=1 sha=-"}, // UPLOAD_ERR_INI_SIZE
		{400 << 10, "post=0 error=- sha=-"}, // over post_max_size: PHP drops it and runs the script
	} {
		path := fmt.Sprintf("/shop/item-%d", i)
		got := ask(path, c.upload)
		if want := fmt.Sprintf("n=%d uri=%s %s", i+1, path, c.want); !strings.HasPrefix(got, want) {
			t.Errorf("an upload of %d bytes: %q, want %q", c.upload, got, want)
		}
		if i > 0 && !strings.Contains(got, "cached=true") {
			t.Errorf("request %d compiled the script again: %q", i, got)
		}
	}
	r.AwaitLine(`PHP Warning: .*POST Content-Length of \d+ bytes exceeds the limit of 307200 bytes.*app=site`, patience)
}
