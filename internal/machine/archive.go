package machine

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// An archive is written in the format "newc" of cpio(5), which the kernel
// unpacks into its first root file system (Documentation/driver-api/early-userspace/buffer-format.rst).
// The first error ends it; close has it.
type archive struct {
	w       *bufio.Writer
	err     error
	written map[string]bool
	offset  int64
	entries uint32
}

func newArchive(w io.Writer) *archive {
	return &archive{w: bufio.NewWriterSize(w, 1<<20), written: make(map[string]bool)}
}

// Of stat(2).
const (
	typeFile   = 0o100000
	typeFolder = 0o040000
	typeLink   = 0o120000
)

// entry writes one entry. Each name is written once, after the folders above it.
func (a *archive) entry(path string, mode uint32, size int64, content io.Reader) {
	path = strings.TrimPrefix(filepath.Clean(path), "/")
	if a.err != nil || path == "" || a.written[path] {
		return
	}
	a.folder(filepath.Dir(path))
	a.written[path] = true
	a.put(path, mode, size, content)
}

// put writes a header, whose fields are 8 hexadecimal digits each, the name
// and the content, both padded to 4 bytes.
func (a *archive) put(name string, mode uint32, size int64, content io.Reader) {
	a.entries++
	const links, none = 1, 0
	fmt.Fprintf(a, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.entries, mode, none, none, links, none, size, none, none, none, none, len(name)+1, none)
	fmt.Fprintf(a, "%s\x00", name)
	a.pad()
	if n, err := io.Copy(a, content); err == nil && n != size && a.err == nil {
		a.err = fmt.Errorf("%s has %d bytes and had %d", name, n, size)
	}
	a.pad()
}

func (a *archive) Write(b []byte) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	n, err := a.w.Write(b)
	a.offset += int64(n)
	a.err = err
	return n, err
}

func (a *archive) pad() {
	for a.err == nil && a.offset%4 != 0 {
		a.Write([]byte{0})
	}
}

func (a *archive) folder(path string) {
	if path != "." && path != "/" {
		a.entry(path, typeFolder|0o755, 0, strings.NewReader(""))
	}
}

func (a *archive) file(path string, perm fs.FileMode, content []byte) {
	a.entry(path, typeFile|uint32(perm.Perm()), int64(len(content)), strings.NewReader(string(content)))
}

// copy writes the file at here, of what a link leads to.
func (a *archive) copy(there, here string) {
	if a.err != nil {
		return
	}
	f, err := os.Open(here)
	if err != nil {
		a.err = err
		return
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		a.err = err
		return
	}
	a.entry(there, typeFile|uint32(fi.Mode().Perm()), fi.Size(), f)
}

// tree writes a file or a folder with all that is in it; links stay links.
func (a *archive) tree(there, here string) error {
	return filepath.WalkDir(here, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(there, strings.TrimPrefix(path, here))
		switch {
		case d.IsDir():
			a.folder(to)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			a.entry(to, typeLink|0o777, int64(len(target)), strings.NewReader(target))
		case d.Type().IsRegular():
			a.copy(to, path)
		}
		return a.err
	})
}

// close writes the entry that ends an archive.
func (a *archive) close() error {
	a.put("TRAILER!!!", 0, 0, strings.NewReader(""))
	if a.err != nil {
		return a.err
	}
	return a.w.Flush()
}
