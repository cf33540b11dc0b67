package fcgi

import (
	"fmt"
	"io"
	"os"
)

// Buffering says how far an answer is taken off an application ahead of the
// client, on a connection without flow control: the sooner the whole of it is
// here, the sooner its worker serves the next request. What came streams to the
// client without any wait; over the bounds the application waits.
type Buffering struct {
	Memory int    // bytes; 0: 64 KiB
	File   int64  // bytes behind these, in a file without a name; 0: none until Response.Spill
	Dir    string // where the file is made; "": the temporary directory
}

// Spill sets Buffering.File for the rest of the answer, by what its head says: of
// one that was sent with none, no more than Memory was taken ahead of this call.
func (r *Response) Spill(file int64) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buffering.File = file
	s.room.Signal()
}

// overflow is the part of an answer that is in a file. Between the two marks
// it belongs to the reading side, behind them to the writing side, so that
// neither waits for the other's input and output.
type overflow struct {
	file     *os.File // nil: never needed
	in, out  int64    // offsets: written up to, read up to
	piece    []byte
	disabled bool // the disk failed: from then on the application waits
	writing  bool // the read loop is in spill, and will close the file if need be
}

// spill writes b behind what is in the file. It is called without the
// stream's lock, by the only writer.
func (o *overflow) spill(b []byte, dir string, at int64) error {
	if o.file == nil {
		f, err := os.CreateTemp(dir, "frontd-answer-")
		if err != nil {
			return err
		}
		if err := os.Remove(f.Name()); err != nil {
			f.Close()
			return err
		}
		o.file = f
	}
	if _, err := o.file.WriteAt(b, at); err != nil {
		return fmt.Errorf("buffer answer: %w", err)
	}
	return nil
}

// overflowPiece is how much of the file is read at once.
const overflowPiece = 64 << 10

// fetch reads the next piece. It is called without the stream's lock, by the
// only reader; the writer never touches what is before in.
func (o *overflow) fetch(in, out int64) ([]byte, error) {
	if o.piece == nil {
		o.piece = make([]byte, overflowPiece)
	}
	n := int(min(in-out, overflowPiece))
	if _, err := io.ReadFull(io.NewSectionReader(o.file, out, in-out), o.piece[:n]); err != nil {
		return nil, fmt.Errorf("read buffered answer: %w", err)
	}
	return o.piece[:n], nil
}

func (o *overflow) close() {
	if o.file != nil {
		o.file.Close()
		o.file = nil
	}
}
