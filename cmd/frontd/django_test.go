package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/frontd/frontd/internal/counterpart"
)

// TestDjango serves a project with its admin: a visitor logs in, uploads,
// downloads, reads a stream and logs out. First as it is found in its folder, then with
// wsgiref's validator around it, its static files by the front, and a real browser.
func TestDjango(t *testing.T) {
	counterpart.NeedRun(t, "python3's django", "python3", "-c", "import django")
	dir := counterpart.Dir(t)
	copyApp(t, "django", dir)
	prepare := exec.CommandContext(t.Context(), "python3", "prepare.py")
	prepare.Dir = dir
	if out, err := prepare.CombinedOutput(); err != nil {
		t.Fatalf("prepare.py: %v\n%s", err, out)
	}
	t.Run("detected", func(t *testing.T) {
		r := serve(t, dir, ".", "-w", "1", "--threads", "2")
		r.AwaitLine(`detected .*manage.py names the settings shelf.settings.*Django`, patience)
		visitDjango(t, r)
	})
	t.Run("validated", func(t *testing.T) {
		r := serve(t, dir, configure(t, dir, jsonLog+`
[app.shelf]
kind = "wsgi"
target = "shelf.wsgi:application"
middleware = ["wsgiref.validate:validator"]
workers = 1
threads = 2
[[route]]
path = "/static/"
root = "static"
[[route]]
path = "/"
app = "shelf"
`)...)
		visitDjango(t, r)
		if css := r.get("/static/admin/css/base.css"); css.status != http.StatusOK || !strings.HasPrefix(css.header.Get("Content-Type"), "text/css") {
			t.Errorf("a style sheet: %d %v", css.status, css.header)
		}
		browseDjango(t, r)
		if strings.Contains(r.Log(), "AssertionError") || strings.Contains(r.Log(), "WSGIWarning") {
			t.Errorf("the validator complained: %s", r.Log())
		}
	})
}

// A visitor of the admin, with its cookies.
type visitor struct {
	*running
	client *http.Client
}

// visitDjango is a visit without a browser.
func visitDjango(t *testing.T, r *running) {
	t.Helper()
	v := &visitor{r, newClient(t)}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v.client.Jar = jar
	v.expect("GET", "/admin/", nil, http.StatusFound, "")
	v.expect("GET", "/admin/login/?next=/admin/", nil, http.StatusOK, "csrfmiddlewaretoken")
	v.expect("POST", "/admin/login/?next=/admin/", url.Values{"username": {"admin"}, "password": {"wrong"}}, http.StatusOK, "Please enter the correct")
	v.expect("POST", "/admin/login/?next=/admin/", url.Values{"username": {"admin"}, "password": {"secret"}}, http.StatusFound, "")
	v.expect("GET", "/admin/", nil, http.StatusOK, "Site administration")
	data := pattern(5 << 20) // more than Django keeps in memory
	v.upload("Größe & co", data)
	list := v.expect("GET", "/admin/papers/paper/", nil, http.StatusOK, "Größe &amp; co")
	id := regexp.MustCompile(`/admin/papers/paper/(\d+)/change/`).FindStringSubmatch(list)
	if id == nil {
		t.Fatalf("no paper is listed: %s", list)
	}
	if got := v.expect("GET", "/paper/"+id[1]+"/", nil, http.StatusOK, ""); got != string(data) {
		t.Errorf("%d bytes came back, sha256 %s, want %s", len(got), sumOf([]byte(got)), sumOf(data))
	}
	v.stream()
	v.expect("GET", "/broken/", nil, http.StatusInternalServerError, "")
	r.AwaitLine(`LookupError: no such shelf`, patience)
	v.expect("POST", "/admin/logout/", url.Values{}, http.StatusOK, "")
	v.expect("GET", "/admin/", nil, http.StatusFound, "")
	v.expect("GET", "/paper/"+id[1]+"/", nil, http.StatusFound, "")
}

