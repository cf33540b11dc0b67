package main

import (
	"crypto/hmac"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/tls"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/internal/counterpart"
	"github.com/frontd/frontd/notice"
)

// A receiver is told of incidents: a mail server that wants STARTTLS and a
// login, and a webhook.
type receiver struct {
	// Immutable.
	t         testing.TB
	smtp      string // address
	authority string // file with the certificate
	hook      string // URL

	*taken
}

// taken is what came.
type taken struct {
	mu    sync.Mutex // guards the fields below
	mails []string
	posts []posted
}

// of is the receiver as another test sees it.
func (r *receiver) of(t testing.TB) *receiver {
	c := *r
	c.t = t
	return &c
}

// A posted is what came by the webhook.
type posted struct {
	event string
	incident.Incident
}

const (
	mailUser, mailPassword = "frontd", "the password of the post"
	hookSecret             = "the secret of the hook"
)

func newReceiver(t testing.TB, dir string) *receiver {
	t.Helper()
	r := &receiver{t: t, taken: new(taken)}
	hook := httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(hook.Close)
	r.hook = hook.URL + "/hook"
	cert := httptest.NewTLSServer(nil) // for its certificate: of 127.0.0.1, by a CA that nobody knows
	defer cert.Close()
	r.authority = filepath.Join(dir, "authority.pem")
	write(t, r.authority, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate().Raw})))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.smtp = l.Addr().String()
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &delivery{r: r, conn: c}, nil }))
	s.Domain, s.ReadTimeout, s.WriteTimeout = "post.example", time.Minute, time.Minute
	s.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.TLSConfig = &tls.Config{Certificates: cert.TLS.Certificates}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	// Received below.
	t.Cleanup(func() {
		s.Close()
		l.Close() // the server does not know it yet, maybe
		<-served
	})
	return r
}

// settings are those of frontd that lead here.
func (r *receiver) settings(dir string) string {
	write(r.t, filepath.Join(dir, "mail.password"), mailPassword+"\n")
	write(r.t, filepath.Join(dir, "hook.secret"), hookSecret+"\n")
	return fmt.Sprintf(`
[mail]
smtp = "%s"
from = "frontd <frontd@example.com>"
to = ["ops@example.com"]
username = "%s"
password = "file:%s"
ca = "%s"
per_hour = 1000
[webhook]
url = "%s"
secret = "file:%s"
`, r.smtp, mailUser, filepath.Join(dir, "mail.password"), r.authority, r.hook, filepath.Join(dir, "hook.secret"))
}

// take is the webhook.
func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var p posted
	if err == nil {
		err = json.Unmarshal(body, &p.Incident)
	}
	signature := req.Header.Get("X-Frontd-Signature")
	at, _, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",")
	seconds, _ := strconv.ParseInt(at, 10, 64) // 0 fits no signature
	if err != nil || !hmac.Equal([]byte(signature), []byte(notice.Sign(hookSecret, time.Unix(seconds, 0), body))) {
		r.t.Errorf("the hook got %q signed %q: %v", body, signature, err)
		http.Error(w, "not from frontd", http.StatusForbidden)
		return
	}
	p.event = req.Header.Get("X-Frontd-Event")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts = append(r.posts, p)
}

// A delivery is one connection of the mail server.
type delivery struct {
	r     *receiver
	conn  *smtp.Conn
	known bool
}

func (d *delivery) AuthMechanisms() []string { return []string{sasl.Plain} }

func (d *delivery) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		_, encrypted := d.conn.TLSConnectionState()
		if d.known = encrypted && user == mailUser && password == mailPassword; !d.known {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (d *delivery) Mail(string, *smtp.MailOptions) error {
	if !d.known {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (d *delivery) Rcpt(to string, _ *smtp.RcptOptions) error {
	if to != "ops@example.com" {
		return errors.New("nobody here of that name")
	}
	return nil
}

func (d *delivery) Data(body io.Reader) error {
	b, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	d.r.mails = append(d.r.mails, string(b))
	return nil
}

func (d *delivery) Reset()        {}
func (d *delivery) Logout() error { return nil }

// awaitMail returns the mail that tells of an incident first.
func (r *receiver) awaitMail(id string) (found *mail.Message, raw string) {
	r.t.Helper()
	counterpart.Await(r.t, "a mail about "+id, patience, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, raw = range r.mails {
			if !strings.Contains(raw, id) {
				continue
			}
			var err error
			found, err = mail.ReadMessage(strings.NewReader(raw))
			return err
		}
		return fmt.Errorf("%d mails, none of them", len(r.mails))
	})
	return found, raw
}

// awaitPost returns what the webhook was told of an incident first.
func (r *receiver) awaitPost(id string) (found posted) {
	r.t.Helper()
	counterpart.Await(r.t, "a call about "+id, patience, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, found = range r.posts {
			if found.ID == id {
				return nil
			}
		}
		return fmt.Errorf("%d calls, none of them", len(r.posts))
	})
	return found
}
