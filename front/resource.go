package front

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A Resource is what a path stands for in a folder of programs and files.
// Either ScriptFilename or File is set.
type Resource struct {
	DocumentRoot   string // absolute, links resolved when the root was opened
	ScriptFilename string // absolute
	ScriptName     string // the program's path in the URL, mount prefix included: "/blog/index.php"
	PathInfo       string // what follows the program in the URL, "" or "/…"
	File           string // a plain file to serve, relative to the root
}

// errIsFolder asks for a redirect: a folder's path came without its slash.
var errIsFolder = errors.New("a folder, not a file")

// A FolderConfig says what a Folder finds, and who runs it.
type FolderConfig struct {
	Root string
	// Programs have, by the extension of a file's name (".php"), who runs such
	// files; nil is nobody: they are 404. Files of all other extensions are sent
	// as they are.
	Programs map[string]http.Handler
	// Index are the names that stand for a folder, the first that is there.
	Index []string
	// Controller, if not "", is the program below the root that gets every path
	// which means no file, "index.php", as with try_files in nginx; or a file that
	// is sent for them.
	Controller string
	// Mounted has the Controller find its way as programs in other languages than
	// PHP do: SCRIPT_NAME is the mount prefix, PATH_INFO the rest of the path.
	// Without it SCRIPT_NAME is the Controller's own, and it reads REQUEST_URI.
	Mounted bool
}

// A Folder finds the program that a path means and hands the request on with
// Exchange.Resource set, or serves the file that it means. In order:
//
//  1. a segment that is a file with an extension of Programs ends the program's
//     name, the rest is PATH_INFO;
//  2. a folder's index (301 first, if the slash is missing);
//  3. any other file, as it is; never one that may be a program's source (.php5,
//     .phtml, .pyc, a copy that an editor left: .py~);
//  4. the Controller (nginx: try_files $uri $uri/ /index.php);
//  5. 404.
//
// Names that begin with a dot are 404, and so is what links lead to outside
// of the root.
type Folder struct {
	FolderConfig
	dir     string
	static  *Static
	endings []string // Programs' extensions, sorted
	sources []string // parts of names, lower case, that are never sent
}

// NewFolder opens a folder. Its links are resolved now, so that a deployment
// that turns a link shows at the next reload, for all files at once.
func NewFolder(c FolderConfig) (*Folder, error) {
	dir, err := filepath.Abs(c.Root)
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
	f := &Folder{FolderConfig: c, dir: dir, static: static}
	for ext := range c.Programs {
		f.endings = append(f.endings, ext)
		f.sources = append(f.sources, strings.ToLower(ext))
		if ext == ".php" { // whatever Debian's or a shared host's configuration would run
			f.sources = append(f.sources, ".pht", ".phar")
		}
	}
	slices.Sort(f.endings)
	return f, nil
}

// NewPHP opens the document root of a PHP application: next runs its scripts,
// which are the files of these extensions, and .php ones without any given
// (php-fpm: security.limit_extensions). What is no file is the controller's, a
// script in the root; "" is nobody's.
func NewPHP(root, controller string, next http.Handler, extensions ...string) (*Folder, error) {
	programs := map[string]http.Handler{".php": next}
	if len(extensions) > 0 && !slices.Contains(extensions, ".php") {
		programs[".php"] = nil
	}
	for _, ext := range extensions {
		programs[ext] = next
	}
	return NewFolder(FolderConfig{
		Root: root, Programs: programs, Index: []string{"index.php", "index.html"}, Controller: controller,
	})
}

// Close gives the root back.
func (f *Folder) Close() error { return f.static.Close() }

func (f *Folder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := ExchangeOf(r)
	mount := ""
	if x.Route != nil {
		mount = x.Route.MountPrefix
	}
	res, err := f.find(mount, x)
	switch {
	case errors.Is(err, errIsFolder):
		redirectToFolder(w, r, x)
	case err != nil:
		failFile(w, r, err)
	case res.File != "":
		f.static.serveFile(w, r, res.File)
	default:
		x.Resource = &res
		f.Programs[path.Ext(res.ScriptFilename)].ServeHTTP(w, r)
	}
}

// Find does for one path what a Folder does for each request. path is clean:
// decoded, without dot segments.
func (f *Folder) Find(path string) (Resource, error) {
	return f.find("", &Exchange{Path: path, routePath: path})
}