// expect makes a request, of a form if there is one, and returns the answer.
func (v *visitor) expect(method, path string, form url.Values, status int, want string) string {
	v.t.Helper()
	kind, body := "", ""
	if form != nil {
		form.Set("csrfmiddlewaretoken", v.token())
		kind, body = "application/x-www-form-urlencoded", form.Encode()
	}
	return v.send(method, path, kind, strings.NewReader(body), status, want)
}

func (v *visitor) send(method, path, kind string, body io.Reader, status int, want string) string {
	v.t.Helper()
	a, err := ask(v.t.Context(), v.client, method, v.url+path, kind, body)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status != status || !strings.Contains(a.body, want) {
		v.t.Fatalf("%s %s: %d %.2000s; want %d with %q", method, path, a.status, a.body, status, want)
	}
	return a.body
}

// token is what Django wants with a form, of the cookie that it has set.
func (v *visitor) token() string {
	v.t.Helper()
	at, err := url.Parse(v.url)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.client.Jar.Cookies(at) {
		if c.Name == "csrftoken" {
			return c.Value
		}
	}
	v.t.Fatal("Django has set no csrftoken")
	return ""
}

func (v *visitor) upload(title string, data []byte) {
	v.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	form.WriteField("csrfmiddlewaretoken", v.token())
	form.WriteField("title", title)
	part, err := form.CreateFormFile("file", "paper.bin")
	if err != nil {
		v.t.Fatal(err)
	}
	part.Write(data)
	form.Close()
	v.send(http.MethodPost, "/admin/papers/paper/add/", form.FormDataContentType(), &body, http.StatusFound, "")
}

// stream reads a line of an answer whose next one is not made before another
// request has come.
func (v *visitor) stream() {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, v.url+"/stream/", nil)
	if err != nil {
		v.t.Fatal(err)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); line != "first\n" || err != nil {
		v.t.Fatalf("the stream begins with %q, %v", line, err)
	}
	v.expect("GET", "/go-on/", nil, http.StatusOK, "going on")
	if rest, err := io.ReadAll(lines); string(rest) != "last\n" || err != nil {
		v.t.Fatalf("the stream goes on with %q, %v", rest, err)
	}
}

// browseDjango is the same in chromium: log in, add with an upload, log out.
func browseDjango(t *testing.T, r *running) {
	t.Helper()
	ctx := browser(t)
	paper := filepath.Join(r.dir, "from-the-browser.txt")
	write(t, paper, "written on paper")
	do := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatal(err)
		}
	}
	do(chromedp.Navigate(r.url + "/admin/"))
	awaitText(t, ctx, "Username:")
	do(chromedp.SendKeys("#id_username", "admin"), chromedp.SendKeys("#id_password", "secret"), chromedp.Click(`input[type="submit"]`))
	awaitText(t, ctx, "Site administration")
	// The text of a page is there before its style sheets are.
	counterpart.Await(t, "the admin's style", patience, func() error {
		if ground := computed(t, ctx, "#header", "backgroundColor"); ground == "rgba(0, 0, 0, 0)" {
			return fmt.Errorf("its header has no colour; %s", r.Log())
		}
		return nil
	})
	do(chromedp.Navigate(r.url + "/admin/papers/paper/add/"))
	do(chromedp.SendKeys("#id_title", "from chromium"), chromedp.SetUploadFiles("#id_file", []string{paper}), chromedp.Click(`input[name="_save"]`))
	awaitText(t, ctx, "was added successfully")
	awaitText(t, ctx, "from chromium")
	do(chromedp.Click(`#logout-form button, #user-tools a[href$="/logout/"]`))
	awaitText(t, ctx, "Logged out")
	do(chromedp.Navigate(r.url + "/admin/"))
	awaitText(t, ctx, "Username:")
}

// computed is a property of the style that an element has in the end.
func computed(t *testing.T, ctx context.Context, selector, property string) string {
	t.Helper()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[string](`getComputedStyle(document.querySelector("`+selector+`")).`+property))
	if err != nil {
		t.Fatal(err)
	}
	return value
}
