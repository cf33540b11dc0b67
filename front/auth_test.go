package front

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func bcryptLine(t testing.TB, user, password string) string {
	return user + ":" + string(mustMake[[]byte](t)(bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)))
}

func argonLine(user, password string) string {
	salt, b64 := []byte("saltsaltsaltsalt"), base64.RawStdEncoding.EncodeToString
	hash := argon2.IDKey([]byte(password), salt, 1, 64, 1, 32)
	return user + ":$argon2id$v=19$m=64,t=1,p=1$" + b64(salt) + "$" + b64(hash)
}

func authFor(t testing.TB, lines ...string) *BasicAuth {
	t.Helper()
	file := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return mustMake[*BasicAuth](t)(NewBasicAuth(file, `a "realm"`))
}

func TestBasicAuth(t *testing.T) { // RFC 7617
	a := authFor(t, "# people", "", bcryptLine(t, "ann", "pässword"), argonLine("bob", "se:cret"))
	a.failures = mustMake[*Rate](t)(NewRate(1000, time.Second, 0))
	var user, kind, forwarded string
	h := chainFor(t, Route{Auth: a, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, v := range ExchangeOf(r).Variables {
			switch v.Name {
			case "REMOTE_USER":
				user = v.Value
			case "AUTH_TYPE":
				kind = v.Value
			}
		}
		forwarded = r.Header.Get("Authorization")
	})})
	for _, c := range []struct {
		field, user string // "": 401
	}{
		{basic("ann", "pässword"), "ann"}, {basic("bob", "se:cret"), "bob"}, {strings.Replace(basic("bob", "se:cret"), "Basic ", "bAsIc  ", 1), "bob"},
		{basic("ann", "password"), ""}, {basic("ann", ""), ""}, {basic("", ""), ""}, {basic("eve", "pässword"), ""}, {basic("ann", "se:cret"), ""},
		{"Authorization: Basic", ""}, {"Authorization: Basic %%%", ""}, {"Authorization: Bearer abc", ""}, {"X: y", ""},
		{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ann")), ""}, {basic("ann", strings.Repeat("x", 2000)), ""}, {basic("a\nb", "c"), ""},
	} {
		for range 2 { // the second time from memory
			user, kind, forwarded = "", "", ""
			w := ask(h, "GET", "/", c.field)
			if user != c.user || (w.Code == 200) != (c.user != "") || forwarded != "" || (kind == "Basic") != (c.user != "") {
				t.Errorf("%s: %d, user %q, type %q, forwarded %q; want user %q", c.field, w.Code, user, kind, forwarded, c.user)
			}
			if c.user == "" && (w.Code != 401 || w.Header().Get("Www-Authenticate") != `Basic realm="a \"realm\"", charset="UTF-8"`) {
				t.Errorf("%s: %d, challenge %q", c.field, w.Code, w.Header().Get("Www-Authenticate"))
			}
		}
	}
	if len(a.known) != 2 {
		t.Errorf("%d pairs are remembered, want the two right ones", len(a.known))
	}
	if w := ask(h, "GET", "/", basic("ann", "pässword"), basic("ann", "x")); w.Code != 400 {
		t.Errorf("two fields: %d, want what strict says", w.Code)
	}
}

// A countingHash takes its time and counts who is at it.
type countingHash struct {
	now, most, all atomic.Int32
	hold           chan struct{}
}

func (c *countingHash) verify([]byte) bool {
	c.all.Add(1)
	n := c.now.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	<-c.hold
	c.now.Add(-1)
	return false
}

