package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// bbolt walks the whole tree when it opens the file, in a goroutine of its own:
// what it panics at there, or a fault, would end the daemon, and no recover of
// ours is on that stack. So the same walk is done before, by plain reads, and
// bbolt is not given a file that does not pass.

// The layout of a file is the machine's: bbolt maps its structures as they are.
const (
	pageHead    = 8 + 2 + 2 + 4 // id, flags, count, overflow
	elementHead = 16            // of a leaf: flags, pos, ksize, vsize; of a branch: pos, ksize, page
	bucketHead  = 8 + 8         // root page (0: it follows inline), sequence
	metaSize    = 4*4 + bucketHead + 8 + 8 + 8 + 8

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketEntry  = 0x01

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = ^uint64(0)

	minPage, maxPage = 1 << 10, 1 << 24 // bytes, as bbolt looks for them
)

var native = binary.NativeEndian

// inspect returns a *damage where bbolt must not open the file. One that is
// not there, or empty, is a new one.
func inspect(file string) error {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	w := walk{file: f, size: info.Size(), seen: make(map[uint64]bool)}
	if err := w.all(); err != nil {
		return &damage{err}
	}
	return nil
}

// A meta is what one of the first two pages says of the rest.
type meta struct {
	page                      int64 // bytes
	root, freelist, end, txid uint64
}

// metaAt returns nil for one that is not valid.
func (w *walk) metaAt(at int64) *meta {
	b := make([]byte, pageHead+metaSize)
	if _, err := w.file.ReadAt(b, at); err != nil {
		return nil
	}
	b = b[pageHead:]
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	if native.Uint32(b) != boltMagic || native.Uint32(b[4:]) != boltVersion || native.Uint64(b[metaSize-8:]) != sum.Sum64() {
		return nil
	}
	return &meta{
		page: int64(native.Uint32(b[8:])), root: native.Uint64(b[16:]),
		freelist: native.Uint64(b[32:]), end: native.Uint64(b[40:]), txid: native.Uint64(b[48:]),
	}
}

// meta returns the one that bbolt will go by: the later of those that are valid.
func (w *walk) meta() (*meta, error) {
	first := w.metaAt(0)
	var second *meta
	if first != nil {
		second = w.metaAt(first.page)
	} else {
		for at := int64(minPage); second == nil && at <= maxPage; at *= 2 {
			second = w.metaAt(at)
		}
	}
	m := first
	if m == nil || second != nil && second.txid > m.txid {
		m = second
	}
	switch {
	case m == nil:
		return nil, errors.New("no valid meta page")
	case m.page < minPage || m.page > maxPage || m.page&(m.page-1) != 0 || w.size < 2*m.page:
		return nil, fmt.Errorf("page size %d of a file of %d bytes", m.page, w.size)
	case first == nil && w.metaAt(m.page) == nil || first != nil && first.page != m.page:
		return nil, errors.New("meta pages differ in page size")
	case m.end > 1<<40:
		return nil, fmt.Errorf("%d pages", m.end)
	}
	return m, nil
}

// A walk visits each page that can be reached, once.
type walk struct {
	file *os.File
	size int64
	m    *meta
	seen map[uint64]bool
}

func (w *walk) all() (err error) {
	if w.m, err = w.meta(); err != nil {
		return err
	}
	if w.m.freelist != noFreelist { // in a file as new as bbolt makes it: with nothing in it
		p, err := w.read(w.m.freelist)
		if err != nil {
			return err
		}
		if p.flags != freelistPage || p.count != 0 {
			return fmt.Errorf("page %d: not an empty freelist", p.id)
		}
	}
	return w.tree(w.m.root, nil, nil, true)
}

// A page is one with those that it overflows into.
type page struct {
	id           uint64
	flags, count uint16
	b            []byte
}

