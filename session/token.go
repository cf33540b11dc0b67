package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"hash"
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
	s.mac(raw[:tokenSize], 0, t, scope)
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
	for i := range s.Secrets {
		if hmac.Equal(s.mac(sum[:0], i, t, scope), raw[tokenSize:]) {
			return t, i == 0, true
		}
	}
	return token{}, false, false
}

// mac appends the code of a token by one of the secrets. It is for one name and
// one host: a cookie that is carried to another application's means nothing there.
func (s *Sessions) mac(dst []byte, secret int, t token, scope string) []byte {
	h, ok := s.macs[secret].Get().(hash.Hash)
	if !ok {
		h = hmac.New(sha256.New, s.Secrets[secret])
	}
	defer s.macs[secret].Put(h)
	h.Reset() // it keeps what the secret itself comes to
	b := make([]byte, 0, sha256.BlockSize+sha256.Size)
	b = append(append(b, "frontd session 1\x00"...), s.Cookie.Name...)
	b = append(append(append(b, 0), scope...), 0)
	h.Write(append(b, t[:]...))
	return append(dst, h.Sum(b[:0])[:macSize]...)
}
