package notice

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Webhook is a Sender that POSTs each incident as JSON: the object that
// "frontd incidents show ID --json" prints. Header fields say the rest:
//
//	X-Frontd-Event      "new" or "again"
//	X-Frontd-Incident   the incident's ID
//	X-Frontd-Times      how often it came since it was told last, at least 1
//	X-Frontd-Signature  t=UNIX-SECONDS,sha256=HEX, where there is a Secret:
//	                    HMAC-SHA256 of "UNIX-SECONDS." and the body
//
// Any answer of 2xx within the timeout is success. 408, 429, 5xx and no
// answer are tried again; anything else, a redirect too, is a refusal. The same
// incident may come twice, after a crash or a lost answer.
type Webhook struct {
	URL    string
	Header http.Header // added to each request
	Secret string      // "": no signature
	Agent  string      // User-Agent
	Client *http.Client
}

// WebhookRules are how often a webhook is called: each new incident at once,
// those that come again every digest.
func WebhookRules(digest, timeout time.Duration, perHour int) Rules {
	return Rules{Digest: digest, PerHour: perHour, Most: 1, Timeout: timeout}
}

// NewWebhookClient returns a client that follows no redirect: the secret
// header fields are for the address that was configured.
func NewWebhookClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// maxReply is how much of an answer is read, in bytes: enough to use the
// connection again, and to log what it says.
const maxReply = 4 << 10

// Send implements Sender.
func (h *Webhook) Send(ctx context.Context, b Batch) error {
	for _, n := range b.News {
		if err := h.post(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (h *Webhook) post(ctx context.Context, n News) error {
	r, err := h.request(ctx, n, time.Now())
	if err != nil {
		return &Refusal{err}
	}
	resp, err := h.Client.Do(r)
	if err != nil {
		return plainURLError(err)
	}
	defer resp.Body.Close()
	reply, _ := io.ReadAll(io.LimitReader(resp.Body, maxReply)) // only for the log
	return judge(resp.StatusCode, resp.Status, reply)
}

func (h *Webhook) request(ctx context.Context, n News, now time.Time) (*http.Request, error) {
	body, err := json.Marshal(n.Incident)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return nil, plainURLError(err)
	}
	for name, values := range h.Header {
		r.Header[name] = values
	}
	event := "again"
	if n.New {
		event = "new"
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", h.Agent)
	r.Header.Set("X-Frontd-Event", event)
	r.Header.Set("X-Frontd-Incident", n.Incident.ID)
	r.Header.Set("X-Frontd-Times", strconv.FormatUint(n.Times, 10))
	if h.Secret != "" {
		r.Header.Set("X-Frontd-Signature", Sign(h.Secret, now, body))
	}
	return r, nil
}

// Sign makes the value of X-Frontd-Signature. A receiver computes the same of
// what it got, compares in constant time, and refuses an old time.
func Sign(secret string, now time.Time, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.", now.Unix())
	mac.Write(body)
	return fmt.Sprintf("t=%d,sha256=%s", now.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

func judge(code int, status string, reply []byte) error {
	err := fmt.Errorf("webhook answered %s", status)
	if said := strings.TrimSpace(string(reply)); said != "" {
		err = fmt.Errorf("%w: %.200q", err, said)
	}
	switch {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500:
		return err
	}
	return &Refusal{err}
}

// plainURLError takes the address off an error: its path or query may be a
// secret, as with the hooks of chat services.
func plainURLError(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("webhook: %w", u.Err)
	}
	return err
}
