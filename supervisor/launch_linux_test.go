package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

func init() { children["launch"] = func([]string) { LaunchMain(); os.Exit(1) } }

var launcherArgs = []string{"/proc/self/exe", "child", "launch"}

// shellSpec is a worker that is a shell script and then sleeps.
func shellSpec(t testing.TB, script string) Spec {
	return Spec{
		Name: "blog", Path: "/bin/sh", Args: []string{"sh", "-c", script + "\nexec sleep 1000"},
		Env: []string{"PATH=" + os.Getenv("PATH"), "SECRET=a b\nc", "LD_PRELOAD="}, Workers: 1,
	}
}

// nobody is a user that is not us and owns nothing.
func nobody(t testing.TB) *syscall.Credential {
	t.Helper()
	counterpart.NeedRoot(t, "to become another user")
	id, err := FindIdentity("nobody", "")
	if err != nil {
		t.Fatal(err)
	}
	return &id.Credential
}

// ownNice is our own niceness, which a worker's is added to.
func ownNice(t *testing.T) int {
	t.Helper()
	n, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	return 20 - n // getpriority(2): what the kernel returns
}

// nicePolicy is how who is nice is scheduled, as /proc/PID/stat has it: as a batch,
// unless we are neither that nor the usual.
func nicePolicy(t *testing.T) string {
	t.Helper()
	own, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETSCHEDULER, 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	if own == schedOther {
		own = schedBatch
	}
	return strconv.Itoa(int(own))
}

// ownAutogroup is what we share the CPU within, "" where there are none.
func ownAutogroup() string {
	b, _ := os.ReadFile("/proc/self/autogroup")
	name, _, _ := strings.Cut(string(b), " ")
	return name
}

func pointer[T any](v T) *T { return &v }

func TestWorkerIsConfined(t *testing.T) {
	spec := shellSpec(t, `echo umask $(umask)
echo files $(ulimit -n) core $(ulimit -c) data $(ulimit -d) file $(ulimit -f)
echo nice $(cut -d' ' -f19 /proc/$$/stat) oom $(cat /proc/$$/oom_score_adj)
echo policy $(cut -d' ' -f41 /proc/$$/stat) $(cut -d' ' -f1 /proc/$$/autogroup 2>/dev/null)
echo argv0 $0 pwd $PWD stdin $(readlink /proc/$$/fd/0)
echo secret "$SECRET" guarded ${FRONTD_GUARD:+yes}
echo $(grep -E 'NoNewPrivs|^(Uid|Gid|Groups)' /proc/$$/status)`)
	spec.Args[0] = "blog-worker"
	spec.Umask, spec.Nice, spec.NoNewPrivileges, spec.Dir = pointer(0o27), 7, true, "/usr"
	spec.Bounds = Bounds{OpenFiles: 77, Core: pointer(int64(0)), Memory: 64 << 20, FileSize: 1 << 20}
	uid, gid := os.Getuid(), os.Getgid()
	groups := ""
	if uid == 0 {
		spec.Credential = nobody(t)
		spec.Credential.Groups = []uint32{4, 33}
		uid, gid, groups = int(spec.Credential.Uid), int(spec.Credential.Gid), " 4 33"
	}
	_, _, r := start(t, Options{Launcher: launcherArgs, Guard: []string{"/proc/self/exe", "child", "guard"}}, spec)
	for _, want := range []string{
		"umask 0027",
		"files 77 core 0 data 65536 file 2048",
		"nice " + strconv.Itoa(min(ownNice(t)+7, 19)) + " oom " + strconv.Itoa(oomScore(ownOOMScore(t))),
		// In a session of its own it were nice to nobody else (autogroups, sched(7)).
		"policy " + nicePolicy(t) + " " + ownAutogroup(),
		"argv0 blog-worker pwd /usr stdin /dev/null",
		"secret a b", "c guarded yes",
	} {
		r.wantLine("it is set", "stdout: "+strings.TrimRight(want, " "))
	}
	status := r.wantLine("whom it runs as", "stdout: Uid:")
	want := fmt.Sprintf(" %[1]d %[1]d %[1]d %[1]d Gid: %[2]d %[2]d %[2]d %[2]d Groups:%[3]s", uid, gid, groups)
	if !strings.HasPrefix(status, want) || !strings.HasSuffix(status, " NoNewPrivs: 1") {
		t.Errorf("it runs as%q, want%q and NoNewPrivs", status, want)
	}
}

// The kernel forgets at whose death a process wants to die when its user changes.
func TestOtherUsersWorkerDiesWithItsParent(t *testing.T) {
	counterpart.Find(t, "/usr/bin/python3") // to ask a process for what only it is told
	spec := shellSpec(t, "")
	spec.Credential = nobody(t)
	spec.Env = []string{"PATH=/usr/bin:/bin"} // not one in our home
	spec.Path, spec.Args = "python3", []string{"python3", "-c", `
import ctypes, os, time
signal = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(signal)) # PR_GET_PDEATHSIG
print("pdeathsig", signal.value, "fds", *sorted(os.listdir("/proc/self/fd")), flush=True) # 3 is the listing itself
time.sleep(1000)`}
	_, _, r := start(t, Options{Launcher: launcherArgs}, spec)
	if got := r.wantLine("it reports", "stdout: pdeathsig "); got != "9 fds 0 1 2 3" {
		t.Errorf("the signal at its parent's death, and its descriptors, are %s, want KILL, and no other than 0, 1 and 2", got)
	}
}

