package notice

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/internal/counterpart"
)

// A post is a mail server: a real one, which refuses as it is told.
type post struct {
	// Immutable.
	tls        string
	mechanisms []string // none: no login asked for
	roots      *x509.CertPool
	cert       tls.Certificate

	mu       sync.Mutex // guards the fields below
	got      []string   // messages
	to       []string   // their recipients
	logins   []string
	refuse   map[string]error // by command, and by recipient
	server   *smtp.Server
	address  string
	listener net.Listener
	finished chan error
}

func newPost(t *testing.T, mode string, mechanisms ...string) *post {
	t.Helper()
	h := httptest.NewTLSServer(nil) // for its certificate: of 127.0.0.1, by a CA that nobody knows
	p := &post{tls: mode, mechanisms: mechanisms, cert: h.TLS.Certificates[0], roots: x509.NewCertPool(), refuse: map[string]error{}}
	p.roots.AddCert(h.Certificate())
	h.Close()
	p.open(t, "127.0.0.1:0")
	t.Cleanup(p.shut)
	return p
}

func (p *post) open(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &postSession{p, c}, p.refusal("CONNECT")
	}))
	s.Domain, s.AllowInsecureAuth, s.ReadTimeout, s.WriteTimeout = "post.example", true, time.Minute, time.Minute
	s.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.address, p.server, p.finished = l.Addr().String(), s, make(chan error, 1)
	config := &tls.Config{Certificates: []tls.Certificate{p.cert}}
	switch p.tls {
	case "tls":
		l = tls.NewListener(l, config)
	case "starttls":
		s.TLSConfig = config
	}
	p.listener = l
	go func(finished chan error) { finished <- s.Serve(l) }(p.finished)
	// shut receives its end, by p.finished.
}

func (p *post) shut() {
	p.server.Close()
	p.listener.Close() // the server does not know it yet, maybe
	<-p.finished
	p.finished <- nil // for a second shut
}

func (p *post) refusal(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refuse[what]
}

func (p *post) mails() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

type postSession struct {
	p *post
	c *smtp.Conn
}

func (s *postSession) AuthMechanisms() []string { return s.p.mechanisms }
func (s *postSession) Reset()                   {}
func (s *postSession) Logout() error            { return nil }

func (s *postSession) login(how, user, password string) error {
	if user != "me" || password != "s3cret" {
		return smtp.ErrAuthFailed
	}
	_, secure := s.c.TLSConnectionState()
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.logins = append(s.p.logins, how+map[bool]string{true: " in TLS"}[secure])
	return nil
}

func (s *postSession) Auth(mechanism string) (sasl.Server, error) {
	if mechanism == "LOGIN" {
		return &loginServer{check: func(user, password string) error { return s.login("LOGIN", user, password) }}, nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return s.login("PLAIN", user, password) }), nil
}

// loginServer is the LOGIN mechanism, of which the library has the client only.
type loginServer struct {
	check func(user, password string) error
	step  int
	user  string
}

func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

func (s *postSession) Mail(string, *smtp.MailOptions) error { return s.p.refusal("MAIL") }

func (s *postSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := s.p.refusal(to); err != nil {
		return err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.to = append(s.p.to, to)
	return nil
}

func (s *postSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err = errors.Join(err, s.p.refusal("DATA")); err != nil {
		return err.(interface{ Unwrap() []error }).Unwrap()[0]
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.got = append(s.p.got, string(b))
	return nil
}

func (p *post) sender(to ...string) *Mail {
	if to == nil {
		to = []string{"ops@example.com"}
	}
	m := &Mail{Server: SMTP{Address: p.address, TLS: p.tls, Roots: p.roots, Timeout: time.Minute, Name: "front.example"},
		From: "frontd <frontd@example.com>", To: to, Host: "web1", Log: slog.New(slog.DiscardHandler)}
	if p.mechanisms != nil {
		m.Server.Username, m.Server.Password = "me", "s3cret"
	}
	return m
}

func send(m *Mail) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return m.Send(ctx, oneIncident())
}

// read parses a message and its two parts.
func read(t *testing.T, raw string) (h mail.Header, text, html string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	var bodies []string
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, strings.ReplaceAll(string(b), "\r\n", "\n"))
	}
	if len(bodies) != 2 {
		t.Fatalf("%d parts in\n%s", len(bodies), raw)
	}
	return m.Header, bodies[0], bodies[1]
}

