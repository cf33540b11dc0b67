package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// CheckFiles looks whether the files and folders that c names are there and
// can be used by this process, and returns all that are not. Parse does not:
// a file may be checked on another machine than it is for. A daemon asks
// before it touches what runs.
func (c *Config) CheckFiles() Errors {
	f := files{name: c.File}
	if pos, ok := c.Server.Set["tls"]; ok {
		_, err := tls.LoadX509KeyPair(c.Server.TLS.Certificate, c.Server.TLS.Key)
		f.note(pos, "server.tls", err)
	}
	for _, a := range c.Apps {
		f.app(a)
	}
	for _, r := range c.Routes {
		if r.Root != "" {
			f.note(r.Set["root"], "route.root", isFolder(r.Root))
		}
		if a := c.App(r.App); a != nil && r.Set.Has("fallback") {
			f.fallback(r.Set["fallback"], "route.fallback", a, r.Fallback)
		}
	}
	f.errs.sort()
	return f.errs
}

type files struct {
	name string
	errs Errors
}

func (f *files) note(pos Pos, key string, err error) {
	if err != nil {
		f.errs = append(f.errs, Error{f.name, pos, key, err.Error()})
	}
}

func (f *files) app(a *App) {
	path := "app." + a.Name
	if a.Set.Has("directory") {
		f.note(a.Set["directory"], path+".directory", isFolder(a.Directory))
	}
	if a.Set.Has("python") {
		_, err := exec.LookPath(a.Python)
		f.note(a.Set["python"], path+".python", err)
	}
	if a.Set.Has("fallback") {
		f.fallback(a.Set["fallback"], path+".fallback", a, a.Fallback)
	}
	switch a.Kind {
	case KindPHP, KindFolder:
		f.note(a.Set["target"], path+".target", isFolder(a.Target))
	case KindCGI:
		info, err := os.Stat(a.Target)
		if err == nil && !info.IsDir() && info.Mode()&0o111 == 0 {
			err = fmt.Errorf("%s is not executable: chmod +x it", a.Target)
		}
		f.note(a.Set["target"], path+".target", plain(err))
	}
}

// fallback looks for the file of an app's folder that takes what has none. Where
// the folder is missing itself, that is said already.
func (f *files) fallback(pos Pos, key string, a *App, file string) {
	folder := a.Target
	if a.Kind == KindFCGI {
		folder = a.Directory
	}
	if file != "" && isFolder(folder) == nil {
		_, err := os.Stat(filepath.Join(folder, file))
		f.note(pos, key, plain(err))
	}
}

// isFolder reports why path is not a folder that can be entered.
func isFolder(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return plain(err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", path)
	}
	if _, err := os.Stat(path + "/."); err != nil { // needs the right to search it
		return plain(err)
	}
	return nil
}

// plain says what is wrong with which path, without the name of the system call.
func plain(err error) error {
	var perr *fs.PathError
	if errors.As(err, &perr) {
		return fmt.Errorf("%s: %w", perr.Path, perr.Err)
	}
	return err
}
