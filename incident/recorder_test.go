package incident

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A shelf is a recorder and what it told.
type shelf struct {
	*Recorder
	t       *testing.T
	dir     string
	news    []string
	again   []Summary
	trouble []error
}

func open(t *testing.T, dir string, o Options) *shelf {
	t.Helper()
	s := &shelf{t: t, dir: dir}
	o.Directory = dir
	o.New = func(i *Incident) { s.news = append(s.news, i.ID) }
	o.Again = func(list []Summary) { s.again = append(s.again, list...) }
	o.Trouble = func(err error) { s.trouble = append(s.trouble, err) }
	var err error
	if s.Recorder, err = Open(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// failure is what a request reports whose application raised an error at a line.
func failure(line int, request string) Report {
	return Report{
		Kind: Exception, App: "shop", Status: 500, Time: time.Now(), Place: "GET /", Request: request, PID: 7,
		Text: fmt.Appendf(nil, "Traceback (most recent call last):\n  File \"/srv/shop.py\", line %d, in %s\n    raise Oops()\nshop.Oops: no\n", line, word(line)),
		Fill: func(i *Incident) { i.Request = &Request{ID: request, Method: "GET", URL: "http://shop/"} },
	}
}

// word is a name for each number: names that only differ in digits may be the same error.
func word(n int) string {
	b := []byte("f_")
	for ; n > 0; n /= 26 {
		b = append(b, byte('a'+n%26))
	}
	return string(b)
}

func (s *shelf) record(r Report) string {
	s.t.Helper()
	i := s.Record(r)
	if i == nil {
		s.t.Fatal("not taken")
	}
	return i.ID
}

// counts are how often each has come, by ID.
func (s *shelf) counts() map[string]uint64 {
	m := make(map[string]uint64)
	for _, i := range s.List() {
		m[i.ID] = i.Count
	}
	return m
}

func (s *shelf) wants(why string, id string, count uint64) {
	s.t.Helper()
	if got := s.counts()[id]; got != count {
		s.t.Errorf("%s: %s came %d times, want %d", why, id, got, count)
	}
}

// The same error is one incident: told once, counted after that, found by any of
// its latest requests, and there again after an end.
func TestSameErrorIsOneIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "kept")
		s := open(t, dir, Options{})
		a := s.record(failure(1, "r1"))
		s.Flush()
		for n := range 20 {
			if again := s.record(failure(1, fmt.Sprint("r", n+2))); again != a {
				t.Fatalf("the same error is %s and %s", a, again)
			}
		}
		b := s.record(failure(2, "other"))
		time.Sleep(2 * flushEvery) // virtual: the counts go out by themselves
		synctest.Wait()
		if len(s.news) != 2 || len(s.again) != 1 || s.again[0].ID != a || s.again[0].Count != 21 {
			t.Errorf("new %v, again %+v", s.news, s.again)
		}
		i, err := s.Get("r21")
		if err != nil || i.ID != a || i.Request.ID != "r1" || i.Count != 21 || len(i.Seen) != maxSeen {
			t.Errorf("by a request's id: %+v, %v", i, err)
		}
		s.Close()
		if s.Record(failure(3, "late")) != nil {
			t.Error("a closed recorder takes more")
		}
		next := open(t, dir, Options{})
		next.wants("after a restart", a, 21)
		next.wants("after a restart", b, 1)
		if again := next.record(failure(1, "r22")); again != a {
			t.Errorf("after a restart the same error is %s, it was %s", again, a)
		}
		next.Close()
		if len(next.news) != 0 || len(next.trouble)+len(s.trouble) != 0 {
			t.Errorf("new %v; trouble %v %v", next.news, s.trouble, next.trouble)
		}
	})
}

// What a crash of frontd leaves is whole or is not there.
func TestCrashLeavesNothingTorn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	s := open(t, dir, Options{})
	a := s.record(failure(1, "r1"))
	s.Flush()
	for name, text := range map[string]string{
		".new-123": "{", "bcdefghjka.json": `{"id":"bcdefghjk`, countsName: `{"x":`, "notes.txt": "the operator's own",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	next := open(t, dir, Options{}) // s has not closed
	next.wants("after a crash", a, 1)
	if len(next.trouble) != 1 || len(next.List()) != 1 {
		t.Errorf("trouble %v, kept %v", next.trouble, next.List())
	}
	for name, want := range map[string]bool{".new-123": false, "bcdefghjka.json": false, "notes.txt": true, a + ".json": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v %v", fi.Mode(), err)
	}
}

