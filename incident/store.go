package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A store is a folder with a file for each incident, ID.json, and one with
// the counts of all. A file appears whole or not at all; what a crash left of
// one that is not is taken away at the next start. Its methods are called by
// one goroutine at a time.
type store struct {
	dir      string
	made     bool
	readOnly bool // nothing is taken away
}

const (
	storeSuffix  = ".json"
	countsName   = "counts.json"
	tempPattern  = ".new-*"
	maxStoreFile = 4 << 20 // bytes: what is larger was not written by us
)

// make makes the folder, for nobody else to read. It is not made before there
// is something to keep.
func (s *store) make() error {
	if s.made {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make incident store: %w", err)
	}
	if err := os.Chmod(s.dir, 0o700); err != nil { // one that was there with a wider mode
		return fmt.Errorf("make incident store: %w", err)
	}
	s.made = true
	return nil
}

// there says whether there is a folder.
func (s *store) there() bool {
	_, err := os.Lstat(s.dir)
	return !errors.Is(err, fs.ErrNotExist)
}

// write puts a file in the place of the one before, if any: after a crash one
// of the two is there.
func (s *store) write(name string, v any) (size int64, err error) {
	if err := s.make(); err != nil {
		return 0, err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return 0, fmt.Errorf("write incident: %w", err)
	}
	f, err := os.CreateTemp(s.dir, tempPattern) // mode 0600
	if err != nil {
		s.made = !errors.Is(err, fs.ErrNotExist) // somebody took the folder away: the next is in a new one
		return 0, fmt.Errorf("write incident: %w", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.dir, name))
	}
	if err != nil {
		os.Remove(f.Name())
		return 0, fmt.Errorf("write incident: %w", err)
	}
	return int64(len(b)), nil
}

func (s *store) remove(id string) error {
	err := os.Remove(filepath.Join(s.dir, id+storeSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// read returns an incident; id is one that load or write has had.
func (s *store) read(id string) (*Incident, error) {
	i := new(Incident)
	if err := s.decode(id+storeSuffix, i); err != nil {
		return nil, fmt.Errorf("read incident %s: %w", id, err)
	}
	return i, nil
}

func (s *store) decode(name string, v any) error {
	f, err := os.Open(filepath.Join(s.dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxStoreFile))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// A count is what changes of an incident when it comes again.
type count struct {
	First time.Time    `json:"first"`
	Last  time.Time    `json:"last"`
	Count uint64       `json:"count"`
	Seen  []Occurrence `json:"seen,omitempty"`
}

// A stored is an incident on disk.
type stored struct {
	*Incident
	size    int64
	counted bool // its count is that of the file with the counts
}

// A loss is what of the files of a store did not become incidents.
type loss struct {
	torn   int   // and taken away
	unread int   // and left where they are: their content may be whole
	why    error // of one of those unread
}

// load reads what is there, and takes away what is torn. A folder that is not
// there is an empty one.
func (s *store) load() (list []stored, lost loss, err error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, loss{}, nil
	}
	if err != nil {
		return nil, loss{}, fmt.Errorf("read incident store: %w", err)
	}
	counts := make(map[string]count)
	if err := s.decode(countsName, &counts); err != nil && !errors.Is(err, fs.ErrNotExist) {
		lost.torn++
		counts = nil // then the incidents' own hold
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), storeSuffix)
		switch {
		case e.Name() == countsName:
			continue
		case strings.HasPrefix(e.Name(), strings.TrimSuffix(tempPattern, "*")):
			if !s.readOnly {
				os.Remove(filepath.Join(s.dir, e.Name()))
			}
			continue
		case !ok || !e.Type().IsRegular() || !validID(id):
			continue // not ours
		}
		i, err := s.read(id)
		if _, unread := errors.AsType[*fs.PathError](err); unread {
			// Another user's, no descriptor left, a disk that fails: of what is in it that says nothing.
			if !errors.Is(err, fs.ErrNotExist) {
				lost.unread, lost.why = lost.unread+1, err
			}
			continue
		}
		if err != nil || i.ID != id {
			lost.torn++
			if !s.readOnly {
				s.remove(id)
			}
			continue
		}
		c, counted := counts[id]
		if counted = counted && c.Count >= i.Count; counted {
			i.First, i.Last, i.Count, i.Seen = c.First, c.Last, c.Count, c.Seen
		}
		size := int64(0)
		if fi, err := e.Info(); err == nil {
			size = fi.Size()
		}
		list = append(list, stored{i, size, counted})
	}
	return list, lost, nil
}

// validID keeps names of files to ids.
func validID(id string) bool {
	return len(id) == idLength && strings.Trim(id, "abcdefghjkmnpqrstvwxyz0123456789") == ""
}