// What the user cannot reach is told with path and uid before anything that
// runs is touched.
func TestUnreachableForUser(t *testing.T) {
	cred := nobody(t)
	spec := shellSpec(t, "echo old")
	spec.Credential = cred
	_, g, r := start(t, Options{Launcher: launcherArgs}, spec)
	old := r.wantEvents("the old one runs", EventReady, 1).Worker
	dir := filepath.Join(t.TempDir(), "srv")
	file := filepath.Join(dir, "app.py")
	prog := filepath.Join(dir, "prog")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(file, nil, 0o600), os.WriteFile(prog, []byte("#!/bin/sh\n"), 0o755), os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why, want string
		change    func(s *Spec)
	}{
		{"the working directory", "cannot enter the working directory " + dir, func(s *Spec) { s.Dir = dir }},
		{"a file that it needs", "cannot read " + file + ": permission denied (" + dir + " has mode rwx------)", func(s *Spec) { s.Needs = []string{"/etc/passwd", file} }},
		{"the program", "cannot run " + prog, func(s *Spec) { s.Path = prog }},
	} {
		broken := spec
		c.change(&broken)
		err := g.Replace(t.Context(), broken)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("uid %d ", cred.Uid)) || !strings.Contains(err.Error(), c.want) ||
			!errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v; want it to say %q", c.why, err, c.want)
		}
	}
	for _, st := range g.Workers() {
		if st.Worker.PID != old.PID || st.State != StateServing {
			t.Errorf("the old worker is touched: %+v", st)
		}
	}
	if got := r.transcript(); len(got) != 2 {
		t.Errorf("events %v, want none of a new one", got)
	}
}

// A start that the kernel refuses is told as any other.
func TestLaunchRefused(t *testing.T) {
	for _, c := range []struct {
		why, want string
		change    func(*Spec)
		is        error
	}{
		{"a limit that is not to be had", "start /bin/sh in /: limits.open_files: 1073741824", func(s *Spec) { s.Umask = pointer(0o77); s.Bounds.OpenFiles = 1 << 30 }, syscall.EPERM},
		{"not a program", "exec format error", func(s *Spec) {
			s.Umask = pointer(0o77)
			s.Path = filepath.Join(t.TempDir(), "x")
			if err := os.WriteFile(s.Path, []byte("\x00\x01"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, syscall.ENOEXEC},
	} {
		spec := shellSpec(t, "")
		spec.Dir = "/"
		c.change(&spec)
		_, _, r := start(t, Options{Launcher: launcherArgs}, spec)
		e := r.wantEvents(c.why, EventFailing, 1)
		if !errors.Is(e.Err, c.is) || !strings.Contains(e.Err.Error(), c.want) || e.Worker.PID != 0 {
			t.Errorf("%s: %v", c.why, e.Err)
		}
	}
}

func TestConfinedNeedsLauncher(t *testing.T) {
	spec := shellSpec(t, "")
	spec.Nice = 1
	s := New(Options{})
	defer s.Stop(t.Context())
	if _, err := s.Start(spec); !errors.Is(err, errNoLauncher) {
		t.Errorf("without a launcher nice is silently left out: %v", err)
	}
}

func FuzzLaunchError(f *testing.F) {
	f.Add("13 uid 1 cannot run /x: permission denied")
	f.Add("no number")
	f.Add("")
	f.Fuzz(func(t *testing.T, said string) {
		if err := parseLaunchError(said); (err == nil) != (said == "") {
			t.Errorf("%q is %v", said, err)
		}
	})
}

func TestFindIdentity(t *testing.T) {
	root, err := FindIdentity("root", "")
	if err != nil || root.Uid != 0 || root.Gid != 0 || root.Home != "/root" || len(root.Groups) == 0 {
		t.Errorf("root is %+v, %v", root, err)
	}
	byNumber, err := FindIdentity("0", "daemon")
	if err != nil || byNumber.Name != "root" || byNumber.Gid != 1 || byNumber.Groups[0] != 1 {
		t.Errorf("0:daemon is %+v, %v", byNumber, err)
	}
	if id, err := FindIdentity("54321", "54322"); err != nil || id.Uid != 54321 || id.Gid != 54322 || id.Name != "" {
		t.Errorf("a number is %+v, %v", id, err)
	}
	for _, c := range [][2]string{{"54321", ""}, {"no-such-user", ""}, {"root", "no-such-group"}, {"-1", ""}} {
		if id, err := FindIdentity(c[0], c[1]); err == nil {
			t.Errorf("%q is %+v", c, id)
		}
	}
	if own, err := FindIdentity("", ""); err != nil || !own.Own() || own.Allowed() != nil {
		t.Errorf("we ourselves are %+v, %v", own, err)
	}
}

func ownOOMScore(t *testing.T) []byte {
	t.Helper()
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// Whatever frontd's own score is, the kernel takes a worker first.
func TestWorkersGoBeforeFrontd(t *testing.T) {
	for own, want := range map[string]int{"0\n": 300, "-900\n": -600, "500\n": 800, "900\n": 1000, "": 300} {
		if got := oomScore([]byte(own)); got != want {
			t.Errorf("frontd has %q, a worker %d, want %d", own, got, want)
		}
	}
}