// A storm of different errors: few are looked at, fewer kept, the disk stays
// within its bounds, and what came often outlives what came once.
func TestStormIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keep, size = 40, 1 << 20
		dir := filepath.Join(t.TempDir(), "kept")
		s := open(t, dir, Options{Bounds: Bounds{Keep: keep, Size: size}})
		often := s.record(failure(0, "first"))
		s.record(failure(0, "second")) // who came once makes room first
		taken, read, seconds := 0, 0, 10
		if os.Getenv("FRONTD_LONG") != "" {
			seconds = 60
		}
		for second := range seconds {
			for n := range 10_000 {
				r := failure(1+second*10_000+n, "")
				r.Fill = func(*Incident) { read++ }
				if s.Record(r) != nil {
					taken++
				}
			}
			s.record(failure(0, "again"))
			time.Sleep(time.Second) // virtual
			synctest.Wait()
		}
		if most := newAtOnce + seconds*newASecond; taken > most || read > most {
			t.Errorf("%d of %d were taken and %d looked at in full, want at most %d", taken, seconds*10_000, read, most)
		}
		s.Flush()
		s.mu.Lock()
		known := len(s.known.recent) + len(s.known.before)
		s.mu.Unlock()
		if known > maxKnown {
			t.Errorf("%d texts are remembered", known)
		}
		s.wants("what came every second", often, uint64(seconds)+2)
		if n := len(s.List()); n != keep {
			t.Errorf("%d are kept, want %d", n, keep)
		}
		files, bytes := onDisk(t, dir)
		if files > keep+1 || bytes > size+maxIncident {
			t.Errorf("%d files of %d bytes, want at most %d of %d", files, bytes, keep+1, size)
		}
		if len(s.trouble) == 0 || !strings.Contains(s.trouble[0].Error(), "were not looked at or kept") || len(s.trouble) > seconds {
			t.Errorf("told %d times of what was left out: %v", len(s.trouble), s.trouble[:min(1, len(s.trouble))])
		}
	})
}

func onDisk(t *testing.T, dir string) (files int, bytes int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		files, bytes = files+1, bytes+fi.Size()
	}
	return files, bytes
}

// Variants of one error in such number that each must be read anew do not make
// the recorder forget the text of another that comes every second.
func TestVariantsDoNotHideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, filepath.Join(t.TempDir(), "kept"), Options{})
		often := s.record(failure(0, "first"))
		for second := range 20 {
			for n := range 2 * looksAtOnce {
				r := failure(1, "")
				r.Text = append(r.Text, fmt.Sprintf("order %d", second*10_000+n)...)
				s.Record(r)
			}
			s.record(failure(0, "again"))
			time.Sleep(time.Second) // virtual
		}
		s.wants("what came every second", often, 21)
		if n := len(s.List()); n != 2 {
			t.Errorf("%d incidents, want 2", n)
		}
	})
}

// A bound of bytes holds, too: what is large makes room for what is new.
func TestSizeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "kept")
		s := open(t, dir, Options{Bounds: Bounds{Size: 16 << 10}})
		for n := range 12 {
			r := failure(n, "")
			r.Fill = func(i *Incident) { i.Stderr = strings.Repeat("x\n", 1<<10) }
			s.record(r)
			s.Flush()
		}
		if _, bytes := onDisk(t, dir); bytes > 16<<10 {
			t.Errorf("%d bytes on disk", bytes)
		}
		if n := len(s.List()); n < 3 || n > 7 {
			t.Errorf("%d are kept", n)
		}
	})
}

// Bounds that become narrower make room, those that become wider let more be kept.
func TestBoundsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "kept")
		s := open(t, dir, Options{Bounds: Bounds{Keep: 10}})
		record := func(first int) {
			for n := range 12 {
				s.record(failure(first+n, ""))
			}
			s.Flush()
		}
		kept := func(why string, want int) {
			t.Helper()
			s.Flush()
			if n := len(s.List()); n != want {
				t.Errorf("%s: %d are kept, want %d", why, n, want)
			}
			if files, _ := onDisk(t, dir); files > want+1 { // the counts are one
				t.Errorf("%s: %d files, want %d and the counts", why, files, want)
			}
		}
		record(0)
		kept("as opened", 10)
		s.Bound(Bounds{Keep: 4})
		kept("fewer", 4)
		s.Bound(Bounds{Keep: 20})
		record(100)
		kept("more", 16)
	})
}

