package front

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certCheck is how often, at most, a handshake looks whether the files changed.
const certCheck = time.Second

// CertificateFiles names a chain, leaf first, and its key, both PEM.
type CertificateFiles struct{ Cert, Key string }

// Certificates are certificates that follow their files: a renewed pair is
// in use a second later. A pair that does not load leaves the old one in use,
// and the log says so once for each change.
type Certificates struct {
	// Immutable.
	log *slog.Logger

	current atomic.Pointer[[]tls.Certificate]
	checked atomic.Int64 // Unix nanoseconds of the last look

	mu    sync.Mutex // guards the fields below, and reloading
	files []CertificateFiles
	stamp []fileStamp
}

type fileStamp struct {
	mtime time.Time
	size  int64
}

// LoadCertificates loads all pairs; the first is for clients that name no
// server or an unknown one.
func LoadCertificates(files []CertificateFiles, log *slog.Logger) (*Certificates, error) {
	if len(files) == 0 {
		return nil, errors.New("load certificates: none given")
	}
	if log == nil {
		log = slog.Default()
	}
	c := &Certificates{files: files, log: log}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload loads all pairs now. On an error the old ones stay, all of them.
func (c *Certificates) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.again(look(c.files))
}

// Prepare loads other pairs, from other files, or the present ones anew. Until use
// is called the old ones stay in force, and their files are followed.
func (c *Certificates) Prepare(files []CertificateFiles) (use func(), err error) {
	if len(files) == 0 {
		return nil, errors.New("load certificates: none given")
	}
	stamp := look(files)
	loaded, err := load(files)
	if err != nil {
		return nil, err
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.files, c.stamp = files, stamp
		c.current.Store(&loaded)
	}, nil
}

// again loads the files that are in use.
func (c *Certificates) again(stamp []fileStamp) error {
	c.stamp = stamp // even of a broken pair: it is told once
	loaded, err := load(c.files)
	if err == nil {
		c.current.Store(&loaded)
	}
	return err
}

func load(files []CertificateFiles) ([]tls.Certificate, error) {
	loaded := make([]tls.Certificate, 0, len(files))
	var errs []error
	for _, f := range files {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			errs = append(errs, fmt.Errorf("load certificate %s: %w", f.Cert, err))
		}
		loaded = append(loaded, pair)
	}
	return loaded, errors.Join(errs...)
}

func look(files []CertificateFiles) []fileStamp {
	var stamp []fileStamp
	for _, f := range files {
		for _, name := range [...]string{f.Cert, f.Key} {
			var s fileStamp // zero: not there, which is a change as well
			if info, err := os.Stat(name); err == nil {
				s = fileStamp{info.ModTime(), info.Size()}
			}
			stamp = append(stamp, s)
		}
	}
	return stamp
}

// follow loads the files again if they changed. One handshake a second looks;
// the others do not wait for it.
func (c *Certificates) follow(now time.Time) {
	last := c.checked.Load()
	since := time.Duration(now.UnixNano() - last) // by the clock on the wall, which may have been set back
	if since > -certCheck && since < certCheck || !c.checked.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp := look(c.files)
	same := true
	for i := range stamp {
		same = same && stamp[i].size == c.stamp[i].size && stamp[i].mtime.Equal(c.stamp[i].mtime)
	}
	if same {
		return
	}
	if err := c.again(stamp); err != nil {
		c.log.Error("new certificate not usable, the old one stays", "error", err)
		return
	}
	c.log.Info("certificates loaded anew")
}

// GetCertificate is for tls.Config.
func (c *Certificates) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.follow(time.Now())
	loaded := *c.current.Load()
	for i := range loaded {
		if hello.SupportsCertificate(&loaded[i]) == nil {
			return &loaded[i], nil
		}
	}
	return &loaded[0], nil
}

// Config returns a configuration for a server: TLS 1.2 and up, HTTP/2 and
// HTTP/1.1.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: c.GetCertificate,
	}
}
