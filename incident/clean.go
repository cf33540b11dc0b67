package incident

import (
	"encoding/json"
	"strings"
)

// Bounds of an incident's texts.
const (
	maxText     = 16 << 10 // bytes of stderr, and of a raw traceback
	maxHeaders  = 64
	maxHeader   = 1 << 10 // bytes of a value
	maxURL      = 4 << 10
	maxLines    = 100 // of a worker's last, of requests in flight
	maxLineKept = 1 << 10
	maxStacks   = 600 // lines
	minValue    = 6   // bytes: a shorter secret is not looked for elsewhere, it would be found in every word
)

// clean takes all secrets out of i, and cuts it to its bounds. What a header
// or a field named as a secret is looked for everywhere else too: an
// application that says "no user hunter2" has said it.
func (i *Incident) clean(r *Redactor, locals bool) {
	values := i.secretValues(r)
	text := func(s string) string { return r.Text(values.Replace(s)) }
	i.Detail = clip(text(i.Detail), maxMessage)
	// What is cut in two where the end begins is no more known for a secret: that goes too.
	end := func(s string) string { return tail(text(tail(withoutHostLines(s), maxText+maxValue)), maxText) }
	i.Stderr, i.Raw = end(i.Stderr), end(i.Raw)
	if i.Raw == i.Stderr {
		i.Raw = "" // once is enough
	}
	i.LastLines = cleanLines(i.LastLines, maxLines, text)
	i.Stacks = cleanLines(i.Stacks, maxStacks, text)
	for n, s := range i.InFlight {
		i.InFlight[n] = clip(text(r.URL(s)), maxLineKept)
	}
	i.InFlight = i.InFlight[:min(len(i.InFlight), maxLines)]
	for t := i.Traceback; t != nil; t = t.Cause {
		t.Message, t.Notes = text(t.Message), text(t.Notes)
		for n := range t.Frames {
			f := &t.Frames[n]
			f.Code = r.Code(values.Replace(f.Code))
			if !locals {
				f.Locals = nil
			}
			for name, value := range f.Locals {
				if r.Secret(name) {
					f.Locals[name] = Removed
				} else {
					f.Locals[name] = text(value)
				}
			}
		}
	}
	i.Request.clean(r)
}

func (q *Request) clean(r *Redactor) {
	if q == nil {
		return
	}
	q.URL = clip(r.URL(q.URL), maxURL)
	q.Headers = q.Headers[:min(len(q.Headers), maxHeaders)]
	for n, h := range q.Headers {
		value := h.Value
		switch plain(h.Name) {
		case "referer", "origin", "xoriginalurl", "xforwardeduri", "xrewriteurl", "location":
			value = r.URL(value)
		}
		q.Headers[n].Value = clip(r.Header(h.Name, value), maxHeader)
	}
	if q.Form == nil && q.Body != "" {
		q.Form, q.Body = r.Body(q.header("Content-Type"), q.header("Content-Encoding"), []byte(q.Body))
	}
}

func (q *Request) header(name string) string {
	for _, h := range q.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// cleanLines cleans lines together: a private key has several. The list may be
// somebody else's too, as the last lines of a worker that did not start are.
func cleanLines(list []string, most int, text func(string) string) []string {
	list = list[max(0, len(list)-most):]
	if len(list) == 0 {
		return nil
	}
	clipped := make([]string, len(list))
	for i, s := range list {
		clipped[i] = clip(s, maxLineKept)
	}
	return strings.Split(text(strings.Join(clipped, "\n")), "\n")
}

// tail is the end of a text, from a line's beginning on, as UTF-8.
func tail(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= most {
		return s
	}
	s = s[len(s)-most:]
	if _, rest, ok := strings.Cut(s, "\n"); ok {
		s = rest
	}
	return "…\n" + strings.ToValidUTF8(s, "")
}

// fit takes away what an incident can best do without until it is within maxIncident.
func (i *Incident) fit() {
	for step := range 4 {
		if b, err := json.Marshal(i); err != nil || len(b) <= maxIncident {
			return
		}
		for t := i.Traceback; t != nil; t = t.Cause {
			for n := range t.Frames {
				t.Frames[n].Locals = nil
				if step > 0 {
					t.Frames[n].Source = nil
				}
			}
		}
		if step > 1 {
			i.Stacks, i.LastLines = i.Stacks[:min(len(i.Stacks), 100)], i.LastLines[:min(len(i.LastLines), 20)]
			i.Raw = ""
		}
		if step > 2 {
			i.Stacks, i.Traceback, i.Request = nil, nil, nil
		}
	}
}
