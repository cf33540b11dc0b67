package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

// bulk is the size of what goes up and down whole: more than any buffer on
// the way, and below the default max_body.
const bulk = 20 << 20

// pages are what every application of the tests has, by its own names.
type pages struct {
	form, checksum, upload, download string // "": it has none
	fields                           bool   // form's answer is not "name=... text=... method=..."
}

var plainPages = pages{form: "/form", checksum: "/checksum", upload: "/upload", download: "/download"}

// A site is what answers at a URL, be it frontd or a web server before it.
type site struct {
	t      testing.TB
	url    string
	client *http.Client
}

func (s site) do(method, path, kind string, body io.Reader) fetched {
	s.t.Helper()
	a, err := ask(s.t.Context(), s.client, method, s.url+path, kind, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status != http.StatusOK {
		s.t.Fatalf("%s %s: status %d, body %.500q", method, path, a.status, a.body)
	}
	return a
}

// check asks for all pages: forms, uploads, downloads, with the bytes compared.
func (s site) check(p pages) {
	s.t.Helper()
	if p.form != "" {
		s.checkForm(p)
	}
	if p.upload != "" {
		s.checkUpload(p.upload)
	}
	if p.checksum != "" {
		s.checkBody(p.checksum, bulk, false)
		s.checkBody(p.checksum, 300_000, true)
		s.checkBody(p.checksum, 0, false)
	}
	if p.download != "" {
		s.checkDownload(p.download, bulk)
	}
}

func (s site) checkForm(p pages) {
	s.t.Helper()
	const form = "name=J%C3%BCrgen&text=a+b%3Bc"
	get := s.do(http.MethodGet, p.form+"?"+form, "", nil).body
	post := s.do(http.MethodPost, p.form, "application/x-www-form-urlencoded", strings.NewReader(form)).body
	for method, got := range map[string]string{"GET": get, "POST": post} {
		want := []string{"name=Jürgen text=a b;c method=" + method}
		if p.fields {
			want = []string{"Jürgen", "a b;c"}
		}
		for _, w := range want {
			if !strings.Contains(got, w) {
				s.t.Errorf("%s of the form: no %q in %.2000q", method, w, got)
			}
		}
	}
}

func (s site) checkUpload(path string) {
	s.t.Helper()
	data := pattern(1 << 20)
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	w.WriteField("field", "value")
	f, err := w.CreateFormFile("file", "some file.bin")
	if err != nil {
		s.t.Fatal(err)
	}
	f.Write(data)
	w.Close()
	got := s.do(http.MethodPost, path, w.FormDataContentType(), &b).body
	for _, want := range []string{"some file.bin", "1048576", sumOf(data), "field"} {
		if !strings.Contains(got, want) {
			s.t.Errorf("upload: no %q in %.500q", want, got)
		}
	}
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// checkBody sends a body and compares what the application read of it.
func (s site) checkBody(path string, size int, chunked bool) {
	s.t.Helper()
	data := pattern(size)
	var body io.Reader = bytes.NewReader(data)
	if chunked {
		body = io.MultiReader(body) // hides its length
	}
	a := s.do(http.MethodPost, path, "application/octet-stream", body)
	var got struct {
		Size   int
		SHA256 string
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		s.t.Fatalf("checksum of %d bytes: %v in %.500q", size, err, a.body)
	}
	if got.Size != size || got.SHA256 != sumOf(data) {
		s.t.Errorf("the application read %d bytes, sha256 %s; %d were sent, %s (chunked: %v)", got.Size, got.SHA256, size, sumOf(data), chunked)
	}
}

func (s site) checkDownload(path string, size int) {
	s.t.Helper()
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	got := s.do(http.MethodGet, path+sep+"bytes="+itoa(size), "", nil).body
	if want := pattern(size); got != string(want) {
		s.t.Errorf("download: %d bytes, sha256 %s; want %d, %s", len(got), sumOf([]byte(got)), size, sumOf(want))
	}
}

func (r *running) site() site { return site{r.t, r.url, r.client} }
