package notice

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frontd/frontd/incident"
)

// kept is a Source.
type kept struct {
	mu   sync.Mutex // guards the field below
	list map[string]*incident.Incident
	mute map[string]bool
}

func (k *kept) Heads() []Head {
	k.mu.Lock()
	defer k.mu.Unlock()
	var heads []Head
	for _, i := range k.list {
		heads = append(heads, Head{ID: i.ID, Count: i.Count, First: i.First, Last: i.Last, Mute: k.mute[i.ID]})
	}
	return heads
}

func (k *kept) Incident(id string) *incident.Incident {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := k.list[id]
	if i == nil {
		return nil
	}
	c := *i
	return &c
}

// come has an incident come n times.
func (k *kept) come(id string, n uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := k.list[id]
	if i == nil {
		i = &incident.Incident{ID: id, First: time.Now(), Kind: incident.Exception}
		k.list[id] = i
	}
	i.Count, i.Last = i.Count+n, time.Now()
}

// tape is a Sender that notes what it is given, and fails as told.
type tape struct {
	mu    sync.Mutex // guards the fields below
	begun time.Time
	sent  []string
	fails error
	tries int
	hang  bool
}

func (s *tape) Send(ctx context.Context, b Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	if s.hang {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return ctx.Err()
	}
	if s.fails != nil {
		return s.fails
	}
	line := time.Since(s.begun).Round(time.Second).String() + ":"
	for _, n := range b.News {
		line += fmt.Sprintf(" %s%s×%d", map[bool]string{true: "new ", false: ""}[n.New], n.Incident.ID, n.Times)
	}
	if b.Rest > 0 {
		line += fmt.Sprintf(" and %d", b.Rest)
	}
	if b.Held {
		line += " held"
	}
	s.sent = append(s.sent, line)
	return nil
}

func (s *tape) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = err
}

func (s *tape) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// A scene is a Teller with all around it, on virtual time.
type scene struct {
	*testing.T
	*kept
	*tape
	teller *Teller
	path   string
	log    bytes.Buffer
	rules  Rules
}

func newScene(t *testing.T, rules Rules) *scene {
	s := &scene{T: t, kept: &kept{list: map[string]*incident.Incident{}, mute: map[string]bool{}},
		tape: &tape{begun: time.Now()}, path: filepath.Join(t.TempDir(), "told.json"), rules: rules}
	s.start()
	return s
}

func (s *scene) start() {
	s.Helper()
	var err error
	if s.teller, err = Start("mail", s.path, s.kept, s.tape, s.rules, slog.New(slog.NewTextHandler(&s.log, nil))); err != nil {
		s.Fatal(err)
	}
	synctest.Wait()
}

// after lets d pass.
func (s *scene) after(d time.Duration) {
	time.Sleep(d) // of virtual time
	synctest.Wait()
}

func (s *scene) came(id string, n uint64) {
	s.come(id, n)
	s.teller.Wake()
	synctest.Wait()
}

func (s *scene) wantSent(why string, want ...string) {
	s.Helper()
	if got := s.heard(); !slices.Equal(got, want) {
		s.Errorf("%s: sent\n  %s\nwant\n  %s", why, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

var rules = Rules{Window: 2 * time.Second, Digest: 5 * time.Minute, PerHour: 3, Most: 3, Rest: true, Timeout: time.Minute}

func inScene(t *testing.T, rules Rules, play func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, rules)
		play(s)
		s.teller.Close()
	})
}

func TestNewOnesAtOnceRepeatsInADigest(t *testing.T) {
	inScene(t, rules, func(s *scene) {
		s.came("a", 1)
		s.after(time.Second)
		s.came("b", 2)
		s.wantSent("within the window nothing is sent")
		s.after(time.Second)
		s.wantSent("both in one", "2s: new a×1 new b×2")
		for range 10 {
			s.after(time.Second)
			s.came("a", 5)
			s.came("b", 1)
		}
		s.wantSent("what was told before waits for the digest", "2s: new a×1 new b×2")
		s.after(5 * time.Minute)
		s.wantSent("the digest", "2s: new a×1 new b×2", "5m2s: a×50 b×10")
		s.after(time.Hour)
		s.wantSent("nothing came, nothing is said", "2s: new a×1 new b×2", "5m2s: a×50 b×10")
	})
}

