package front

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// certify writes a new certificate for name and returns it.
func certify(t *testing.T, dir, name string, modified time.Time) CertificateFiles {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := CertificateFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	for file, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestCertificatesFollowTheirFiles(t *testing.T) {
	dir := t.TempDir()
	day := time.Now().Add(-24 * time.Hour)
	files := certify(t, dir, "one.example", day)
	var told bytes.Buffer
	c, err := LoadCertificates([]CertificateFiles{files}, slog.New(slog.NewTextHandler(&told, nil)))
	if err != nil {
		t.Fatal(err)
	}
	name := func() string {
		t.Helper()
		cert, err := c.GetCertificate(&tls.ClientHelloInfo{ServerName: "x", SupportedVersions: []uint16{tls.VersionTLS13}})
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf.Subject.CommonName
	}
	now := time.Now()
	c.follow(now)
	certify(t, dir, "two.example", day.Add(time.Minute))
	if c.follow(now.Add(certCheck / 2)); name() != "one.example" {
		t.Error("looked again within a second")
	}
	c.follow(now.Add(2 * certCheck))
	if got := name(); got != "two.example" {
		t.Errorf("after the change: %s", got)
	}
	if err := os.WriteFile(files.Cert, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.follow(now.Add(4 * certCheck))
	c.follow(now.Add(6 * certCheck))
	if got := name(); got != "two.example" || strings.Count(told.String(), "level=ERROR") != 1 {
		t.Errorf("with a broken file: %s, told %q", got, &told)
	}
	if err := c.Reload(); err == nil || name() != "two.example" {
		t.Errorf("Reload of a broken file: %v, %s in use", err, name())
	}
	certify(t, dir, "three.example", day.Add(2*time.Minute))
	if err := c.Reload(); err != nil || name() != "three.example" {
		t.Errorf("Reload: %v, %s in use", err, name())
	}
	c.follow(now.Add(time.Hour)) // and the clock is set back by it
	certify(t, dir, "four.example", day.Add(3*time.Minute))
	if got := name(); got != "four.example" {
		t.Errorf("after the clock was set back: %s", got)
	}
	os.Remove(files.Key)
	if _, err := LoadCertificates([]CertificateFiles{files}, nil); err == nil {
		t.Error("loaded without a key")
	}
	if _, err := LoadCertificates(nil, nil); err == nil {
		t.Error("loaded nothing")
	}
}

func TestCertificateByName(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	c, err := LoadCertificates([]CertificateFiles{certify(t, a, "a.example", time.Now()), certify(t, b, "b.example", time.Now())}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]string{"b.example": "b.example", "a.example": "a.example", "c.example": "a.example", "": "a.example"} {
		cert, err := c.GetCertificate(&tls.ClientHelloInfo{ServerName: asked, SupportedVersions: []uint16{tls.VersionTLS13},
			CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256}, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, SupportedCurves: []tls.CurveID{tls.CurveP256}})
		if err != nil || cert.Leaf.Subject.CommonName != want {
			t.Errorf("%q: %v, %v", asked, cert.Leaf.Subject, err)
		}
	}
}

func TestServerOnTLS(t *testing.T) {
	certs, err := LoadCertificates([]CertificateFiles{certify(t, t.TempDir(), "localhost", time.Now())}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := New(Config{Log: quiet, Routes: []Route{{Settings: DefaultSettings(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+ExchangeOf(r).Scheme)
	})}}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(chain, ServerConfig{TLS: certs.Config(), Log: quiet})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	// Received at the end.
	addr := l.Addr().String()

	for _, h2 := range []bool{true, false} {
		var p http.Protocols
		p.SetHTTP1(!h2)
		p.SetHTTP2(h2)
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: &p}
		res, err := (&http.Client{Transport: transport}).Get("https://" + addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		transport.CloseIdleConnections()
		want := "HTTP/1.1 https"
		if h2 {
			want = "HTTP/2.0 https"
		}
		if string(body) != want {
			t.Errorf("answer %q, want %q", body, want)
		}
	}

	// The framing is checked within TLS too.
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX"+get)
	answer, _ := io.ReadAll(bufio.NewReader(c))
	c.Close()
	if got := statuses(t, string(answer)); !slices.Equal(got, []int{400}) {
		t.Errorf("answers %v, want 400", got)
	}

	// A handshake under way does not hold the end up.
	half, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// Within TLS the parser is net/http's, whichever engine is configured.
func TestHostileRequestsWithinTLS(t *testing.T) { // 4A, 4B
	certs, err := LoadCertificates([]CertificateFiles{certify(t, t.TempDir(), "localhost", time.Now())}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	openOne(t, Config{}, ServerConfig{TLS: certs.Config()}, ok, func(d *door) {
		for _, v := range hostile {
			c := tls.Client(d.dial(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
			_, _ = io.WriteString(c, v.raw+get) // it may be refused before all was sent
			answer, err := io.ReadAll(c)
			if err != nil {
				t.Errorf("%s: %v", v.why, err)
			}
			if got := statuses(t, string(answer)); !slices.Equal(got, v.want) {
				t.Errorf("%s: answers %v, want %v", v.why, got, v.want)
			}
			c.Close()
		}
	})
}

// Who asks by http:// where TLS is spoken is told so, and the log has it. What is
// neither is closed without a word.
func TestPlainHTTPAtTLS(t *testing.T) {
	certs, err := LoadCertificates([]CertificateFiles{certify(t, t.TempDir(), "localhost", time.Now())}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why, raw string
		want     []int
	}{
		{"a request", get, []int{400}},
		{"a large one", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 200000), []int{400}},
		{"a method of its own", "FOO" + strings.TrimPrefix(get, "GET"), []int{400}},
		{"nothing that is known", "\x01\x02\x03\x04\x05\x06\x07", nil},
		{"nothing at all", "", nil},
	} {
		for _, size := range []int{1 << 20, 7} {
			if size < len(c.raw)>>10 {
				continue // the whole of it takes no part in the test
			}
			openOne(t, Config{}, ServerConfig{TLS: certs.Config()}, ok, func(d *door) {
				answer := d.talk(c.raw, size)
				if got := statuses(t, answer); !slices.Equal(got, c.want) {
					t.Errorf("%s, %d bytes a write: answers %v, want %v", c.why, size, got, c.want)
				}
				if c.want != nil && !strings.Contains(answer, "https://") {
					t.Errorf("%s: %q does not tell what to do", c.why, answer)
				}
				if len(d.refusals) != len(c.want) || len(d.refusals) > 0 && (d.refusals[0].Cause != BadRequest || d.refusals[0].Remote == nil) {
					t.Errorf("%s: told of %+v", c.why, d.refusals)
				}
			})
		}
	}
}
