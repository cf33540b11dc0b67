package front

import (
	"math/rand/v2"
	"time"
)

// Crockford's base 32: sorts as the bits do, no letters that look like digits.
const idAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

const (
	idLen    = 26  // 48 bits of milliseconds and 80 random ones, 5 a letter
	maxIDLen = 128 // of an id that a trusted proxy hands in
)

// appendRequestID appends 26 letters that sort by time to the millisecond (the
// layout of a ULID). The random part makes ids differ, it guards nothing.
func appendRequestID(dst []byte, now time.Time) []byte {
	var b [idLen]byte
	ms := uint64(now.UnixMilli())
	for i := 9; i >= 0; i-- {
		b[i] = idAlphabet[ms&31]
		ms >>= 5
	}
	hi, lo := rand.Uint64(), rand.Uint64()
	for i := range 8 {
		b[10+i] = idAlphabet[hi>>(5*i)&31]
		b[18+i] = idAlphabet[lo>>(5*i)&31]
	}
	return append(dst, b[:]...)
}

// saneID allows what goes unescaped into a log line, a header and a file name.
func saneID(id string) bool {
	if id == "" || len(id) > maxIDLen || id[0] == '.' {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