func TestMailIsTaken(t *testing.T) {
	for _, c := range []struct {
		mode       string
		mechanisms []string
		login      string
	}{{"starttls", nil, ""}, {"starttls", []string{"PLAIN"}, "PLAIN in TLS"}, {"starttls", []string{"LOGIN"}, "LOGIN in TLS"},
		{"tls", nil, ""}, {"tls", []string{"PLAIN", "LOGIN"}, "PLAIN in TLS"}, {"none", nil, ""}, {"none", []string{"PLAIN"}, "PLAIN"}} {
		t.Run(c.mode+" "+strings.Join(c.mechanisms, ","), func(t *testing.T) {
			p := newPost(t, c.mode, c.mechanisms...)
			if err := send(p.sender()); err != nil {
				t.Fatal(err)
			}
			if len(p.got) != 1 || !slices.Equal(p.to, []string{"ops@example.com"}) || strings.Join(p.logins, ";") != c.login {
				t.Errorf("%d mails to %v, logins %q", len(p.got), p.to, p.logins)
			}
			h, text, html := read(t, p.got[0])
			subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
			if want := "[web1] blog: ValueError: no, 3 times (k7f3)"; err != nil || subject != want {
				t.Errorf("subject %q (%v), want %q", subject, err, want)
			}
			if h.Get("Bcc") != "" || h.Get("Auto-Submitted") != "auto-generated" || h.Get("X-Frontd-Incident") != "k7f3" || !strings.HasSuffix(h.Get("Message-Id"), "@example.com>") {
				t.Errorf("header %v", h)
			}
			for _, want := range []string{"k7f3", "3 times", "/srv/blog/views.py:7 index", "raise ValueError(x)", "frontd incidents show k7f3"} {
				if !strings.Contains(text, want) || !strings.Contains(html, want) {
					t.Errorf("no %q in\n%s\n%s", want, text, html)
				}
			}
		})
	}
}

func TestMailRefusals(t *testing.T) {
	temporary := &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "later"}
	permanent := &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "no"}
	for _, where := range []string{"CONNECT", "MAIL", "ops@example.com", "DATA"} {
		for _, answer := range []*smtp.SMTPError{temporary, permanent} {
			p := newPost(t, "starttls")
			p.refuse[where] = answer
			err := send(p.sender())
			_, refused := errors.AsType[*Refusal](err)
			// A server that refuses to talk may be repaired: that is no word about the mail.
			if want := answer == permanent && where != "CONNECT"; err == nil || refused != want || !strings.Contains(err.Error(), answer.Message) {
				t.Errorf("%s %d: %v, refusal %v, want %v", where, answer.Code, err, refused, want)
			}
		}
	}
}

func TestOneRecipientOfSeveralIsRefused(t *testing.T) {
	p := newPost(t, "starttls")
	p.refuse["gone@example.com"] = &smtp.SMTPError{Code: 550, Message: "no such user"}
	var logged bytes.Buffer
	m := p.sender("gone@example.com", "ops@example.com", "boss@example.com")
	m.Log = slog.New(slog.NewTextHandler(&logged, nil))
	if err := send(m); err != nil {
		t.Fatal(err)
	}
	if n := len(p.mails()); n != 2 || !strings.Contains(logged.String(), "no such user") {
		t.Errorf("%d mails, log %s", n, &logged)
	}
	for _, to := range m.To {
		p.refuse[to] = p.refuse["gone@example.com"]
	}
	if err := send(m); err == nil {
		t.Error("nobody takes it, and that is success")
	}
}

