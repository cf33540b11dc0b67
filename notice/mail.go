package notice

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// A Mail is a Sender that mails a batch.
type Mail struct {
	Server SMTP
	From   string   // "name@example.com" or "Name <name@example.com>"
	To     []string // likewise, at least one
	Host   string   // the machine's name, for the subject
	Log    *slog.Logger
}

// mostInMail and wholeInMail bound a mail: how many incidents are in it, and
// how many of them with their traceback.
const (
	mostInMail  = 50
	wholeInMail = 5
)

// Send implements Sender. Where the server takes some of the recipients only,
// those get it, and it is done.
func (m *Mail) Send(ctx context.Context, b Batch) error {
	msg, err := m.message(b, m.To)
	if err != nil {
		return &Refusal{err}
	}
	err = m.Server.send(ctx, msg)
	var refused *mail.SendError
	if len(m.To) < 2 || !errors.As(err, &refused) || refused.Reason != mail.ErrSMTPRcptTo {
		return err
	}
	var taken int
	var errs []error
	for _, to := range m.To {
		if msg, err = m.message(b, []string{to}); err == nil {
			err = m.Server.send(ctx, msg)
		}
		if err == nil {
			taken++
		} else {
			errs = append(errs, fmt.Errorf("%s: %w", to, err))
		}
	}
	err = errors.Join(errs...)
	if taken > 0 && err != nil {
		m.Log.Warn("mail not taken for all recipients", "err", err)
		return nil
	}
	return err
}

// message is the mail of a batch. Every header field of it is of one line,
// whatever an application's error says.
func (m *Mail) message(b Batch, to []string) (*mail.Msg, error) {
	msg := mail.NewMsg()
	if err := msg.From(m.From); err != nil {
		return nil, err
	}
	if err := msg.To(to...); err != nil {
		return nil, err
	}
	msg.Subject(oneLine(m.subject(b), maxSubject))
	msg.SetDate()
	msg.SetMessageIDWithValue(messageID(m.From))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5: no vacation notice comes back
	msg.SetGenHeader("X-Frontd-Incident", oneLine(b.News[0].Incident.ID, maxSubject))
	l := m.letter(b)
	text, html, err := l.render()
	if err != nil {
		return nil, err
	}
	msg.SetBodyString(mail.TypeTextPlain, text)
	msg.AddAlternativeString(mail.TypeTextHTML, html)
	return msg, nil
}

// messageID is of the sender's domain: the library's own has the machine's name and process.
func messageID(from string) string {
	_, domain, _ := strings.Cut(strings.TrimRight(from, "> "), "@")
	return strings.ToLower(rand.Text()) + "@" + domain
}

// maxSubject bounds a header field, in runes: it is folded, but read in one line.
const maxSubject = 160

func (m *Mail) subject(b Batch) string {
	first := b.News[0]
	where := "[" + m.Host + "] "
	n := len(b.News) + b.Rest
	switch {
	case n == 1 && first.New:
		return where + appOf(first) + first.Incident.Title() + times(first.Times) + " (" + first.Incident.ID + ")"
	case n == 1:
		return where + "again" + times(first.Times) + ": " + appOf(first) + first.Incident.Title() + " (" + first.Incident.ID + ")"
	case first.New:
		return fmt.Sprintf("%s%d incidents, first: %s%s (%s)", where, n, appOf(first), first.Incident.Title(), first.Incident.ID)
	}
	return fmt.Sprintf("%s%d incidents again, most often: %s%s (%s)", where, n, appOf(first), first.Incident.Title(), first.Incident.ID)
}

func appOf(n News) string {
	if n.Incident.App == "" {
		return ""
	}
	return n.Incident.App + ": "
}

func times(n uint64) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(", %d times", n)
}

// oneLine makes s fit to be a header field or a line: no control character,
// no line or paragraph separator, no direction mark, and a bound.
func oneLine(s string, most int) string {
	var out strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > most {
			out.WriteRune('…')
			break
		}
		out.WriteRune(harmless(r))
	}
	return strings.Join(strings.Fields(out.String()), " ")
}

func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") }