// Over an upgrade two processes keep incidents in one folder. None is lost, none is
// counted twice, and neither takes away what the other is writing.
func TestHandOver(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	elder := open(t, dir, Options{})
	both := elder.record(failure(1, "e1"))
	elder.record(failure(1, "e2"))
	elder.Flush()
	half := filepath.Join(dir, ".new-elder")
	if err := os.WriteFile(half, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	heir := open(t, dir, Options{Guest: true})
	if _, err := os.Stat(half); err != nil {
		t.Errorf("the heir took away what the elder is writing: %v", err)
	}
	heir.wants("at the heir's start", both, 2)
	heir.record(failure(1, "h1"))
	elder.record(failure(1, "e3"))
	elders := elder.record(failure(2, "e4"))
	heirs := heir.record(failure(3, "h2"))
	fresh := heir.record(failure(4, "h3")) // to both of them at once
	elder.record(failure(4, "e5"))
	elder.record(failure(4, "e6"))
	elder.Flush()
	heir.Flush()
	heir.Look()
	heir.wants("in the middle", both, 4)
	heir.wants("of the elder", elders, 1)
	elder.record(failure(1, "e7"))
	elder.record(failure(2, "e8"))
	heir.record(failure(1, "h4"))
	elder.Close()
	heir.Own()
	check := func(why string, s *shelf) {
		t.Helper()
		for id, n := range map[string]uint64{both: 6, elders: 2, heirs: 1, fresh: 3} {
			s.wants(why, id, n)
		}
	}
	check("after the elder's end", heir)
	if i, err := heir.Get("e7"); err != nil || i.ID != both {
		t.Errorf("by a request of the elder's: %v, %v", i, err)
	}
	if _, err := os.Stat(half); err == nil {
		t.Error("what the elder left half written is still there")
	}
	heir.record(failure(1, "h5"))
	heir.Close()
	next := open(t, dir, Options{})
	next.wants("after a restart", both, 7)
	next.wants("after a restart", fresh, 3)
	if len(heir.trouble)+len(elder.trouble) > 0 {
		t.Error(heir.trouble, elder.trouble)
	}
}

// What became known later is added to its incident, whichever came first.
func TestAdd(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "kept"), Options{})
	stacks := func(i *Incident) { i.Stacks = []string{"at the till, password=hunter2"} }
	s.Add("r2", nil, stacks) // before
	a, b := s.record(failure(1, "r1")), s.record(failure(2, "r2"))
	s.Add("r1", nil, stacks)
	s.Flush()
	for _, id := range []string{a, b} {
		i, err := s.Get(id)
		if err != nil || len(i.Stacks) != 1 || strings.Contains(i.Stacks[0], "hunter2") {
			t.Errorf("%+v, %v", i, err)
		}
	}
	if n := s.Clear(); n != 2 || len(s.List()) != 0 {
		t.Errorf("%d forgotten, %v left", n, s.List())
	}
	if files, _ := onDisk(t, s.dir); files != 0 {
		t.Errorf("%d files are left", files)
	}
}

// BenchmarkStorm is what a request pays for an error of its own that is one too
// many: all texts are different, and of a traceback's usual length.
func BenchmarkStorm(b *testing.B) {
	r, err := Open(Options{Directory: filepath.Join(b.TempDir(), "kept")})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	text := []byte("Traceback (most recent call last):\n" + strings.Repeat("  File \"/srv/shop/views.py\", line 100, in view\n    return total(cart)\n", 40) + "shop.Oops: ")
	p := failure(1, "request")
	begin := p.Time
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		p.Text = fmt.Appendf(text[:len(text):cap(text)], "%d %s\n", n, word(n))
		p.Time = begin.Add(time.Duration(n) * 100 * time.Microsecond) // 10,000 a second
		r.Record(p)
	}
}

// Where only a traceback tells of an error, a text without one is none, however often it comes.
func TestTraced(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	r := failure(3, "r")
	r.Traced, r.Status = true, 200
	none := r
	none.Text = []byte("grep: x: no such file\n")
	for range 2 * looksAtOnce {
		if i := s.Record(none); i != nil {
			t.Fatalf("an incident of a text that tells of no error: %+v", i)
		}
	}
	id := s.record(r) // the looks were not used up
	s.Flush()
	s.wants("a traceback", id, 1)
}
