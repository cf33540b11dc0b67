package session

import (
	"encoding/binary"
	"time"
)

// A record is what is stored of a session.
type record struct {
	created, seen time.Time // to the microsecond
	id            [12]byte
	data          string // JSON object, ASCII
}

// The first byte of what is stored tells what it is.
const (
	kindSession = 'S'
	kindForward = 'F'
)

const recordHead = 1 + 8 + 8 + 12

func (r record) encode() []byte {
	b := make([]byte, 0, recordHead+len(r.data))
	b = append(b, kindSession)
	b = binary.BigEndian.AppendUint64(b, uint64(r.created.UnixMicro()))
	b = binary.BigEndian.AppendUint64(b, uint64(r.seen.UnixMicro()))
	b = append(b, r.id[:]...)
	return append(b, r.data...)
}

// decodeRecord reports false for anything that is no session, nil too.
func decodeRecord(b []byte) (r record, ok bool) {
	if len(b) < recordHead+len(empty) || b[0] != kindSession {
		return r, false
	}
	r.created = time.UnixMicro(int64(binary.BigEndian.Uint64(b[1:])))
	r.seen = time.UnixMicro(int64(binary.BigEndian.Uint64(b[9:])))
	copy(r.id[:], b[17:])
	r.data = string(b[recordHead:])
	return r, true
}

// A forward leads from a session's old key to the one it was renewed to.
func encodeForward(to Key) []byte { return append([]byte{kindForward}, to[:]...) }

func decodeForward(b []byte) (to Key, ok bool) {
	if len(b) != 1+len(to) || b[0] != kindForward {
		return to, false
	}
	copy(to[:], b[1:])
	return to, true
}