// What came and was told before the clock was set back, as the files have it, holds up
// nothing until the clock is there again.
func TestAClockThatWasSetBackStarvesNobody(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ahead := now.Add(300 * 24 * time.Hour)
	rules := Rules{PerHour: 1, Window: time.Minute, Digest: time.Hour}
	known, fresh := Head{ID: "known", Count: 2, First: ahead, Last: ahead}, Head{ID: "fresh", Count: 1, First: ahead, Last: ahead}
	for _, h := range []Head{known, fresh} {
		l := &ledger{Told: map[string]entry{"known": {ahead, 1}}, Sent: []time.Time{ahead}, Latest: ahead}
		if p := l.plan(now, rules, []Head{h}); len(p.heads) != 1 {
			t.Errorf("%s waits for %v", h.ID, p.wait)
		}
	}
}

func TestPerHourHoldsBackAndSaysSo(t *testing.T) {
	inScene(t, rules, func(s *scene) {
		for _, id := range []string{"a", "b", "c"} {
			s.came(id, 1)
			s.after(10 * time.Second)
		}
		for i := range 7 {
			s.came(fmt.Sprint("d", i), 1)
			s.after(time.Minute)
		}
		s.wantSent("three an hour", "2s: new a×1", "12s: new b×1", "22s: new c×1")
		s.after(time.Hour)
		s.wantSent("the rest when the hour of the first is over", "2s: new a×1", "12s: new b×1", "22s: new c×1",
			"1h0m2s: new d0×1 new d1×1 new d2×1 and 4 held")
		s.came("e", 1)
		s.after(10 * time.Second)
		if got := s.heard(); len(got) != 5 || strings.Contains(got[4], "held") {
			t.Errorf("the next one is held back by nothing: %q", got)
		}
	})
}

func TestAServerThatIsAwayGetsItLater(t *testing.T) {
	inScene(t, rules, func(s *scene) {
		s.set(errors.New("connection refused"))
		for range 40 {
			s.came("a", 1)
			s.after(3 * time.Minute)
		}
		s.came("b", 1)
		if n := strings.Count(s.log.String(), "tried again later"); n < 2 || n > 12 {
			t.Errorf("two hours of failures make %d lines:\n%s", n, &s.log)
		}
		if s.tries < 8 || s.tries > 20 {
			t.Errorf("tried %d times in two hours", s.tries)
		}
		s.set(nil)
		s.after(longestPause)
		got := s.heard()
		if len(got) != 1 || !strings.HasSuffix(got[0], " new a×40 new b×1") || !strings.Contains(s.log.String(), "taken again") {
			t.Errorf("all that came meanwhile, in one: %q\n%s", got, &s.log)
		}
	})
}

func TestARestartTellsWhatWasNotToldAndNothingTwice(t *testing.T) {
	inScene(t, rules, func(s *scene) {
		s.came("a", 1)
		s.after(2 * time.Second)
		s.teller.Close() // as good as a crash: it writes nothing more
		s.come("a", 2)
		s.come("b", 1)
		s.start()
		s.after(2 * time.Second)
		s.wantSent("new ones at once, and what came again with them", "2s: new a×1", "4s: new b×1 a×2")
		s.teller.Close()
		s.start()
		s.after(time.Hour)
		s.wantSent("nothing is left", "2s: new a×1", "4s: new b×1 a×2")
	})
}

