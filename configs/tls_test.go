package configs_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// overTLS is what an administrator adds to each snippet for TLS: the second
// text in place of the first, with the certificate in the server's folder. lighttpd is not
// here: its TLS modules are packages of their own.
var overTLS = map[string][2]string{
	"nginx": {"client_max_body_size", "ssl_certificate cert.pem; ssl_certificate_key cert.pem; client_max_body_size"},
	"apache2": {
		"<VirtualHost *:${FRONTD_PORT}>",
		"<VirtualHost *:${FRONTD_PORT}>\nSSLEngine on\nSSLCertificateFile cert.pem\nSSLCertificateKeyFile cert.pem",
	},
	"caddy": {"bind 127.0.0.1", "bind 127.0.0.1\n\ttls cert.pem cert.pem"},
}

// The application learns that the client came by TLS.
func TestSnippetsOverTLS(t *testing.T) {
	for _, s := range webServers {
		if _, ok := overTLS[s.name]; !ok {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			certificate := newCertificate(t)
			s.portBy = strings.NewReplacer("listen 127.0.0.1:%d", "listen 127.0.0.1:%d ssl", "http://:%d", "https://127.0.0.1:%d").Replace(s.portBy)
			plain := s.config
			s.config = func(t *testing.T, dir, snippet string) string {
				if err := os.WriteFile(filepath.Join(dir, "cert.pem"), certificate, 0o644); err != nil {
					t.Fatal(err)
				}
				text := plain(t, dir, snippet)
				change := overTLS[s.name]
				if !strings.Contains(text, change[0]) {
					t.Fatalf("no %q in\n%s", change[0], text)
				}
				text = strings.Replace(text, change[0], change[1], 1)
				if s.name == "apache2" {
					text = "LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\n" + text
				}
				return text
			}
			base := strings.Replace(startServer(t, s), "http://", "https://", 1)
			checkHTTPS(t, base, certificate)
		})
	}
}

func checkHTTPS(t *testing.T, base string, certificate []byte) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
	c := request{
		name: "over TLS", target: "/a%20b?c", https: true,
		want: map[string]string{"HTTPS": "on", "PATH_INFO": "/a b", "REQUEST_SCHEME": "https"},
	}
	c.send(t, base, "", transport)
}

// newCertificate is one for 127.0.0.1, with its key.
func newCertificate(t *testing.T) []byte {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler()) // has one
	defer s.Close()
	pair := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, {Type: "PRIVATE KEY", Bytes: key}} {
		if err := pem.Encode(&b, block); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}