// A flood of wrong passwords from many addresses is verified a few at a time, and
// who was right before is served meanwhile.
func TestFloodOfWrongPasswords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &countingHash{hold: make(chan struct{})}
		a := authFor(t, bcryptLine(t, "ann", "right"))
		a.users["slow"], a.decoy = slow, slow
		h := chainFor(t, Route{Auth: a, Handler: http.HandlerFunc(ok)})
		if w := ask(h, "GET", "/", basic("ann", "right")); w.Code != 200 {
			t.Fatalf("the right one: %d", w.Code)
		}
		var all sync.WaitGroup
		var codes [64]int
		addr := netip.MustParseAddr("198.51.100.1")
		for i := range codes {
			addr = addr.Next()
			client := addr.String()
			all.Go(func() { codes[i] = ask(h, "GET", "/", "Client: "+client, basic("nobody", "wrong")).Code }) // waited for below
		}
		synctest.Wait()
		if n := int(slow.now.Load()); n != cap(a.verifying) {
			t.Errorf("%d are verified at once, want %d", n, cap(a.verifying))
		}
		if w := ask(h, "GET", "/", basic("ann", "right")); w.Code != 200 {
			t.Errorf("the right one in the flood: %d", w.Code)
		}
		time.Sleep(authPatience + time.Second) // virtual: the others are sent away
		close(slow.hold)
		all.Wait()
		count := map[int]int{}
		for _, code := range codes {
			count[code]++
		}
		if n := cap(a.verifying); count[401] != n || count[429] != len(codes)-n {
			t.Errorf("answers %v, want %d of 401 and the rest 429", count, n)
		}
	})
}

// One client that guesses is held to one try a second after ten.
func TestGuessingIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &countingHash{hold: make(chan struct{})}
		close(slow.hold)
		a := authFor(t, bcryptLine(t, "ann", "right"))
		a.users["ann"] = slow
		h := chainFor(t, Route{Auth: a, Handler: http.HandlerFunc(ok)})
		for i := range 100 {
			w := ask(h, "GET", "/", basic("ann", "guess"))
			if want := map[bool]int{true: 401, false: 429}[i < failuresAtOnce]; w.Code != want {
				t.Fatalf("guess %d: %d, want %d", i+1, w.Code, want)
			}
		}
		if n := slow.all.Load(); n != failuresAtOnce {
			t.Errorf("%d verified, want %d", n, failuresAtOnce)
		}
		time.Sleep(time.Second) // virtual
		if w := ask(h, "GET", "/", basic("ann", "guess")); w.Code != 401 {
			t.Errorf("a second later: %d", w.Code)
		}
	})
}

func TestPasswordFiles(t *testing.T) {
	good := bcryptLine(t, "ann", "x")
	for text, want := range map[string]string{
		good:                                    "",
		"# c\n\n" + good + "\r\n":               "",
		"ann":                                   "line 1",
		":x":                                    "line 1",
		good + "\nbob:plain":                    "line 2",
		"bob:$apr1$abc$def":                     "line 1",
		"bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=": "line 1",
		good + "\n" + good:                      "line 2",
		"bob:$2y$31$" + strings.Repeat("a", 53): "line 1", // hours
		"bob:$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$" + strings.Repeat("A", 43): "line 1", // 4 GiB
		"bob:$argon2id$v=19$m=64,t=1,t=1$c2FsdHNhbHQ$" + strings.Repeat("A", 43):      "line 1",
		"bob:$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$" + strings.Repeat("A", 43):       "line 1",
	} {
		_, err := parsePasswords([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "plain\"") || strings.Contains(err.Error(), "W6ph5")) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
	if _, err := NewBasicAuth(filepath.Join(t.TempDir(), "none"), "x"); err == nil {
		t.Error("a file that is not there was read")
	}
	long := mustMake[passwordHash](t)(parseHash(strings.SplitN(bcryptLine(t, "a", strings.Repeat("x", 72)), ":", 2)[1]))
	if !long.verify([]byte(strings.Repeat("x", 72))) || long.verify([]byte(strings.Repeat("x", 73))) {
		t.Error("a password over 72 bytes matches one that begins like it")
	}
}

func FuzzPasswordFile(f *testing.F) {
	f.Add([]byte(bcryptLine(f, "a", "b")))
	f.Add([]byte(argonLine("a", "b")))
	f.Add([]byte("#\n\na:$argon2id$v=19$m=1,t=1,p=1$$\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		users, err := parsePasswords(data)
		for name, hash := range users {
			if a, ok := hash.(argonHash); ok && (a.memory > maxArgonMemory || a.time > maxArgonTime || a.threads > maxArgonThreads) {
				t.Errorf("%q costs %+v", name, a)
			}
			if name == "" || err != nil {
				t.Errorf("user %q, error %v", name, err)
			}
		}
	})
}
