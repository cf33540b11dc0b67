package incident

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

// secret stands in every hostile shape below; it must be in no result.
const secret = "hunter2-Xk9"

// token is as links have them.
const token = "9c01" + secret + "aa77bb00"

func TestSecretsAreRemoved(t *testing.T) {
	r := NewRedactor("customer_no", "Größe")
	for _, c := range []struct{ why, got string }{
		{"authorization", r.Header("AuThOrIzAtIoN", "Bearer "+secret)},
		{"cookie", r.Header("Cookie", "a=b; c="+secret)},
		{"api key", r.Header("x-API-key", secret)},
		{"configured header", r.Header("X-Customer-No", secret)},
		{"credentials within a header's value", r.Header("X-Forwarded-Uri", "/?a=b&access_token="+secret)},
		{"query", r.URL("https://h/p?user=x&Pass%77ord=" + secret + "&y=1")},
		{"name encoded twice", r.URL("/?p%2561ssword=" + secret)},
		{"semicolons", r.URL("/?a=1;session=" + secret + ";b=2")},
		{"configured name, encoded", r.URL("/?Gr%C3%B6%C3%9Fe=" + secret)},
		{"userinfo", r.URL("https://user:" + secret + "@h/p")},
		{"fragment", r.URL("/cb#access_token=" + secret)},
		{"a URL within", r.URL("/go?next=https%3A%2F%2Fh%2F%3Ftoken%3D" + secret)},
		{"full-width letters", r.Query("ｐａｓｓword=" + secret)},
		{"brackets", r.Query("user[pass-word]=" + secret)},
		{"JSON", r.JSON(`{"a":{"b":[{"PassWord":"` + secret + `"}]}}`)},
		{"JSON, a table of secrets", r.JSON(`{"secrets":{"a":["` + secret + `",{"b":"` + secret + `"}],"c":1},"d":2}`)},
		{"JSON, an escaped name", r.JSON(`{"p\u0061ssword" : "` + secret + `"}`)},
		{"JSON, cut in the value", r.JSON(`{"password":"` + secret)},
		{"JSON, cut in a list", r.JSON(`{"tokens":["a","` + secret)},
		{"JSON within JSON", r.JSON(`{"payload":"{\"password\":\"` + secret + `\"}"}`)},
		{"JSON, escaped quotes", r.JSON(`{"password":"a\"` + secret + `","b":"c"}`)},
		{"JSON, a token as free text", r.JSON(`{"note":"use Bearer ` + secret + ` now"}`)},
		{"text", r.Text("login failed: password=" + secret + " user=x")},
		{"text, quoted", r.Text(`{'password': '` + secret + `', 'user': 'x'}`)},
		{"text, quoted with spaces", r.Text(`"secret_key" : "a b ` + secret + ` c"`)},
		{"text, a hash", r.Text(`{"api_key"=>"` + secret + `"}`)},
		{"text, bytes", r.Text(`password=b'` + secret + `'`)},
		{"text, a header", r.Text("Authorization: Basic " + secret + " more" + secret)},
		{"text, cookies", r.Text("Cookie: a=b; c=" + secret)},
		{"text, XML", r.Text("<a><user.password type='x'>" + secret + "</user.password></a>")},
		{"text, a URL", r.Text("connect postgres://u:" + secret + "@db/x failed")},
		{"text, a key", r.Text("-----BEGIN RSA PRIVATE KEY-----\n" + secret + "\n-----END RSA PRIVATE KEY-----")},
		{"text, half a key", r.Text("-----BEGIN PRIVATE KEY-----\n" + secret)},
		{"text, a web token", r.Text("got eyJhbGciOiJI.eyJ" + secret + ".abc")},
		{"text, PHP's var_dump", r.Text("[\"password\"]=>\n  string(8) \"" + secret + "\"")},
		{"text, pairs", r.Text("ImmutableMultiDict([('user', 'a'), ('password', '" + secret + "')])")},
		{"text, a header in a list", r.Text("('Set-Cookie', 'sid=" + secret + "; Path=/')")},
		{"text, Go's way to a database", r.Text("ann:" + secret + "@tcp(127.0.0.1:3306)/db")},
		{"text, a URL with @ in it", r.Text("postgres://u:p@" + secret + "@h/db")},
		{"text, a URL with / in it", r.Text("postgres://u:p/" + secret + "@h/db")},
		{"text, CDATA", r.Text("<password><![CDATA[" + secret + "]]></password>")},
		{"text, named by an attribute", r.Text("<field name='password' value='" + secret + "'/><field name=\"pin\">" + secret + "</field>")},
		{"text, named by the value beside", r.Text(`{"name": "password", "value": "` + secret + `"}`)},
		{"JSON, named by the value beside", r.value(`[{"key":"password","value":"` + secret + `"}]`)},
		{"text, an option", r.Text("mysql --password " + secret + " -u x")},
		{"text, curl's option", r.Text("curl -u ann:" + secret + " http://h")},
		{"text, SQL", r.Text("ALTER USER ann IDENTIFIED BY '" + secret + "'")},
		{"text, another quoting", r.Text(`password="""a "` + secret + `" b"""`)},
		{"text, another alphabet", r.Text("ｐａｓｓｗｏｒｄ=" + secret + " passwörd: " + secret)},
		{"text, an arrow", r.Text("password -> " + secret)},
		{"text, the end of a key", r.Text("MIIEvQIBADAN\n" + secret + "\n-----END PRIVATE KEY-----")},
		{"text, PGP's key", r.Text("-----BEGIN PGP PRIVATE KEY BLOCK-----\n" + secret + "\n-----END PGP PRIVATE KEY BLOCK-----")},
		{"a link of a mail", r.URL("https://h/reset-password/" + token)},
		{"Django's link", r.URL("/accounts/reset/MQ/c3yxjk-" + token + "/")},
		{"a link, encoded", r.URL("/Confirm%2Demail/" + token + "?a=b")},
		{"a link in text", r.Text("GET /invitations/" + token + " HTTP/1.1")},
		{"a UUID behind such a word", strings.ReplaceAll(r.URL("/verify/4f9c01aa-77aa-4bb0-9c01-"+"aa0077bbcc12"), "4f9c01aa", secret)},
		{"a token of capitals and small letters", strings.ReplaceAll(r.URL("/magic-link/aBcDeFgHiJkLmNoPqRsTuVwX"), "aBcDeFg", secret)},
		{"a hook", r.URL("/hooks/" + token)},
		{"a chat's hook", r.Text("post https://hooks.slack.com/services/T0000/B0000/" + token)},
		{"an encrypted web token", r.Text("got eyJhbGciOiJkaXIifQ..AxY8DCtDaGls." + secret + "." + secret + " here")},
		{"a web token behind a word", r.Text("jar_eyJhbGciOiJI.eyJ" + secret + ".abc")},
		{"Django's signed value", r.Text("bad signature eyJhIjoxfQ:1hMqU1:" + secret)},
		{"OAuth's answer", r.URL("/cb?code=4/" + secret + "&state=" + secret)},
		{"OAuth's answer, alone", r.URL("/cb?code=" + token)},
		{"OAuth's form", r.Query("grant_type=authorization_code&code=" + secret + "&redirect_uri=x")},
		{"OAuth's proof", r.Query("a=b&code_verifier=" + secret)},
		{"OAuth's query in text", r.Text(`"GET /cb?code=` + secret + `&state=` + secret + ` HTTP/1.1" 500`)},
		{"OAuth's body in JSON", r.JSON(`{"grant_type":"authorization_code","code":"` + secret + `"}`)},
		{"OAuth's answer, printed", r.Text("{'code': '" + token + "'}")},
		{"SAML", r.Query("SAMLResponse=" + secret)},
		{"said", r.Text("the password is " + secret + ", not x")},
		{"said of somebody", r.Text("Password for ann is '" + secret + "'")},
		{"said in quotes", r.Text("wrong password '" + secret + "' for ann")},
		{"said without a verb", r.Text("cannot log in with password " + secret + "!")},
		{"said in German", r.Text("Das Passwort lautet " + secret)},
		{"said, a word", strings.ReplaceAll(r.Text("Your password is swordfish."), "swordfish", secret)},
		{"said, a number", strings.ReplaceAll(r.Text("the pin is 4711"), "4711", secret)},
		{"said of a token", r.Text("api key is " + secret)},
		{"an address without a scheme", r.Text("dial ann:" + secret + "@db.example:5432 failed")},
		{"Oracle's address", r.Text("jdbc:oracle:thin:scott/" + secret + "@//h:1521/x")},
		{"code", r.Code(`connect(user="x", password="` + secret + `")`)},
		{"code, Go", r.Code(`password := "` + secret + `"`)},
		{"code, raw", r.Code("password := `" + secret + "`")},
		{"code, a default", r.Code(`os.environ.get("PASSWORD", "` + secret + `")`)},
		{"code, a prefix", r.Code(`password=rf"` + secret + `"`)},
	} {
		if strings.Contains(c.got, "hunter2") || strings.Contains(c.got, "Xk9") {
			t.Errorf("%s: %s", c.why, c.got)
		}
		if !strings.Contains(c.got, Removed) && !strings.Contains(c.got, "%5Bremoved%5D") {
			t.Errorf("%s: %s does not say that something is gone", c.why, c.got)
		}
	}
}

