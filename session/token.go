package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

const (
	tokenSize = 18 // bytes: 144 random bits
	macSize   = 18 // of HMAC-SHA256's 32
)

// A token is what a cookie says: the one secret that opens a session.
type token [tokenSize]byte

func newToken() (t token) {
	rand.Read(t[:]) // never fails
	return t
}

// key is where the session is stored: who reads the store has no cookie yet.
func (t token) key() Key { return sha256.Sum256(t[:]) }

var cookieEncoding = base64.RawURLEncoding.Strict()

// sign returns the cookie's value: the token and a code over it, so that what
// nobody was given costs no look into the store.
func (s *Sessions) sign(t token, scope string) string {
	var raw [tokenSize + macSize]byte
	copy(raw[:], t[:])
	s.mac(raw[:tokenSize], s.Secrets[0], t, scope)
	return cookieEncoding.EncodeToString(raw[:])
}

// verify returns the token of a cookie's value that a secret of ours has signed
// for this scope. newest says that it was the first of them.
func (s *Sessions) verify(value, scope string) (t token, newest, ok bool) {
	var raw [tokenSize + macSize]byte
	if len(value) != cookieEncoding.EncodedLen(len(raw)) {
		return t, false, false
	}
	if _, err := cookieEncoding.Decode(raw[:], []byte(value)); err != nil {
		return t, false, false
	}
	copy(t[:], raw[:])
	var sum [macSize]byte
	for i, secret := range s.Secrets {
		if hmac.Equal(s.mac(sum[:0], secret, t, scope), raw[tokenSize:]) {
			return t, i == 0, true
		}
	}
	return token{}, false, false
}

// mac appends the code of a token. It is for one name and one host: a cookie
// that is carried to another application's means nothing there.
func (s *Sessions) mac(dst, secret []byte, t token, scope string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("frontd session 1\x00" + s.Cookie.Name + "\x00" + scope + "\x00"))
	h.Write(t[:])
	return append(dst, h.Sum(nil)[:macSize]...)
}
