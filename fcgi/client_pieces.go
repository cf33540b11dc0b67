package fcgi

import (
	"sync"
	"time"
)

// The sizes of a piece: most answers fit the small one, and of many that wait
// each holds little; a large one is what is worth a write of its own, and holds the
// largest record.
const (
	smallPiece = 4 << 10
	largePiece = 64 << 10
)

var (
	smallPieces = sync.Pool{New: func() any { return new([smallPiece]byte) }}
	largePieces = sync.Pool{New: func() any { return new([largePiece]byte) }}
)

// A piece is a part of an answer or a body, in memory that goes back to where it is from.
type piece struct {
	b     []byte
	small *[smallPiece]byte
	large *[largePiece]byte
}

// newPiece returns an empty piece, small if it is to hold no more than want.
func newPiece(want int) piece {
	if want <= smallPiece {
		mem := smallPieces.Get().(*[smallPiece]byte)
		return piece{b: mem[:0], small: mem}
	}
	mem := largePieces.Get().(*[largePiece]byte)
	return piece{b: mem[:0], large: mem}
}

// free gives the memory back: nobody has a slice of it any more.
func (p *piece) free() {
	switch {
	case p.small != nil:
		smallPieces.Put(p.small)
	case p.large != nil:
		largePieces.Put(p.large)
	}
	*p = piece{}
}

// pieces is a queue of them.
type pieces struct {
	size  int // bytes in all of them
	list  []piece
	first [2]piece // where list begins
}

// append copies b behind what is there.
func (q *pieces) append(b []byte) {
	q.size += len(b)
	for len(b) > 0 {
		n := len(q.list)
		if n == 0 || len(q.list[n-1].b) == cap(q.list[n-1].b) {
			q.push(newPiece(len(b)))
			n++
		}
		last := &q.list[n-1]
		k := min(len(b), cap(last.b)-len(last.b))
		last.b = append(last.b, b[:k]...)
		b = b[k:]
	}
}

// push puts a piece behind what is there.
func (q *pieces) push(p piece) {
	q.size += len(p.b)
	if q.list == nil {
		q.list = q.first[:0]
	}
	q.list = append(q.list, p)
}

// pop takes the first piece; there is one.
func (q *pieces) pop() piece {
	p := q.list[0]
	q.size -= len(p.b)
	n := copy(q.list, q.list[1:])
	q.list[n] = piece{}
	q.list = q.list[:n]
	return p
}

// truncate drops what is over n bytes.
func (q *pieces) truncate(n int64) {
	for int64(q.size) > n {
		last := &q.list[len(q.list)-1]
		over := int(min(int64(len(last.b)), int64(q.size)-n))
		last.b = last.b[:len(last.b)-over]
		q.size -= over
		if len(last.b) == 0 {
			last.free()
			q.list = q.list[:len(q.list)-1]
		}
	}
}

func (q *pieces) drop() {
	for q.size > 0 {
		p := q.pop()
		p.free()
	}
}

// spillPatience is how long, over a whole answer, the application waits for a
// client that does not keep up before the answer goes to a file: most are only a
// moment behind, and a file costs more than the moment.
const spillPatience = 50 * time.Millisecond

// patience is what is used up of spillPatience. It is guarded by stream.mu.
type patience struct {
	spent time.Duration
}

func (p *patience) left() bool { return p.spent < spillPatience }

// wait waits for room until the patience is at its end.
func (p *patience) wait(s *stream) {
	start := time.Now()
	timer := time.AfterFunc(spillPatience-p.spent, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		p.spent = spillPatience
		s.room.Signal()
	})
	s.room.Wait()
	if timer.Stop() {
		p.spent += time.Since(start)
	}
}
