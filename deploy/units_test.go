// Package deploy holds what a system needs to run frontd as a service.
package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// units are the files of systemd/, with the name they are looked at by and
// the exposure (systemd-analyze security, 0 to 10) that each may have.
// frontd.service has room for the capabilities to switch users.
var units = []struct{ file, as, exposure string }{
	{"frontd.service", "frontd.service", "3.0"},
	{"frontd.socket", "frontd.socket", ""},
	{"frontd@.service", "frontd@blog.service", "2.0"},
	{"frontd-pool@.service", "frontd-pool@blog.service", "2.0"},
}

// installed copies the units into a folder, with a program that exists in the
// place of /usr/bin/frontd: what is not there is an error to systemd-analyze.
func installed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range units {
		b, err := os.ReadFile(filepath.Join("systemd", u.file))
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		if strings.HasSuffix(u.file, ".service") && !strings.Contains(text, "=/usr/bin/frontd ") {
			t.Fatalf("%s does not run /usr/bin/frontd", u.file)
		}
		text = strings.ReplaceAll(text, "=/usr/bin/frontd ", "="+program+" ")
		if err := os.WriteFile(filepath.Join(dir, u.as), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func analyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), counterpart.Find(t, "systemd-analyze"), args...)
	cmd.Env = append(os.Environ(), "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=cat", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestUnitsAreCorrect(t *testing.T) {
	dir := installed(t)
	for _, u := range units {
		// It warns of an unknown setting without failing: any word is too much.
		if out, err := analyze(t, "verify", "--man=no", filepath.Join(dir, u.as)); err != nil || about(out, u.as) != "" {
			t.Errorf("%s: %v\n%s", u.file, err, out)
		}
	}
}

// about returns the lines that are about our units and not about others that
// the system happens to have.
func about(out, unit string) string {
	var list []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, unit) || strings.Contains(line, "frontd") {
			list = append(list, line)
		}
	}
	return strings.Join(list, "")
}

func TestWrongUnitIsFound(t *testing.T) {
	dir := installed(t)
	path := filepath.Join(dir, "frontd.service")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, "[Service]\nProtectSytem=strict\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _ := analyze(t, "verify", "--man=no", path); !strings.Contains(about(out, "frontd.service"), "ProtectSytem") {
		t.Errorf("a misspelt setting is not told, so that the test of the units is worth nothing:\n%s", out)
	}
}

func TestUnitsAreHardened(t *testing.T) {
	dir := installed(t)
	for _, u := range units {
		if u.exposure == "" {
			continue
		}
		t.Run(u.file, func(t *testing.T) {
			// --threshold is in tenths.
			out, err := analyze(t, "security", "--no-pager", "--offline=true",
				"--threshold="+strings.Replace(u.exposure, ".", "", 1), filepath.Join(dir, u.as))
			if err != nil {
				t.Errorf("want an exposure of at most %s: %v\n%s", u.exposure, err, out)
			}
			if !strings.Contains(out, "Overall exposure level for "+u.as) {
				t.Errorf("no level given:\n%s", out)
			}
		})
	}
}

// TestUsersAreHardened: as root too it is held back.
func TestUsersAreHardened(t *testing.T) {
	path := filepath.Join(installed(t), "frontd.service")
	unit, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	users, err := os.ReadFile(filepath.Join("systemd", "users.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(unit, users...), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := analyze(t, "security", "--no-pager", "--offline=true", "--threshold=30", path); err != nil {
		t.Errorf("want an exposure of at most 3.0: %v\n%s", err, out)
	}
}

// TestSharedSettings: what is right for one service is so for all; each has it
// written out, and this keeps them from growing apart.
func TestSharedSettings(t *testing.T) {
	for _, setting := range []string{
		"Type=notify", "KillMode=mixed", "OOMPolicy=continue", "Restart=on-failure", "RestartPreventExitStatus=2",
		"User=frontd", "UMask=0027", "LimitNOFILE=1024:524288", "TimeoutStopSec=45",
		"NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes",
		"SystemCallFilter=@system-service", "SystemCallErrorNumber=EPERM",
	} {
		for _, u := range units {
			if !strings.HasSuffix(u.file, ".service") {
				continue
			}
			b, err := os.ReadFile(filepath.Join("systemd", u.file))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains("\n"+string(b), "\n"+setting+"\n") {
				t.Errorf("%s: no %s", u.file, setting)
			}
		}
	}
}