func TestBodies(t *testing.T) {
	r := NewRedactor()
	multipart := "--B\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nann\r\n" +
		"--B\r\nContent-Disposition: form-data; name*=utf-8''pass%77ord\r\n\r\n" + secret + "\r\n" +
		"--B\r\nContent-Disposition: form-data; name=\"PASS\"\r\n\r\n" + secret + "\r\n" +
		"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"id_rsa\"\r\nContent-Type: text/plain\r\n\r\n" + secret + "\r\n--B--\r\n"
	for _, c := range []struct{ why, kind, encoding, body, want string }{
		{"form", "application/x-www-form-urlencoded", "", "user=ann+b&passw%6Frd=" + secret, "user=ann b|passw%6Frd"},
		{"multipart", "multipart/form-data; boundary=B", "", multipart, "user=ann|PASS=[removed]|id_rsa"},
		{"multipart, cut", "multipart/form-data; boundary=B", "", multipart[:200], "user=ann"},
		{"multipart, another boundary", "multipart/form-data; boundary=C", "", multipart, "not understood"},
		{"multipart, none", "multipart/form-data", "", multipart, "not kept"},
		{"json", "application/json", "", `{"user":"ann","pin":{"otp":"` + secret + `"}}`, `"user":"ann"`},
		{"json of another type", "application/vnd.x+json", "", `[{"api-key":"` + secret + `"}]`, `"api-key":"[removed]"`},
		{"json, called a form", "text/plain", "", `{"password":"` + secret + `"}`, Removed},
		{"form, without a type", "", "", "a=b&token=" + secret, "a=b&token=[removed]"},
		{"form, a broken type", "application/x-www-form-urlencoded; charset", "", "a=b&token=" + secret, "a=b"},
		{"compressed", "application/json", "gzip", `{"password":"` + secret + `"}`, "not kept"},
		{"binary", "application/octet-stream", "", "\x00\x01" + secret, "not kept"},
		{"xml", "application/xml", "", "<x><password>" + secret + "</password></x>", "<password>[removed]</"},
	} {
		form, text := r.Body(c.kind, c.encoding, []byte(c.body))
		got := text
		for _, f := range form {
			got += "|" + f.Name + "=" + f.Value
		}
		if strings.Contains(got, secret) {
			t.Errorf("%s: %s", c.why, got)
		}
		for want := range strings.SplitSeq(c.want, "|") {
			if want = unescape(want); !strings.Contains(got, want) {
				t.Errorf("%s: %s\nhas no %s", c.why, got, want)
			}
		}
	}
}

