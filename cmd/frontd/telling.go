package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/notice"
)

// A telling is who is told of incidents: by mail, by a webhook.
type telling struct {
	// Immutable.
	log  *logbook
	dir  string // of the incidents, and of what was told
	kept *incident.Recorder

	changes sync.Mutex // guards the fields below
	begun   bool
	ended   bool // an heir tells

	heralds atomic.Pointer[[]*notice.Teller]
}

// A herald is one that a configuration asks for.
type herald struct {
	name   string
	sender notice.Sender
	rules  notice.Rules
}

// heraldsOf makes what the configuration asks for; its error says which file
// is not as it should be.
func heraldsOf(c *config.Config, log *logbook) ([]herald, error) {
	var list []herald
	if m := c.Mail; m.SMTP != "" {
		host, _ := os.Hostname() // "" leaves an empty place in the subject
		sender := &notice.Mail{
			Server: notice.SMTP{Address: m.SMTP, TLS: m.TLS, Username: m.Username, Password: m.Password, Timeout: mailTimeout},
			From:   m.From, To: m.To, Host: host, Log: log.Logger,
		}
		if m.CA != "" {
			pem, err := os.ReadFile(m.CA)
			if err != nil {
				return nil, fmt.Errorf("mail.ca: %w", err)
			}
			sender.Server.Roots = x509.NewCertPool()
			if !sender.Server.Roots.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("mail.ca: %s: no certificate in it", m.CA)
			}
		}
		list = append(list, herald{"mail", sender, notice.MailRules(m.PerHour, m.Digest)})
	}
	if w := c.Webhook; w.URL != "" {
		sender := &notice.Webhook{URL: w.URL, Secret: w.Secret, Agent: "frontd", Client: notice.NewWebhookClient(), Header: http.Header{}}
		for _, v := range w.Headers {
			sender.Header.Add(v.Name, v.Value)
		}
		list = append(list, herald{"webhook", sender, notice.WebhookRules(w.Digest, w.Timeout, w.PerHour)})
	}
	return list, nil
}

// mailTimeout bounds each step of a talk with a mail server.
const mailTimeout = 30 * time.Second

// begin lets the first tell, unless a reload has let others.
func (t *telling) begin(list []herald) error {
	t.changes.Lock()
	defer t.changes.Unlock()
	if t.begun {
		return nil
	}
	return t.replaceLocked(list)
}

// replace ends who told until now and lets others tell. What was told by the
// name of each is remembered beside the incidents.
func (t *telling) replace(list []herald) error {
	t.changes.Lock()
	defer t.changes.Unlock()
	return t.replaceLocked(list)
}

// end lets nobody tell any more.
func (t *telling) end() {
	t.changes.Lock()
	defer t.changes.Unlock()
	t.replaceLocked(nil) // never an error
	t.ended = true
}

func (t *telling) replaceLocked(list []herald) error {
	t.begun = true
	if old := t.heralds.Swap(nil); old != nil {
		for _, h := range *old {
			h.Close()
		}
	}
	if len(list) == 0 || t.ended {
		return nil
	}
	os.MkdirAll(t.dir, 0o700) // where it cannot be made, as on a full disk, Start says what that comes to
	var errs []error
	var heralds []*notice.Teller
	for _, h := range list {
		teller, err := notice.Start(h.name, filepath.Join(t.dir, "told."+h.name), t, h.sender, h.rules, t.log.Logger)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		heralds = append(heralds, teller)
	}
	t.heralds.Store(&heralds)
	for _, h := range heralds {
		h.Wake() // for what came before they were known
	}
	return errors.Join(errs...)
}

// wake says that incidents came, or came again. It does not wait.
func (t *telling) wake() {
	if heralds := t.heralds.Load(); heralds != nil {
		for _, h := range *heralds {
			h.Wake()
		}
	}
}

// Heads implements notice.Source.
func (t *telling) Heads() []notice.Head {
	list := t.kept.List()
	heads := make([]notice.Head, len(list))
	for n, s := range list {
		heads[n] = notice.Head{ID: s.ID, Count: s.Count, First: s.First, Last: s.Last, Mute: s.Quiet}
	}
	return heads
}

// Incident implements notice.Source.
func (t *telling) Incident(id string) *incident.Incident {
	i, err := t.kept.Get(id)
	if err != nil {
		return nil // it made room for another
	}
	return i
}

// errorPagesOf reads the pages that hold on a route.
func errorPagesOf(c *config.Config, r *config.Route) (*front.ErrorPages, error) {
	list := c.PagesOf(r)
	if len(list) == 0 {
		return nil, nil
	}
	files := make(map[int]string, len(list))
	for _, p := range list {
		files[p.Status] = p.File
	}
	return front.NewErrorPages(files)
}