func (w *walk) read(id uint64) (*page, error) {
	var head [pageHead]byte
	at := int64(id) * w.m.page
	if id < 2 || id >= w.m.end || at > w.size-w.m.page {
		return nil, fmt.Errorf("page %d: out of bounds", id)
	}
	if _, err := w.file.ReadAt(head[:], at); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	p := &page{id: id, flags: native.Uint16(head[8:]), count: native.Uint16(head[10:])}
	pages := 1 + uint64(native.Uint32(head[12:]))
	length := int64(pages) * w.m.page
	if got := native.Uint64(head[:]); got != id {
		return nil, fmt.Errorf("page %d: says that it is %d", id, got)
	}
	if pages > w.m.end-id || length > w.size-at {
		return nil, fmt.Errorf("page %d: %d pages: out of bounds", id, pages)
	}
	for i := range pages {
		if w.seen[id+i] {
			return nil, fmt.Errorf("page %d: referred to twice", id+i)
		}
		w.seen[id+i] = true
	}
	p.b = make([]byte, length)
	if _, err := io.ReadFull(io.NewSectionReader(w.file, at, length), p.b); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return p, nil
}

// tree visits a page and what is below it, whose keys are at least least and
// below limit, where these are not nil. Only the root's entries may be buckets.
func (w *walk) tree(id uint64, least, limit []byte, root bool) error {
	p, err := w.read(id)
	if err != nil {
		return err
	}
	if p.flags != leafPage && (p.flags != branchPage || p.count == 0) {
		return fmt.Errorf("page %d: %d elements, flags %x", id, p.count, p.flags)
	}
	elements, err := p.elements(least, limit)
	if err != nil {
		return err
	}
	for i, e := range elements {
		if p.flags == branchPage {
			below := limit
			if i+1 < len(elements) {
				below = elements[i+1].key
			}
			err = w.tree(e.page, e.key, below, root)
		} else if e.bucket {
			err = w.bucket(id, e.value, root)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) bucket(id uint64, value []byte, root bool) error {
	if !root || len(value) < bucketHead {
		return fmt.Errorf("page %d: a bucket of %d bytes where none can be", id, len(value))
	}
	if at := native.Uint64(value); at != 0 {
		return w.tree(at, nil, nil, false)
	}
	b := value[bucketHead:]
	if len(b) < pageHead {
		return fmt.Errorf("page %d: an inline bucket of %d bytes", id, len(b))
	}
	inline := &page{id: id, flags: native.Uint16(b[8:]), count: native.Uint16(b[10:]), b: b}
	if inline.flags != leafPage {
		return fmt.Errorf("page %d: an inline bucket with flags %x", id, inline.flags)
	}
	elements, err := inline.elements(nil, nil)
	for _, e := range elements {
		if e.bucket {
			return fmt.Errorf("page %d: a bucket in an inline one", id)
		}
	}
	return err
}

type element struct {
	key, value []byte
	page       uint64 // of a branch's
	bucket     bool
}

// elements returns those of a branch or leaf: within the page, in order.
func (p *page) elements(least, limit []byte) ([]element, error) {
	if pageHead+int(p.count)*elementHead > len(p.b) {
		return nil, fmt.Errorf("page %d: %d elements do not fit", p.id, p.count)
	}
	elements := make([]element, p.count)
	for i := range elements {
		e := &elements[i]
		b := p.b[pageHead+i*elementHead:] // positions are relative to the element
		var pos, keyLen, valueLen uint64
		if p.flags == branchPage {
			pos, keyLen, e.page = uint64(native.Uint32(b)), uint64(native.Uint32(b[4:])), native.Uint64(b[8:])
		} else {
			flags := native.Uint32(b)
			e.bucket = flags&bucketEntry != 0
			pos, keyLen, valueLen = uint64(native.Uint32(b[4:])), uint64(native.Uint32(b[8:])), uint64(native.Uint32(b[12:]))
		}
		if pos < elementHead || pos+keyLen+valueLen > uint64(len(b)) {
			return nil, fmt.Errorf("page %d: element %d is out of bounds", p.id, i)
		}
		e.key, e.value = b[pos:pos+keyLen], b[pos+keyLen:pos+keyLen+valueLen]
		if i == 0 && bytes.Compare(e.key, least) < 0 || i > 0 && bytes.Compare(e.key, elements[i-1].key) <= 0 ||
			limit != nil && bytes.Compare(e.key, limit) >= 0 {
			return nil, fmt.Errorf("page %d: key %d is out of order", p.id, i)
		}
	}
	return elements, nil
}