func TestWhatWasKeptBeforeMailWasConfiguredIsNoNews(t *testing.T) {
	inScene(t, rules, func(s *scene) {
		s.teller.Close()
		s.come("old", 7)
		for _, torn := range []string{"", `{"told":{"old`} {
			if torn == "" {
				os.Remove(s.path)
			} else if err := os.WriteFile(s.path, []byte(torn), 0o600); err != nil {
				t.Fatal(err)
			}
			s.start()
			s.after(time.Hour)
			s.wantSent("an old one")
			s.teller.Close()
		}
		s.start()
		s.came("old", 1)
		s.after(time.Second)
		if got := s.heard(); len(got) != 1 || !strings.HasSuffix(got[0], " old×1") {
			t.Errorf("it came again: %q", got)
		}
	})
}

func TestARefusedBatchDoesNotStandInTheWayForEver(t *testing.T) {
	inScene(t, rules, func(s *scene) {
		s.set(&Refusal{errors.New("552 too large")})
		s.came("a", 1)
		s.after(24 * time.Hour)
		if s.tries != maxRefusals || !strings.Contains(s.log.String(), "given up") {
			t.Errorf("tried %d times, log\n%s", s.tries, &s.log)
		}
		s.set(nil)
		s.came("b", 1)
		s.after(longestPause)
		if got := s.heard(); len(got) != 1 || !strings.HasSuffix(got[0], " new b×1") {
			t.Errorf("the next one: %q", got)
		}
	})
}

func TestMuteForgottenAndCleared(t *testing.T) {
	inScene(t, rules, func(s *scene) {
		s.mute["quiet"] = true
		s.came("quiet", 5)
		s.came("a", 1)
		s.after(2 * time.Second)
		s.list = map[string]*incident.Incident{} // cleared by hand
		s.after(time.Minute)
		s.came("a", 3)
		s.after(2 * time.Second)
		s.wantSent("another First is another incident", "2s: new a×1", "1m4s: new a×3")
		s.list = map[string]*incident.Incident{}
		s.came("z", 1)
		s.after(time.Minute)
		b, err := os.ReadFile(s.path)
		if err != nil || strings.Contains(string(b), `"a"`) {
			t.Errorf("what is not kept is not remembered: %s %v", b, err)
		}
	})
}

func TestCloseDoesNotWaitForASlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, rules)
		s.hang = true
		s.came("a", 1)
		s.after(3 * time.Second)
		before := time.Now()
		s.teller.Close()
		if d := time.Since(before); d != 0 || s.tries != 1 {
			t.Errorf("closed after %v, %d tries", d, s.tries)
		}
	})
}

func TestTheLedgerIsPrivateAndAlone(t *testing.T) {
	inScene(t, rules, func(s *scene) {
		s.came("a", 1)
		s.after(time.Minute)
		entries, err := os.ReadDir(filepath.Dir(s.path))
		fi, err2 := os.Stat(s.path)
		if err := cmp.Or(err, err2); err != nil || len(entries) != 1 || fi.Mode().Perm() != 0o600 {
			t.Errorf("%v %v, %v", entries, fi, err)
		}
	})
}

// The folder cannot be written to, as on a full disk.
func TestTellsWithoutALedgerOnDisk(t *testing.T) {
	inScene(t, rules, func(s *scene) {
		s.teller.Close()
		s.path = filepath.Join(filepath.Dir(s.path), "none", "told.json")
		s.start()
		if !strings.Contains(s.log.String(), "what was told is not on disk") {
			t.Errorf("logged: %s", s.log.String())
		}
		s.came("a", 1)
		s.after(time.Minute)
		s.wantSent("told all the same, and once", "2s: new a×1")
	})
}

func TestAStormCostsFewBatches(t *testing.T) {
	inScene(t, rules, func(s *scene) {
		for n := range 1000 {
			s.come(fmt.Sprint("s", n), 100)
			s.teller.Wake()
		}
		s.after(time.Hour - time.Second)
		got := s.heard()
		if len(got) > rules.PerHour || len(got) == 0 || !strings.Contains(got[0], "and 997") {
			t.Errorf("%d batches: %q", len(got), got)
		}
		if n := len(slices.Collect(maps.Keys(s.teller.ledger.Told))); n != 1000 {
			t.Errorf("%d noted", n)
		}
	})
}
