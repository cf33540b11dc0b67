package front

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"path/filepath"
	"strings"
)

// A Resource is what a path stands for in a PHP application's root. Either
// ScriptFilename or File is set.
type Resource struct {
	DocumentRoot   string // absolute, links resolved when the root was opened
	ScriptFilename string // absolute
	ScriptName     string // the script's path in the URL, mount prefix included: "/blog/index.php"
	PathInfo       string // what follows the script in the URL, "" or "/…"
	File           string // a plain file to serve, relative to the root
}

// errIsFolder asks for a redirect: a folder's path came without its slash.
var errIsFolder = errors.New("a folder, not a file")

// PHP finds the script that a path means and hands the request on with
// Exchange.Resource set, or serves the file that it means. In order:
//
//  1. a segment that is a file with ".php" ends the script's name, the rest is PATH_INFO;
//  2. a folder's index.php, or index.html (301 first, if the slash is missing);
//  3. any other file, as it is; never one that PHP could run (.php5, .phtml, .phar, …);
//  4. the front controller /index.php, PATH_INFO empty: it reads REQUEST_URI
//     (nginx: try_files $uri $uri/ /index.php);
//  5. 404.
//
// Names that begin with a dot are 404, and so is what links lead to outside
// of the root.
type PHP struct {
	dir    string
	static *Static
	next   http.Handler
}

// NewPHP opens a document root. Its links are resolved now, so that a
// deployment that turns a link shows at the next reload, for all files at once.
func NewPHP(root string, next http.Handler) (*PHP, error) {
	dir, err := filepath.Abs(root)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open document root: %w", err)
	}
	static, err := NewStatic(dir, "")
	if err != nil {
		return nil, err
	}
	return &PHP{dir: dir, static: static, next: next}, nil
}

// Close gives the root back.
func (p *PHP) Close() error { return p.static.Close() }

func (p *PHP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := ExchangeOf(r)
	mount := ""
	if x.Route != nil {
		mount = x.Route.MountPrefix
	}
	res, err := p.find(mount, x)
	switch {
	case errors.Is(err, errIsFolder):
		redirectToFolder(w, r, x)
	case err != nil:
		failFile(w, r, err)
	case res.File != "":
		p.static.serveFile(w, r, res.File)
	default:
		x.Resource = &res
		p.next.ServeHTTP(w, r)
	}
}

// FindPHP does for one path what PHP does for each request. path is clean:
// decoded, without dot segments.
func (p *PHP) FindPHP(path string) (Resource, error) {
	return p.find("", &Exchange{Path: path, routePath: path})
}

func (p *PHP) find(mount string, x *Exchange) (Resource, error) {
	// In routePath an encoded slash is still encoded, so that it is never a
	// separator of file names; before the first of them both paths are alike.
	route, ok := strings.CutPrefix(x.routePath, mount)
	if !ok || isHidden(route) {
		return Resource{}, &fs.PathError{Op: "find", Path: x.Path, Err: fs.ErrNotExist}
	}
	if end, err := p.scriptEnd(route); err != nil {
		return Resource{}, err
	} else if end > 0 && !(x.EncodedSlash && strings.ContainsAny(route[:end], `%\`)) {
		return p.script(mount, route[:end], x.Path[len(mount)+end:]), nil
	}
	if !x.EncodedSlash {
		if res, err := p.whole(mount, route); err != nil || res.File != "" || res.ScriptFilename != "" {
			return res, err
		}
	}
	if p.isFile("index.php") {
		return p.script(mount, "/index.php", ""), nil
	}
	return Resource{}, &fs.PathError{Op: "find", Path: x.Path, Err: fs.ErrNotExist}
}

// scriptEnd returns the length of route up to the first segment that is a
// file ending in ".php", or 0.
func (p *PHP) scriptEnd(route string) (int, error) {
	for at := 0; ; {
		i := strings.Index(route[at:], ".php")
		if i < 0 {
			return 0, nil
		}
		at += i + len(".php")
		if at < len(route) && route[at] != '/' {
			continue // index.phpx, index.php.txt
		}
		switch info, err := p.static.root.Stat(strings.Trim(route[:at], "/")); {
		case err == nil && info.Mode().IsRegular():
			return at, nil
		case errors.Is(err, fs.ErrPermission):
			return 0, err
		}
	}
}

// whole looks the whole path up, as a folder or as a file. The zero Resource
// means neither.
func (p *PHP) whole(mount, route string) (Resource, error) {
	name, wantDir := fileName(route)
	info, err := p.static.root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return Resource{}, err
	case err != nil:
		return Resource{}, nil
	case info.IsDir() && !wantDir:
		return Resource{}, errIsFolder
	case info.IsDir() && p.isFile(path.Join(name, "index.php")):
		return p.script(mount, path.Join("/", name, "index.php"), ""), nil
	case info.IsDir() && p.isFile(path.Join(name, "index.html")):
		return Resource{DocumentRoot: p.dir, File: path.Join(name, "index.html")}, nil
	case info.Mode().IsRegular() && !wantDir && !isSource(name):
		return Resource{DocumentRoot: p.dir, File: name}, nil
	}
	return Resource{}, nil
}

func (p *PHP) script(mount, name, pathInfo string) Resource {
	return Resource{
		DocumentRoot:   p.dir,
		ScriptFilename: filepath.Join(p.dir, filepath.FromSlash(name)),
		ScriptName:     mount + name,
		PathInfo:       pathInfo,
	}
}

func (p *PHP) isFile(name string) bool {
	info, err := p.static.root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// isSource says whether a file may hold PHP that must not be shown: whatever
// Debian's or a shared host's configuration would run, in any case, and the
// copies that editors leave of it.
func isSource(name string) bool {
	base := strings.ToLower(path.Base(name))
	for _, ext := range [...]string{".php", ".pht", ".phar", ".phps"} {
		if strings.Contains(base, ext) {
			return true
		}
	}
	return false
}