func (f *Folder) find(mount string, x *Exchange) (Resource, error) {
	none := &fs.PathError{Op: "find", Path: x.Path, Err: fs.ErrNotExist}
	// In routePath an encoded slash is still encoded, so that it is never a
	// separator of file names; before the first of them both paths are alike.
	route, ok := strings.CutPrefix(x.routePath, mount)
	if !ok || isHidden(route) {
		return Resource{}, none
	}
	if end, err := f.programEnd(route); err != nil {
		return Resource{}, err
	} else if end > 0 && !(x.EncodedSlash && strings.ContainsAny(route[:end], `%\`)) {
		return f.program(mount, route[:end], x.Path[len(mount)+end:], none)
	}
	if !x.EncodedSlash {
		if res, err := f.whole(mount, route, none); err != nil || res.File != "" || res.ScriptFilename != "" {
			return res, err
		}
	}
	if f.Controller == "" {
		return Resource{}, none
	}
	return f.controller(mount, x, none)
}

// controller is what answers for a path that means no file.
func (f *Folder) controller(mount string, x *Exchange, none error) (Resource, error) {
	switch is, err := f.isFile(f.Controller); {
	case err != nil:
		return Resource{}, err
	case !is:
		return Resource{}, none
	case !f.hasEnding(f.Controller) && !f.IsSource(f.Controller):
		return Resource{DocumentRoot: f.dir, File: f.Controller}, nil
	}
	res, err := f.program(mount, "/"+f.Controller, "", none)
	if err == nil && f.Mounted {
		res.ScriptName, res.PathInfo = mount, x.Path[len(mount):]
	}
	return res, err
}

// programEnd returns the length of route up to the first segment that is a
// file with an extension of Programs, or 0.
func (f *Folder) programEnd(route string) (int, error) {
	for at := 0; at < len(route); {
		end := len(route)
		if i := strings.IndexByte(route[at+1:], '/'); i >= 0 {
			end = at + 1 + i
		}
		if at = end; !f.hasEnding(route[:end]) {
			continue
		}
		switch info, err := f.static.root.Stat(strings.Trim(route[:end], "/")); {
		case err == nil && info.Mode().IsRegular():
			return end, nil
		case errors.Is(err, fs.ErrPermission), leadsOut(err):
			return 0, err
		}
	}
	return 0, nil
}

func (f *Folder) hasEnding(name string) bool {
	return slices.ContainsFunc(f.endings, func(ext string) bool { return path.Ext(name) == ext })
}

// whole looks the whole path up, as a folder or as a file. The zero Resource
// means neither.
func (f *Folder) whole(mount, route string, none error) (Resource, error) {
	name, wantDir := fileName(route)
	info, err := f.static.root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrPermission), leadsOut(err):
		return Resource{}, err
	case err != nil:
		return Resource{}, nil
	case info.IsDir() && !wantDir:
		return Resource{}, errIsFolder
	case info.IsDir():
		return f.index(mount, name, none)
	case info.Mode().IsRegular() && !wantDir && !f.IsSource(name):
		return Resource{DocumentRoot: f.dir, File: name}, nil
	}
	return Resource{}, nil
}

func (f *Folder) index(mount, folder string, none error) (Resource, error) {
	for _, index := range f.Index {
		name := path.Join(folder, index)
		switch is, err := f.isFile(name); {
		case err != nil:
			return Resource{}, err
		case !is:
		case f.hasEnding(name):
			return f.program(mount, path.Join("/", name), "", none)
		case !f.IsSource(name):
			return Resource{DocumentRoot: f.dir, File: name}, nil
		}
	}
	return Resource{}, nil
}

// program is the Resource of a file that a program runs, or none.
func (f *Folder) program(mount, name, pathInfo string, none error) (Resource, error) {
	if f.Programs[path.Ext(name)] == nil {
		return Resource{}, none
	}
	return Resource{
		DocumentRoot:   f.dir,
		ScriptFilename: filepath.Join(f.dir, filepath.FromSlash(name)),
		ScriptName:     mount + name,
		PathInfo:       pathInfo,
	}, nil
}

// isFile fails where that may not be known: a folder without rights is not one
// without files.
func (f *Folder) isFile(name string) (bool, error) {
	info, err := f.static.root.Stat(name)
	if errors.Is(err, fs.ErrPermission) {
		return false, err
	}
	return err == nil && info.Mode().IsRegular(), nil
}

// IsSource says whether a file may hold a program's text, which must not be
// shown: in any case, and the copies that editors and interpreters leave of it.
func (f *Folder) IsSource(name string) bool {
	base := strings.ToLower(path.Base(name))
	return slices.ContainsFunc(f.sources, func(part string) bool { return holdsText(base, part) })
}

// holdsText says whether a name has the ending part anywhere, or one that begins so:
// .php5 and .pyc, and app.py.bak. jquery.plugin.js is not Perl's: a longer word of
// letters, with another ending behind it, is one of its own, but .phtml and the like.
func holdsText(base, part string) bool {
	for {
		_, after, found := strings.Cut(base, part)
		if !found {
			return false
		}
		word, _, more := strings.Cut(after, ".")
		letters := len(word) > 1 && 'a' <= word[0] && word[0] <= 'z'
		if !more || !letters || strings.HasPrefix(part, ".ph") {
			return true
		}
		base = after
	}
}
