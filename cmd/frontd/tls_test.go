package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// writeCertificate writes a certificate for 127.0.0.1 with this serial number
// and its key, and returns it.
func writeCertificate(t testing.TB, dir string, serial int64) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// trust makes a client that takes this certificate and speaks HTTP/2.
func trust(t testing.TB, cert *x509.Certificate) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

const tlsConfig = `
[server]
listen = ["https://127.0.0.1:0"]
[server.tls]
certificate = "cert.pem"
key = "key.pem"
[log]
format = "json"
`

func TestHTTP2(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	cert := writeCertificate(t, dir, 1)
	r := serve(t, dir, configure(t, dir, tlsConfig+demoApp(1))...)
	r.client = trust(t, cert)
	pids := r.awaitServing("demo", 1)
	p := plainPages
	p.fields = true
	r.site().check(p)

	resp, err := r.client.Get(r.url + "/download?bytes=10737418240")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Fatalf("the protocol is %s, want HTTP/2", resp.Proto)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	killWorker(r, "demo", pids, pids[0])
	if _, err = io.Copy(io.Discard, resp.Body); err == nil || !strings.Contains(err.Error(), "stream error") {
		t.Errorf("after the worker's death the body ended with %v, want a reset stream", err)
	}
	// The connection lives on: only the stream was reset.
	if a := r.get("/hello"); a.status != http.StatusOK {
		t.Errorf("the next request: status %d", a.status)
	}
}

// A certificate that is renewed is in use without a restart or a reload.
func TestCertificateRenewal(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	writeCertificate(t, dir, 1)
	r := serve(t, dir, configure(t, dir, tlsConfig+demoApp(1))...)
	serial := func() (int64, error) {
		c, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return 0, err
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
	}
	awaitSerial := func(want int64) {
		t.Helper()
		counterpart.Await(t, fmt.Sprintf("certificate %d", want), patience, func() error {
			if got, err := serial(); err != nil || got != want {
				return fmt.Errorf("it is %d: %v", got, err)
			}
			return nil
		})
	}
	awaitSerial(1)
	writeCertificate(t, dir, 2)
	awaitSerial(2)
	// A broken file is told, and the old pair stays in use.
	mark := r.Mark()
	write(t, filepath.Join(dir, "cert.pem"), "no certificate")
	counterpart.Await(t, "the broken certificate to be told", patience, func() error {
		if got, err := serial(); err != nil || got != 2 {
			t.Fatalf("with a broken file the certificate is %d: %v", got, err)
		}
		if strings.Contains(strings.Join(strings.Split(r.Log(), "\n")[mark:], "\n"), "cert.pem") {
			return nil
		}
		return fmt.Errorf("nothing in the log")
	})
	cert := writeCertificate(t, dir, 3)
	awaitSerial(3)
	r.client = trust(t, cert)
	if a := r.get("/hello"); a.body != "hello\n" {
		t.Errorf("status %d, %q", a.status, a.body)
	}
	// Other files, by a reload: at once, or not at all.
	other := filepath.Join(dir, "other")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	moved := strings.NewReplacer(`"cert.pem"`, `"other/cert.pem"`, `"key.pem"`, `"other/key.pem"`).Replace(tlsConfig) + demoApp(1)
	configure(t, dir, moved)
	if out, err := r.command("reload"); err == nil || !strings.Contains(out, "other/cert.pem") {
		t.Errorf("files that are not there: %v, %s", err, out)
	}
	awaitSerial(3)
	writeCertificate(t, other, 4)
	if out, err := r.command("reload"); err != nil {
		t.Fatalf("reload: %v\n%s", err, out)
	}
	if got, err := serial(); err != nil || got != 4 {
		t.Errorf("after the reload the certificate is %d, %v, want 4", got, err)
	}
	// Without TLS no certificate is asked for, now or later.
	if err := os.RemoveAll(other); err != nil {
		t.Fatal(err)
	}
	configure(t, dir, jsonLog+demoApp(1))
	for range 2 {
		if out, err := r.command("reload"); err != nil {
			t.Errorf("reload without TLS: %v\n%s", err, out)
		}
	}
}
