package incident

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"unicode/utf8"
)

// Bounds of what is kept of a request's body.
const (
	maxFields     = 100     // of a form
	maxFieldValue = 1 << 10 // bytes of each
	maxParts      = 100     // of a multipart body
	maxBodyKept   = 8 << 10 // bytes, of what is no form
)

// Body says what may be kept of the first bytes of a request's body: the
// fields of a form, or text. A body that is neither, or is not what its type
// says, is not kept at all.
func (r *Redactor) Body(contentType, encoding string, head []byte) (form []Field, text string) {
	if len(head) == 0 {
		return nil, ""
	}
	if e := strings.ToLower(strings.TrimSpace(encoding)); e != "" && e != "identity" {
		return nil, fmt.Sprintf("[%s, not kept]", clip(e, 40))
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil && contentType != "" {
		kind, _, _ = strings.Cut(strings.ToLower(contentType), ";")
		kind = strings.TrimSpace(kind)
	}
	switch {
	case kind == "application/x-www-form-urlencoded":
		return r.clipped(r.fields(string(head), maxFields)), ""
	case strings.HasPrefix(kind, "multipart/"):
		return r.multipart(params["boundary"], head)
	case !isText(head):
		return nil, "[no text, not kept]"
	}
	text = strings.TrimSpace(string(head))
	switch {
	case kind == "application/json", strings.HasSuffix(kind, "+json"), strings.HasPrefix(text, "{"), strings.HasPrefix(text, "["):
		text = r.JSON(text)
	case looksLikeForm(text):
		text = r.Query(text)
	}
	return nil, clip(r.Text(text), maxBodyKept)
}

func (r *Redactor) clipped(list []Field) []Field {
	for i := range list {
		list[i].Name = clip(list[i].Name, maxFieldValue)
		list[i].Value = clip(list[i].Value, maxFieldValue)
	}
	return list
}

// multipart reads the parts that are there; the last may be cut. Of files
// only names are kept.
func (r *Redactor) multipart(boundary string, head []byte) ([]Field, string) {
	if boundary == "" {
		return nil, "[multipart without a boundary, not kept]"
	}
	var list []Field
	m := multipart.NewReader(bytes.NewReader(head), boundary)
	for range maxParts {
		part, err := m.NextRawPart()
		if err != nil {
			if len(list) == 0 {
				return nil, "[multipart not understood, not kept]"
			}
			break
		}
		name := part.FormName()
		value, err := io.ReadAll(io.LimitReader(part, maxBodyKept))
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			value = nil
		}
		field := Field{Name: name}
		switch {
		case part.FileName() != "":
			field.Value = fmt.Sprintf("[file %q, %s]", clip(r.Text(part.FileName()), 200), clip(part.Header.Get("Content-Type"), 100))
		case name == "" || r.secretPair(name, string(value), stranger):
			field.Value = Removed
		case part.Header.Get("Content-Transfer-Encoding") != "" || !isText(value):
			field.Value = "[not kept]"
		default:
			field.Value = r.value(string(value))
		}
		list = append(list, field)
	}
	return r.clipped(list), ""
}

// looksLikeForm says whether text of an unknown type reads as name=value&….
func looksLikeForm(s string) bool {
	return !strings.ContainsAny(s, " \n<{") && strings.Contains(s, "=")
}

// isText says whether bytes, whose last character may be cut, are UTF-8
// without control characters but for white space.
func isText(b []byte) bool {
	for len(b) > 0 {
		c, n := utf8.DecodeRune(b)
		switch {
		case c == utf8.RuneError && n <= 1:
			return len(b) < utf8.UTFMax && !utf8.FullRune(b)
		case c < ' ' && c != '\t' && c != '\n' && c != '\r', c == 0x7f:
			return false
		}
		b = b[n:]
	}
	return true
}

// clip cuts s to n bytes at most, between characters, and says so.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	n = max(n-len("…"), 0)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
