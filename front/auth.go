package front

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// As the process began: while it serves, it may give processors up for a time.
var processors = runtime.GOMAXPROCS(0)

// BasicAuth asks for a name and a password (RFC 7617). The application gets
// the name as REMOTE_USER and never the password.
//
// A hash that is worth its name costs a tenth of a second of CPU. So what was
// right once is remembered, in a keyed digest, for ten minutes; at most half
// of the CPUs verify at once; and a client that was wrong ten times waits a second
// for each further try. An unknown name costs what a known one does.
type BasicAuth struct {
	users     map[string]passwordHash
	decoy     passwordHash // what a password of an unknown name is held against
	challenge http.Header
	verifying chan struct{} // one for each verification under way
	failures  *Rate
	key       [32]byte // of this process: what is remembered is worth nothing outside

	mu    sync.Mutex // guards the field below
	known map[digest]time.Time
}

type digest [sha256.Size]byte

const (
	maxKnown       = 4096 // pairs remembered
	knownFor       = 10 * time.Minute
	maxCredentials = 1024            // bytes of the field
	authPatience   = 5 * time.Second // waiting for one's turn to be verified
	failuresAtOnce = 10
	failuresEach   = time.Second
	defaultRealm   = "restricted"
)

// NewBasicAuth reads a file of lines "name:hash" with hashes of bcrypt or
// argon2id. It is read this once: a reload makes a new one.
func NewBasicAuth(file, realm string) (*BasicAuth, error) {
	users, err := readPasswords(file)
	if err != nil {
		return nil, err
	}
	if realm == "" {
		realm = defaultRealm
	}
	for _, c := range []byte(realm) {
		if c < ' ' || c > '~' {
			return nil, fmt.Errorf("realm %q: want printable ASCII", realm)
		}
	}
	a := &BasicAuth{
		users: users, known: map[digest]time.Time{},
		challenge: http.Header{"Www-Authenticate": {"Basic realm=" + quotedString(realm) + `, charset="UTF-8"`}},
		verifying: make(chan struct{}, max(1, processors/2)),
	}
	a.failures, err = NewRate(1, failuresEach, failuresAtOnce)
	for _, hash := range users { // any: files are made with one setting
		a.decoy = hash
		break
	}
	rand.Read(a.key[:]) // never fails (crypto/rand)
	return a, err
}

// quotedString is RFC 9110 §5.6.4.
func quotedString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func (a *BasicAuth) stage(next http.Handler) http.Handler {
	if a == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := ExchangeOf(r)
		if fields := r.Header["Authorization"]; len(fields) == 1 {
			x.authorization = fields[0]
		}
		user, password, ok := credentials(x.authorization)
		if !ok {
			failWith(w, r, Unauthorized, "no user name and password", a.challenge)
			return
		}
		right, wait := a.check(r.Context(), x.Client.Addr(), user, password)
		switch {
		case right:
			delete(r.Header, "Authorization") // it was for us
			x.Variables = append(x.Variables[:0], Variable{"REMOTE_USER", user}, Variable{"AUTH_TYPE", "Basic"})
			next.ServeHTTP(w, r)
		case r.Context().Err() != nil:
			Fail(w, r, x.gone(), "while a password was verified")
		case wait > 0:
			failRate(w, r, wait, "wrong passwords, or too many to verify at once")
		default:
			failWith(w, r, Unauthorized, "wrong user name or password: "+strconv.Quote(user), a.challenge)
		}
	})
}

// credentials reads the field (RFC 7617 §2). A name has no colon.
func credentials(field string) (user, password string, ok bool) {
	scheme, token, _ := strings.Cut(field, " ")
	if len(field) > maxCredentials || !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	pair, err := base64.StdEncoding.DecodeString(strings.TrimLeft(token, " "))
	if err != nil {
		return "", "", false
	}
	user, password, ok = strings.Cut(string(pair), ":")
	control := func(c rune) bool { return c < ' ' || c == 0x7f }
	return user, password, ok && !strings.ContainsFunc(user+password, control)
}

// check says whether it is the user's password. wait is how long the client
// should wait, where it was not even looked at.
func (a *BasicAuth) check(ctx context.Context, client netip.Addr, user, password string) (right bool, wait time.Duration) {
	d := a.digest(user, password)
	if a.remembers(d) {
		return true, 0
	}
	if wait := a.failures.look(client); wait > 0 {
		return false, wait
	}
	if !a.enter(ctx) {
		return false, authPatience
	}
	defer func() { <-a.verifying }()
	if a.remembers(d) {
		return true, 0 // a request beside this one was faster
	}
	hash, known := a.users[user]
	if !known {
		hash = a.decoy
	}
	if hash == nil || !hash.verify([]byte(password)) || !known {
		return false, a.failures.take(client) // the last one that is let through is told like the others
	}
	a.remember(d)
	return true, 0
}

// enter waits for one's turn to be verified.
func (a *BasicAuth) enter(ctx context.Context) bool {
	select {
	case a.verifying <- struct{}{}:
		return true
	default:
	}
	patience := time.NewTimer(authPatience)
	defer patience.Stop()
	select {
	case a.verifying <- struct{}{}:
		return true
	case <-patience.C:
	case <-ctx.Done():
	}
	return false
}

// digest is keyed, so that the time it takes to look it up tells nothing of
// any password, and it is none to read in memory.
func (a *BasicAuth) digest(user, password string) (d digest) {
	mac := hmac.New(sha256.New, a.key[:])
	mac.Write([]byte(user + ":" + password)) // a name has no colon
	mac.Sum(d[:0])
	return d
}

func (a *BasicAuth) remembers(d digest) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.known[d]
	return ok && time.Now().Before(until)
}

// remember keeps at most maxKnown: only right passwords come here, so it
// takes as many users to fill it.
func (a *BasicAuth) remember(d digest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= maxKnown {
		clear(a.known)
	}
	a.known[d] = time.Now().Add(knownFor)
}