// What the request calls a secret is one wherever else it stands.
func TestSecretsOfTheRequestElsewhere(t *testing.T) {
	field := func(name, value string) []Field { return []Field{{name, value}} }
	for _, c := range []struct {
		why     string
		query   string
		headers []Field
		body    string
	}{
		{"query", "?a=b&token=" + secret, nil, ""},
		{"cookie in quotes", "", field("Cookie", `a="`+secret+`"`), ""},
		{"cookie, encoded", "", field("Cookie", "a="+strings.ReplaceAll(secret, "-", "%2D")), ""},
		{"Basic", "", field("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("ann:"+secret))), ""},
		{"form", "", field("Content-Type", "application/x-www-form-urlencoded"), "%70assword=" + secret},
		{"form of no type", "", nil, "a=b&password=" + secret},
		{"multipart", "", field("Content-Type", "multipart/form-data; boundary=B"), "--B\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n" + secret + "\r\n--B--\r\n"},
		{"JSON", "", field("Content-Type", "application/json"), `{"user":{"password":"` + secret + `"}}`},
		{"JSON, a list", "", nil, `[{"tokens":["` + secret + `"]}]`},
		{"JSON, cut", "", nil, `{"password":"` + secret + `","x":[1`},
		{"JSON within JSON", "", nil, `{"payload":"{\"password\":\"` + secret + `\"}"}`},
		{"XML", "", field("Content-Type", "text/xml"), "<a><password>" + secret + "</password></a>"},
		{"XML, CDATA", "", nil, "<a><password><![CDATA[" + secret + "]]></password></a>"},
	} {
		i := &Incident{
			Detail: secret, Stderr: "no user " + secret + " here", Stacks: []string{secret}, LastLines: []string{secret}, InFlight: []string{secret},
			Traceback: &Traceback{Message: "no " + secret, Frames: []Frame{{Code: "x = '" + secret + "'"}}},
			Request:   &Request{URL: "http://h/" + c.query, Headers: c.headers, Body: c.body},
		}
		i.clean(NewRedactor(), true)
		b, err := json.Marshal(i)
		if err != nil || strings.Contains(string(b), "hunter2") {
			t.Errorf("%s: %s, %v", c.why, b, err)
		}
		if !strings.Contains(i.Stderr, "no user "+Removed+" here") {
			t.Errorf("%s: stderr %q", c.why, i.Stderr)
		}
	}
}

// A secret that stands where a long text is cut is gone, too.
func TestSecretAtTheCut(t *testing.T) {
	for shift := range len(secret) + len("password=") {
		i := &Incident{Stderr: strings.Repeat("x", 100) + " password=" + secret + " " + strings.Repeat("y", maxText-shift)}
		i.clean(NewRedactor(), false)
		if strings.Contains(i.Stderr, "Xk9") {
			t.Fatalf("%d bytes of it were left: %.40q", shift, i.Stderr)
		}
	}
}

func TestPlainStays(t *testing.T) {
	r := NewRedactor()
	for _, s := range []string{
		"KeyError: 'colour'", "at main.pl line 12.", "ZeroDivisionError: division by zero",
		`{"user": "ann", "n": 12, "list": [1, 2]}`, "GET /a?b=c&d=e", "user=ann author=bob", "File \"/srv/app.py\", line 3, in view",
		"order 20261121 of 1234567", "<a>b</a>", "def login(user, password):", "phone 0049 30 1234567",
		"invalid literal for int() with base 10: 'x', 'y'", "ls -l --color auto", "<p class=\"a\">b</p>", "a -> b", `{"name": "ann", "value": "1"}`,
		"https://h/users/@ann", "the pinned design is signed",
		"password is required", "The token is invalid.", "password is too short", "password is 8 characters or less", "Your password is incorrect.",
		"the password is stored in /etc/x", "password is hashed", "secret is safe", "Unexpected token '<' in JSON at position 0", "token is used by ann",
		"password sha256 is weak", "password field is empty", "password is base64-encoded", "password is case-sensitive", "passwords are hashed twice",
		"Basic authentication required", "digest mismatch", "negotiate protocols", "Bearer authentication",
		"/how-to-reset-2-passwords-in-django", "/reset/step-2-of-3-choose-a-name", "/login/", "/reset-password/", "/users/4f9c01aa-77aa-4bb0-9c01-aa0077bbcc12",
		"/usr/lib/python3/site-packages/django/contrib/auth/migrations/0011_update_proxy_permissions.py", "/srv/app/auth/password_validation.py",
		"/srv/authors/4f9c01aa77aa4bb09c01aa0077bbcc12", "code=404&state=CA", "/search?state=CA&code=90210", "state=running", "exit code: 139", "{'code': 'invalid_choice'}",
		"mailto:ann@example.com/x", "git@github.com:frontd/frontd.git", "at 12:30@noon", "ticket=FRONT-1234",
	} {
		if got := r.Text(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	for _, s := range []string{"/?state=CA&code=90210", "/a?code=404", "/p?ticket=FRONT-1234"} {
		if got := r.URL(s); got != s {
			t.Errorf("URL %q became %q", s, got)
		}
	}
	if got, want := r.Code(`password = form["password"]`), `password = form["password"]`; got != want {
		t.Errorf("code %q became %q", want, got)
	}
	if got := r.URL("https://h/a?b=c&d=%20e#f"); got != "https://h/a?b=c&d=%20e#f" {
		t.Errorf("URL became %q", got)
	}
}

func TestCardNumbers(t *testing.T) {
	if got := NewRedactor().Text("paid by 4111 1111 1111 1111, order 4111 1111 1111 1112"); strings.Contains(got, "1111 1111 1111 1111") || !strings.Contains(got, "1112") {
		t.Error(got)
	}
}

func FuzzRedactor(f *testing.F) {
	for _, s := range []string{`{"password":"x"}`, "a=b&token=c", "password='x", "https://a:b@c/?d=e", "--B\r\n\r\n"} {
		f.Add(s)
	}
	r := NewRedactor("x")
	f.Fuzz(func(t *testing.T, s string) {
		r.Text(s)
		r.URL(s)
		r.Code(s)
		r.Body("application/json", "", []byte(s))
		r.Body("multipart/form-data; boundary=B", "", []byte(s))
		// Whatever comes before it, a value behind a secret name is gone.
		if !strings.ContainsAny(s, `"\`) {
			if got := r.JSON(`{"` + plain(s) + `":[],"password":"` + secret + `"}`); strings.Contains(got, secret) {
				t.Errorf("%q", got)
			}
		}
		if got := r.Query(s + "&password=" + secret); strings.Contains(got, secret) {
			t.Errorf("%q", got)
		}
	})
}
