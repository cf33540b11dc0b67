package incident

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What cannot be read stays: after one run as root, the files that this run has
// made are another user's for the service.
func TestUnreadIncidentStays(t *testing.T) {
	s := store{dir: t.TempDir()}
	for _, dir := range []string{filepath.Dir(s.dir), s.dir} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	s.made = true
	id := strings.Repeat("a", idLength)
	name := id + storeSuffix
	if _, err := s.write(name, &Incident{ID: id, First: time.Now(), Last: time.Now(), Count: 1}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(s.dir, name), 0); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done) // received below
		// This thread is another user's from here on, for files: it ends with the goroutine.
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0); errno != 0 {
				t.Error(errno)
				return
			}
		}
		list, lost, err := s.load()
		if err != nil || len(list) != 0 || lost.unread != 1 || lost.torn != 0 || !errors.Is(lost.why, fs.ErrPermission) {
			t.Errorf("%d read, %+v, %v; want one unread for want of permission", len(list), lost, err)
		}
	}()
	<-done
	if _, err := os.Stat(filepath.Join(s.dir, name)); err != nil {
		t.Error("an incident that could not be read was taken away:", err)
	}
}
