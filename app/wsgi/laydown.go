package wsgi

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

//go:embed frontd_wsgi/*.py
var sources embed.FS

// packageName is the folder of the Python package, which is run by its path.
const packageName = "frontd_wsgi"

// contentName returns the name of the folder that holds exactly these
// sources: two versions of the program never share one.
func contentName() string {
	h := sha256.New()
	eachSource(func(name string, content []byte) error {
		fmt.Fprintf(h, "%s %d\n", name, len(content))
		h.Write(content)
		return nil
	})
	return "wsgi-" + hex.EncodeToString(h.Sum(nil)[:8])
}

// eachSource calls f for each file of the package in the order of their
// names, until it returns an error.
func eachSource(f func(name string, content []byte) error) error {
	entries, err := sources.ReadDir(packageName)
	if err != nil {
		return err
	}
	for _, e := range entries {
		content, err := sources.ReadFile(packageName + "/" + e.Name())
		if err != nil {
			return err
		}
		if err := f(e.Name(), content); err != nil {
			return err
		}
	}
	return nil
}

// layDown makes sure that the Python package stands in a folder that nobody
// else can write to, and returns its path. Without a base it takes the first
// default that can be used: /var may be read-only.
func layDown(base string) (string, error) {
	if base != "" {
		return layDownIn(base)
	}
	var errs []error
	for _, base := range cacheDirs() {
		path, err := layDownIn(base)
		if err == nil {
			return path, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

func layDownIn(base string) (string, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return "", fmt.Errorf("wsgi: resolve cache directory: %w", err)
	}
	dir := filepath.Join(base, contentName())
	if err := makeBase(base); err != nil {
		return "", fmt.Errorf("wsgi: create cache directory: %w", err)
	}
	if err := owned(base, fs.ModeDir); err != nil {
		return "", fmt.Errorf("wsgi: cache directory: %w", err)
	}
	if verify(dir) != nil {
		if err := install(base, dir); err != nil {
			return "", fmt.Errorf("wsgi: lay down the Python host: %w", err)
		}
	}
	return filepath.Join(dir, packageName), nil
}

// makeBase creates base if it is not there, readable by other users whatever
// the umask. One that is there keeps the mode that its owner gave it.
func makeBase(base string) error {
	if _, err := os.Lstat(base); err == nil {
		return nil
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return err
	}
	return os.Chmod(base, 0o755)
}

// install writes the files aside and renames the whole folder into place, so
// that no other process sees half of it. Losing the race to another is fine.
func install(base, dir string) error {
	tmp, err := os.MkdirTemp(base, ".wsgi-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	fresh, old := filepath.Join(tmp, "new"), filepath.Join(tmp, "old")
	if err := writeSources(fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, dir); err == nil || verify(dir) == nil {
		return nil
	}
	// What stands there is damaged: a cleaner took files, or someone edited them.
	if err := os.Rename(dir, old); err != nil {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil && verify(dir) != nil {
		return err
	}
	return nil
}

func writeSources(dir string) error {
	pkg := filepath.Join(dir, packageName)
	if err := os.MkdirAll(pkg, 0o755); err != nil {
		return err
	}
	for _, d := range []string{dir, pkg} { // whatever the umask: another user may run it
		if err := os.Chmod(d, 0o755); err != nil {
			return err
		}
	}
	return eachSource(func(name string, content []byte) error {
		path := filepath.Join(pkg, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
		return os.Chmod(path, 0o644)
	})
}

// verify checks that dir holds the sources, untouched and untouchable.
func verify(dir string) error {
	pkg := filepath.Join(dir, packageName)
	for _, d := range []string{dir, pkg} {
		if err := owned(d, fs.ModeDir); err != nil {
			return err
		}
	}
	return eachSource(func(name string, want []byte) error {
		path := filepath.Join(pkg, name)
		if err := owned(path, 0); err != nil {
			return err
		}
		got, err := os.ReadFile(path)
		if err == nil && !bytes.Equal(got, want) {
			err = errors.New(path + " is not what was laid down")
		}
		return err
	})
}

// owned checks that path is of the given type, belongs to this user or to
// root, and cannot be written by anyone else.
func owned(path string, kind fs.FileMode) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != kind {
		return fmt.Errorf("%s is %v", path, info.Mode())
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || (stat.Uid != 0 && int(stat.Uid) != os.Geteuid()) {
		return fmt.Errorf("%s belongs to another user", path)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s can be written by others (mode %v)", path, info.Mode().Perm())
	}
	return nil
}

// cacheDirs returns where the package may go by default, best first. Root's
// own cache folder would not do: workers that switch to another user could
// not read it.
func cacheDirs() []string {
	if dir := os.Getenv("CACHE_DIRECTORY"); dir != "" {
		return []string{dir}
	}
	dirs := []string{filepath.Join(os.TempDir(), "frontd-"+strconv.Itoa(os.Geteuid()))}
	if os.Geteuid() == 0 {
		return append([]string{"/var/cache/frontd"}, dirs...)
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return append([]string{filepath.Join(dir, "frontd")}, dirs...)
	}
	return dirs
}
