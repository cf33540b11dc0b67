package http1

import "strings"

// Classes of octets (RFC 9110 §5.6.2, RFC 9112 §3.2, RFC 3986 §3).
const (
	inToken  = 1 << iota // tchar
	inTarget             // VCHAR and obs-text; which of them mean anything is for the URL's parser
	inValue              // VCHAR, SP, HTAB and obs-text
	inHost               // what may stand in a Host, for net/http as well
	inPath               // what net/url takes and writes as itself in a path
)

var octets = func() (t [256]uint8) {
	const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	add := func(class uint8, chars string) {
		for _, c := range []byte(chars) {
			t[c] |= class
		}
	}
	add(inToken, alphanumeric+"!#$%&'*+-.^_`|~")
	add(inHost, alphanumeric+"!$%&'()*+,-.:;=[]_~")
	add(inPath, alphanumeric+"$&+,-./:;=@_~")
	for c := range 256 {
		if c > ' ' && c != 0x7f {
			t[c] |= inTarget | inValue
		}
	}
	add(inValue, " \t")
	return t
}()

func allIn(b []byte, class uint8) bool {
	for _, c := range b {
		if octets[c]&class == 0 {
			return false
		}
	}
	return true
}

// trimOWS takes optional white space (RFC 9110 §5.6.3) off both ends.
func trimOWS(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// equalFold compares with a lower-case ASCII string. strings.EqualFold would
// take U+212A for a k.
func equalFold[T []byte | string](b T, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range len(b) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// hasToken says whether a list of tokens has one that is given in lower case.
func hasToken(list, token string) bool {
	if len(list) == len(token) {
		return equalFold(list, token)
	}
	for item := range strings.SplitSeq(list, ",") {
		if equalFold(strings.Trim(item, " \t"), token) {
			return true
		}
	}
	return false
}

// number reads digits and nothing else: no sign, no "0x", no "_".
func number(b []byte, base int64) (n int64, ok bool) {
	for _, c := range b {
		d := digit(c)
		if d >= base || n > (1<<63-1-d)/base {
			return 0, false
		}
		n = n*base + d
	}
	return n, len(b) > 0
}

// digit returns the value of a digit up to f, 99 for anything else.
func digit(c byte) int64 {
	switch {
	case '0' <= c && c <= '9':
		return int64(c - '0')
	case 'a' <= c && c <= 'f':
		return int64(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int64(c-'A') + 10
	}
	return 99
}
