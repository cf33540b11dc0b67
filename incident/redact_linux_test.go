package incident

import (
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a client or an application sends costs no more than its length: four
// times the text takes about four times the CPU, where a square takes 16 times.
// Each way in by itself, for one that is cheap, or cut, hides another's growth.
func TestLongTextTakesNoLongTime(t *testing.T) {
	runtime.LockOSThread() // spent counts this thread's time: other load does not matter
	defer runtime.UnlockOSThread()
	r := NewRedactor()
	ways := map[string]func(long string){
		"text": func(long string) { r.Text(long) },
		"URL":  func(long string) { (&Incident{Request: &Request{URL: "http://h/?" + long}}).clean(r, true) },
		"body": func(long string) {
			(&Incident{Request: &Request{Body: long, Headers: []Field{{"Content-Type", "application/json"}}}}).clean(r, true)
		},
	}
	for _, s := range []string{"a=", "password=", `"a":`, "<a>", "a:a@", "://", "4", "eyJ", `{"a":"`, `\"`, "[", "%25", "Cookie: ", "-----BEGIN PRIVATE KEY-----", "bearer ", "?a=", "/login/x1", "code=", "&code=1", "password is ", "a:a@h:1 ", `{"code":"`} {
		for way, clean := range ways {
			cost := func(n int) time.Duration {
				long := strings.Repeat(s, n/len(s))
				before := spent(t)
				clean(long)
				return spent(t) - before
			}
			// Of a shorter text regexp's faster machine takes care. What grows too fast
			// does so every time, what a neighbour did to the caches not; and a kernel that
			// counts by ticks finds none in a short time at first.
			n, n4 := cost(maxText/4), cost(maxText)
			for range 4 {
				if n4 <= 10*max(n, time.Millisecond) {
					break
				}
				n, n4 = max(n, cost(maxText/4)), min(n4, cost(maxText))
			}
			if n4 > 10*max(n, time.Millisecond) {
				t.Errorf("%q in a %s: %v, and %v for four times as much", s, way, n, n4)
			}
		}
	}
}

// spent is the calling thread's CPU time.
func spent(t *testing.T) time.Duration {
	t.Helper()
	const thread = 1 // RUSAGE_THREAD, getrusage(2)
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
