package front

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// A passwordHash knows whether a password is the one it was made of. verify
// takes as long for a wrong one as for the right one.
type passwordHash interface {
	verify(password []byte) bool
}

// Bounds of what one verification may cost, whatever the file says.
const (
	maxPasswordFile = 4 << 20
	maxBcryptCost   = 16        // about 4 s; 10 to 12 is usual
	maxArgonMemory  = 256 << 10 // KiB; OWASP asks for 19 MiB to 46 MiB
	maxArgonTime    = 16
	maxArgonThreads = 16
)

// Reasons for refusing a line.
var (
	errPasswordLine = errors.New(`want "name:hash"`)
	errPasswordHash = errors.New(`want a hash of bcrypt ("$2y$…", by htpasswd -B) or argon2id ("$argon2id$…"); MD5, SHA-1, crypt and plain text are not taken`)
	errArgon        = errors.New(`want "$argon2id$v=19$m=KIB,t=TIME,p=THREADS$SALT$HASH" within 256 MiB, time 16 and 16 threads`)
	errUserTwice    = errors.New("a name that stands there twice")
)

// readPasswords reads a file of lines "name:hash", as htpasswd -B makes it. Empty
// lines and those that begin with "#" are left out.
func readPasswords(path string) (map[string]passwordHash, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open password file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPasswordFile+1))
	if err == nil && len(data) > maxPasswordFile {
		err = fmt.Errorf("more than %d bytes", maxPasswordFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read password file %s: %w", path, err)
	}
	users, err := parsePasswords(data)
	if err != nil {
		return nil, fmt.Errorf("password file %s: %w", path, err)
	}
	return users, nil
}

// parsePasswords never shows a line in an error: it is a secret.
func parsePasswords(data []byte) (map[string]passwordHash, error) {
	users := map[string]passwordHash{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, text, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("line %d: %w", n, errPasswordLine)
		}
		hash, err := parseHash(text)
		if _, twice := users[name]; twice && err == nil {
			err = errUserTwice
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		users[name] = hash
	}
	return users, lines.Err()
}

func parseHash(s string) (passwordHash, error) {
	switch {
	case strings.HasPrefix(s, "$argon2id$"):
		return parseArgon(s)
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		cost, err := bcrypt.Cost([]byte(s))
		if err != nil || len(s) != 60 {
			return nil, errPasswordHash
		}
		if cost > maxBcryptCost {
			return nil, fmt.Errorf("bcrypt of cost %d, at most %d", cost, maxBcryptCost)
		}
		return bcryptHash(s), nil
	}
	return nil, errPasswordHash
}

type bcryptHash string

// verify: bcrypt takes 72 bytes; a longer password matches nothing, rather
// than everything that begins like it.
func (b bcryptHash) verify(password []byte) bool {
	short := password[:min(len(password), 72)]
	return bcrypt.CompareHashAndPassword([]byte(b), short) == nil && len(password) <= 72
}

// An argonHash is of argon2id (RFC 9106) in the form of the reference
// implementation, without padding in its base64.
type argonHash struct {
	memory, time uint32
	threads      uint8
	salt, hash   []byte
}

func parseArgon(s string) (passwordHash, error) {
	parts := strings.Split(s, "$") // "", "argon2id", "v=19", "m=…,t=…,p=…", salt, hash
	if len(parts) != 6 || parts[2] != "v=19" {
		return nil, errArgon
	}
	var m, t, p uint64
	for _, one := range strings.Split(parts[3], ",") {
		name, value, _ := strings.Cut(one, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		into := map[string]*uint64{"m": &m, "t": &t, "p": &p}[name]
		if err != nil || into == nil || *into != 0 {
			return nil, errArgon
		}
		*into = n
	}
	salt, err1 := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	hash, err2 := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	switch {
	case errors.Join(err1, err2) != nil,
		len(salt) < 8, len(salt) > 64, len(hash) < 16, len(hash) > 64, // RFC 9106 §3.1, and sense
		p < 1, p > maxArgonThreads, t < 1, t > maxArgonTime, m < 8*p, m > maxArgonMemory:
		return nil, errArgon
	}
	return argonHash{uint32(m), uint32(t), uint8(p), salt, hash}, nil
}

func (a argonHash) verify(password []byte) bool {
	got := argon2.IDKey(password, a.salt, a.time, a.memory, a.threads, uint32(len(a.hash)))
	return subtle.ConstantTimeCompare(got, a.hash) == 1
}