func TestMailIsNotGivenToAnybody(t *testing.T) {
	for name, c := range map[string]struct {
		mode   string
		change func(m *Mail)
		want   string
	}{
		"unknown authority":   {"starttls", func(m *Mail) { m.Server.Roots = nil }, "certificate"},
		"unknown, from first": {"tls", func(m *Mail) { m.Server.Roots = nil }, "certificate"},
		"no STARTTLS":         {"none", func(m *Mail) { m.Server.TLS = "starttls" }, "STARTTLS"},
		"wrong password":      {"starttls", func(m *Mail) { m.Server.Password = "guess" }, "Authentication failed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPost(t, c.mode, "PLAIN")
			m := p.sender()
			c.change(m)
			err := send(m)
			if _, refused := errors.AsType[*Refusal](err); err == nil || refused || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "guess") {
				t.Errorf("%v, refusal %v", err, refused)
			}
			if len(p.mails()) != 0 {
				t.Error("it was sent")
			}
		})
	}
}

// A server that says nothing holds nobody longer than the context lets it.
func TestMailServerThatIsSlow(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := (&post{tls: "starttls", address: l.Addr().String()}).sender()
	m.Server.Timeout = time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Send(ctx, oneIncident()) }()
	// Received below.
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel()
	if err := <-ended; err == nil {
		t.Error("sent")
	}
}

func TestMailServerAwayThenBack(t *testing.T) {
	p := newPost(t, "starttls")
	p.shut()
	p.open(t, fmt.Sprintf("127.0.0.1:%d", counterpart.FreePort(t))) // where nobody else listens meanwhile
	m := p.sender()
	p.shut()
	if err := send(m); err == nil || len(p.mails()) != 0 {
		t.Fatalf("away: %v", err)
	}
	p.open(t, p.address)
	if err := send(m); err != nil || len(p.mails()) != 1 {
		t.Errorf("back: %v, %d mails", err, len(p.mails()))
	}
}

// What an application says becomes neither a header field nor markup nor a
// command of a terminal.
func TestMailOfAHostileError(t *testing.T) {
	const evil = "x\r\nBcc: all@example.com\r\n\r\n<script>alert(1)</script>\x1b[31m\u202egpj\u2028end"
	i := &incident.Incident{ID: "bad1", Kind: incident.Exception, App: evil, Count: 1, Detail: evil, Stderr: evil,
		Request:   &incident.Request{ID: evil, Method: evil, URL: evil, Client: evil},
		Traceback: &incident.Traceback{Type: evil, Message: evil, Frames: []incident.Frame{{File: evil, Function: evil, Code: evil}}}}
	m := (&post{}).sender()
	msg, err := m.message(Batch{News: []News{{Incident: i, New: true, Times: 1}, {Incident: i, Times: 7}}, Held: true, Rest: 4}, m.To)
	if err != nil {
		t.Fatal(err)
	}
	var raw bytes.Buffer
	if _, err := msg.WriteTo(&raw); err != nil {
		t.Fatal(err)
	}
	h, text, html := read(t, raw.String())
	if len(h["Bcc"]) != 0 || strings.ContainsAny(text+html, "\x1b\u202e\u2028\r") || strings.Contains(html, "<script") {
		t.Errorf("header %v\n%q\n%q", h, text, html)
	}
	for _, want := range []string{"6 incidents were held back", "and 4 more", "again, 7 times"} {
		if !strings.Contains(text, want) || !strings.Contains(html, want) {
			t.Errorf("no %q in\n%s\n%s", want, text, html)
		}
	}
}

func FuzzOneLine(f *testing.F) {
	f.Add("a\r\nb")
	f.Add("\x00\u2029\x85")
	f.Fuzz(func(t *testing.T, s string) {
		if got := oneLine(s, 20); strings.ContainsAny(got, "\r\n\x00\x1b\u2028\u2029\u202e\u0085") || len([]rune(got)) > 21 {
			t.Errorf("%q", got)
		}
	})
}
