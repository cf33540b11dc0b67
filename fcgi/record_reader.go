package fcgi

import (
	"encoding/binary"
	"io"
)

// readBufferSize is what one read may take from a connection at once. Larger
// records pass through it in pieces, so it bounds a connection's memory.
const readBufferSize = 128 << 10

const (
	// readAhead is how much is read beyond a large record, whose content may go
	// straight to where it is wanted: the next header, and small records. More
	// would take the next large record's content the long way.
	readAhead = 1 << 10

	// readFirst is how much is read as long as that is never all there was: many
	// small records, but little of a large one.
	readFirst = 16 << 10
)

// A RecordReader reads records from a connection. The content of a record is
// taken in pieces straight out of the read buffer, so a record's size costs
// no memory. It never allocates after its making.
type RecordReader struct {
	src      io.Reader
	both     readerBoth // src, where large records go past buf; else nil
	buf      []byte
	from, to int   // what was read and not taken is buf[from:to]
	err      error // came with the last bytes of buf
	most     int   // bytes that the next read into buf may take
	content  int   // bytes of the current record's content not yet taken
	padding  int   // bytes of its padding not yet skipped
}

// A readerBoth fills a and goes on with b, in one read.
type readerBoth interface {
	readBoth(a, b []byte) (int, error)
}

// NewRecordReader returns a reader of the records that r delivers.
func NewRecordReader(r io.Reader) *RecordReader {
	return &RecordReader{src: r, buf: make([]byte, readBufferSize), most: readFirst}
}

// maxEmptyReads is how many reads of nothing a source may give in a row.
const maxEmptyReads = 100

// fill reads more behind what is buffered.
func (r *RecordReader) fill() error {
	if r.err != nil {
		err := r.err
		r.err = nil
		return err
	}
	if r.from > 0 {
		r.to = copy(r.buf, r.buf[r.from:r.to])
		r.from = 0
	}
	space := r.buf[r.to:]
	if r.both != nil {
		space = space[:min(len(space), r.most)]
	}
	for range maxEmptyReads {
		n, err := r.src.Read(space)
		r.to += n
		if n > 0 {
			r.err = err
			if r.most = readFirst; n == len(space) {
				r.most = readBufferSize
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// peek returns the next n bytes, at most readBufferSize. With an error it
// returns what there is of them.
func (r *RecordReader) peek(n int) ([]byte, error) {
	for r.to-r.from < n {
		if err := r.fill(); err != nil {
			return r.buf[r.from:r.to], err
		}
	}
	return r.buf[r.from : r.from+n], nil
}

// Next goes to the next record, skipping what is left of the one before.
// It returns io.EOF only where the peer closed between two records, and
// ErrTruncated where it closed within one.
func (r *RecordReader) Next() (Header, error) {
	if err := r.skip(); err != nil {
		return Header{}, err
	}
	b, err := r.peek(HeaderLen)
	if err != nil {
		if len(b) > 0 {
			return Header{}, truncated(err)
		}
		return Header{}, err
	}
	if b[0] != Version { // §3.3: "This specification documents FCGI_VERSION_1"
		return Header{}, protocolErrorf("record of version %d, want 1 (§3.3)", b[0])
	}
	h := Header{
		Type:          Type(b[1]),
		ID:            binary.BigEndian.Uint16(b[2:]),
		ContentLength: binary.BigEndian.Uint16(b[4:]),
		PaddingLength: b[6],
	}
	r.from += HeaderLen
	r.content, r.padding = int(h.ContentLength), int(h.PaddingLength)
	if r.content >= directPiece {
		r.most = readAhead
	}
	return h, nil
}

// Chunk returns the next piece of the current record's content, or an empty
// slice at its end. The piece is valid until the next call of any method.
func (r *RecordReader) Chunk() ([]byte, error) {
	if r.content == 0 {
		return nil, nil
	}
	if _, err := r.peek(1); err != nil {
		return nil, truncated(err)
	}
	b := r.buf[r.from:min(r.to, r.from+r.content)]
	r.content -= len(b)
	r.from += len(b) // leaves the bytes in place until the next read
	return b, nil
}

// large returns how much is left of the current record's content where most of it
// is worth a way past the buffer, or 0.
func (r *RecordReader) large() int {
	if r.both == nil || r.content < directPiece || r.content-(r.to-r.from) < directPiece/2 {
		return 0
	}
	return r.content
}

// directPiece is how much content, in bytes, is read into a piece of its own: of
// the memory of one, that leaves little unused.
const directPiece = largePiece * 3 / 4

// into reads all of p out of the current record's content, which has so much left.
// With an error it returns how much came before.
func (r *RecordReader) into(p []byte) (n int, err error) {
	for n < len(p) {
		m := copy(p[n:], r.buf[r.from:r.to])
		r.from += m
		if m == 0 {
			if m, err = r.past(p[n:]); err != nil {
				return n, truncated(err)
			}
		}
		n += m
		r.content -= m
	}
	return n, nil
}

// past reads into p, and what comes behind it into the buffer, which is empty.
func (r *RecordReader) past(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.fill()
	}
	r.from, r.to = 0, 0
	n, err := r.both.readBoth(p, r.buf[:readAhead])
	if n > len(p) {
		n, r.to = len(p), n-len(p)
	}
	if n > 0 {
		r.err, err = err, nil
	}
	return n, err
}

// Fixed returns the whole content of a record that has a fixed, small body.
// A longer one is a protocol error: limit is the most that the type allows.
func (r *RecordReader) Fixed(h Header, limit int) ([]byte, error) {
	if int(h.ContentLength) > limit {
		return nil, protocolErrorf("%v of %d bytes, at most %d allowed", h.Type, h.ContentLength, limit)
	}
	b, err := r.peek(int(h.ContentLength))
	if err != nil {
		return nil, truncated(err)
	}
	r.content = 0
	r.from += len(b)
	return b, nil
}

// Buffered reports whether more of the peer's bytes are already here: a
// reader that finds none is about to wait.
func (r *RecordReader) Buffered() bool { return r.to-r.from > r.content+r.padding }

// skip goes behind the current record. An error leaves the reader where it came,
// as everywhere here: with a Read that can go on after one, so can this.
func (r *RecordReader) skip() error {
	r.padding += r.content
	r.content = 0
	for r.padding > 0 {
		if r.from == r.to {
			if err := r.fill(); err != nil {
				return truncated(err)
			}
		}
		n := min(r.padding, r.to-r.from)
		r.from += n
		r.padding -= n
	}
	return nil
}
