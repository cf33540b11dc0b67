package incident

import (
	"fmt"
	"slices"
	"strings"
)

// ListDirectory reads the incidents in a folder that no daemon has in hand,
// the latest first, and changes nothing there.
func ListDirectory(dir string) ([]Summary, error) {
	s := store{dir: dir, readOnly: true}
	list, _, err := s.load()
	if err != nil {
		return nil, err
	}
	short := make([]Summary, 0, len(list))
	for _, i := range list {
		short = append(short, summary(i.Incident))
	}
	slices.SortFunc(short, func(a, b Summary) int {
		if c := b.Last.Compare(a.Last); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return short, nil
}

// ReadDirectory reads one, by its id or that of a request. The error is
// ErrUnknown, or the disk's.
func ReadDirectory(dir, id string) (*Incident, error) {
	s := store{dir: dir, readOnly: true}
	list, _, err := s.load()
	if err != nil {
		return nil, err
	}
	for _, i := range list {
		if i.ID == id || slices.ContainsFunc(i.Seen, func(o Occurrence) bool { return o.Request == id && id != "" }) {
			return i.Incident, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknown, id)
}
