package incident

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"hash"
	"path"
	"strconv"
	"strings"
)

// identity is what the ID is written in: no letters that look like digits.
var identity = base32.NewEncoding("abcdefghjkmnpqrstvwxyz0123456789").WithPadding(base32.NoPadding)

const idLength = 10 // characters, 50 bits

// IDOf is the id of a fingerprint.
func IDOf(fingerprint string) string {
	raw, err := hex.DecodeString(fingerprint)
	if err != nil {
		raw = []byte(fingerprint)
	}
	s := identity.EncodeToString(raw)
	return s[:min(len(s), idLength)]
}

// fingerprint is the same for the same error: of the same application, by
// the same calls, with the same message but for the numbers, addresses and
// quoted words in it. A call is told by its function and its line of source,
// so that an edit above it changes nothing; by the line's number only where
// neither is known.
func fingerprint(i *Incident, place string) string {
	h := sha256.New()
	part(h, i.App)
	if t := i.Traceback; t != nil {
		for ; t != nil; t = t.Cause {
			t.sum(h)
		}
	} else {
		part(h, string(i.Kind), i.Cause, constant(place), constant(firstLine(i.Detail)), strconv.Itoa(i.Status))
		if w := i.Worker; w != nil {
			part(h, w.Signal, strconv.Itoa(w.Status), strconv.FormatBool(w.OOM))
		}
		part(h, constant(firstLine(i.Raw)))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (t *Traceback) sum(h hash.Hash) {
	part(h, t.Language, t.Type, constant(t.Message))
	before := ""
	for _, f := range t.Frames {
		where := f.Code
		if where == "" && strings.Trim(f.Function, "<>{}main:") == "" {
			where = strconv.Itoa(f.Line)
		}
		this := path.Base(f.File) + "\x00" + constant(f.Function) + "\x00" + where
		if this != before { // a recursion is the same at any depth
			part(h, this)
		}
		before = this
	}
}

func part(h hash.Hash, parts ...string) {
	for _, p := range parts {
		h.Write([]byte(p)) // never fails
		h.Write([]byte{0xff})
	}
}

// maxConstant is how much of a message tells errors apart, in bytes.
const maxConstant = 300

// constant is a text without what differs from one time to the next: numbers,
// addresses, UUIDs, what stands in quotes.
func constant(s string) string {
	s = s[:min(len(s), maxConstant)]
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		c := s[i]
		if c == '\'' || c == '"' || c == '`' {
			if end := strings.IndexByte(s[i+1:], c); end >= 0 && (i == 0 || !letter(s[i-1])) {
				b = append(b, c, c)
				i += end + 2
				continue
			}
		}
		if word := wordAt(s[i:]); word > 0 {
			if varies(s[i : i+word]) {
				b = append(b, '#')
			} else {
				b = append(b, s[i:i+word]...)
			}
			i += word
			continue
		}
		b = append(b, c)
		i++
	}
	return string(b)
}

func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
}

func wordAt(s string) int {
	n := 0
	for n < len(s) && letter(s[n]) {
		n++
	}
	return n
}

// varies says whether a word is a number, an address or some other value: it
// has digits and is more than a name with a digit at its end.
func varies(word string) bool {
	digits := 0
	for i := range len(word) {
		if word[i] >= '0' && word[i] <= '9' {
			digits++
		}
	}
	return digits > 0 && (word[0] >= '0' && word[0] <= '9' || digits > 2)
}
