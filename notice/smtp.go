package notice

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/wneessen/go-mail"
)

// An SMTP is a mail server to hand mail to.
type SMTP struct {
	Address  string // host:port
	TLS      string // "starttls" (and nothing without it), "tls" from the first byte on, or "none"
	Roots    *x509.CertPool
	Username string // "": no authentication
	Password string
	Name     string // ours in EHLO; "": the machine's
	Timeout  time.Duration
}

// MailRules are how often mail is sent.
func MailRules(perHour int, digest time.Duration) Rules {
	return Rules{Window: mailWindow, Digest: digest, PerHour: perHour, Most: mostInMail, Rest: true, Timeout: time.Minute}
}

// mailWindow is how long a new incident waits for others: what breaks with one
// deployment is one mail.
const mailWindow = 2 * time.Second

// send hands one message over, to all recipients or to none. The library
// heeds no context once it is connected, and forgets a connection whose login
// failed: both are seen to here.
func (s *SMTP) send(ctx context.Context, m *mail.Msg) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // closes the connection
	c, err := s.client(func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(dialing, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		if s.TLS == "tls" {
			return tls.Client(conn, s.tlsConfig()), nil
		}
		return conn, nil
	})
	if err != nil {
		return &Refusal{err}
	}
	client, err := c.DialToSMTPClientWithContext(ctx)
	if err == nil {
		if err = c.SendWithSMTPClient(client, m); err == nil {
			// What is said to a QUIT is no matter: the mail was taken.
			_ = c.CloseWithSMTPClient(client)
			return nil
		}
	}
	return s.judge(err)
}

func (s *SMTP) tlsConfig() *tls.Config {
	host, _, _ := net.SplitHostPort(s.Address)
	return &tls.Config{ServerName: host, RootCAs: s.Roots, MinVersion: tls.VersionTLS12}
}

func (s *SMTP) client(dial mail.DialContextFunc) (*mail.Client, error) {
	host, digits, err := net.SplitHostPort(s.Address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(digits)
	if err != nil {
		return nil, err
	}
	policy := mail.TLSMandatory
	if s.TLS == "tls" || s.TLS == "none" { // in TLS already, or not to be
		policy = mail.NoTLS
	}
	opts := []mail.Option{
		mail.WithPort(port), mail.WithTimeout(s.Timeout), mail.WithTLSConfig(s.tlsConfig()), mail.WithTLSPolicy(policy),
		mail.WithDialContextFunc(dial),
	}
	if s.Name != "" {
		opts = append(opts, mail.WithHELO(s.Name))
	}
	if s.Username != "" {
		// PLAIN and LOGIN show the password: the library refuses them without
		// TLS, but for a server on this machine.
		opts = append(opts, mail.WithUsername(s.Username), mail.WithPassword(s.Password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	return mail.NewClient(host, opts...)
}

// judge tells a message that is not wanted from a server that is away, busy,
// or wants another password: those may change by themselves or by its keeper.
func (s *SMTP) judge(err error) error {
	var refused *mail.SendError
	if errors.As(err, &refused) && !refused.IsTemp() {
		switch refused.Reason {
		case mail.ErrSMTPMailFrom, mail.ErrSMTPRcptTo, mail.ErrSMTPData, mail.ErrSMTPDataClose:
			if refused.ErrorCode() >= 500 {
				return &Refusal{fmt.Errorf("mail to %s: %w", s.Address, err)}
			}
		}
	}
	return fmt.Errorf("mail to %s: %w", s.Address, err)
}
