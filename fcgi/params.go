package fcgi

import "encoding/binary"

// Params are name-value pairs (§3.4) in the order they were added, encoded as
// they go out: no record splits a pair, for php-fpm and uWSGI would refuse it.
// The zero value is ready. Reset keeps the memory for the next request.
type Params struct {
	buf  []byte
	cuts []int // offsets in buf where a new record starts, in order
	last int   // where the record being filled started
	err  error
}

// Add appends one pair. A pair that does not fit a record is ErrParamTooLarge,
// which Err returns from then on.
func (p *Params) Add(name, value string) {
	if p.begin(len(name), len(value)) {
		p.buf = append(p.buf, name...)
		p.buf = append(p.buf, value...)
	}
}

// begin appends the lengths of a pair whose name and value the caller appends
// next, unless it reports false.
func (p *Params) begin(name, value int) bool {
	n := lengthSize(name) + lengthSize(value) + name + value
	if n > maxFilled {
		p.err = ErrParamTooLarge
		return false
	}
	if len(p.buf)-p.last+n > maxFilled {
		p.cuts = append(p.cuts, len(p.buf))
		p.last = len(p.buf)
	}
	p.buf = appendLength(p.buf, name)
	p.buf = appendLength(p.buf, value)
	return true
}

// Err returns ErrParamTooLarge if a pair was refused, or nil.
func (p *Params) Err() error { return p.err }

// Len returns the encoded size in bytes, without record headers.
func (p *Params) Len() int { return len(p.buf) }

// Cap returns how many bytes of memory Reset keeps.
func (p *Params) Cap() int { return cap(p.buf) }

// Reset empties p.
func (p *Params) Reset() { p.buf, p.cuts, p.last, p.err = p.buf[:0], p.cuts[:0], 0, nil }

// appendRecords appends the stream of PARAMS records and the empty one that ends it.
func (p *Params) appendRecords(dst []byte, id uint16) []byte {
	start := 0
	for _, cut := range p.cuts {
		dst = AppendRecord(dst, TypeParams, id, p.buf[start:cut])
		start = cut
	}
	if start < len(p.buf) {
		dst = AppendRecord(dst, TypeParams, id, p.buf[start:])
	}
	return AppendRecord(dst, TypeParams, id, nil)
}

// Each calls f for each pair in order.
func (p *Params) Each(f func(name, value string)) {
	for b := p.buf; len(b) > 0; {
		var name, value string
		name, value, b, _ = cutPair(b) // our own encoding: always whole
		f(name, value)
	}
}

func lengthSize(n int) int {
	if n < 128 {
		return 1
	}
	return 4
}

// appendLength encodes a length (§3.4): one byte below 128, else four with
// the high bit set.
func appendLength(dst []byte, n int) []byte {
	if n < 128 {
		return append(dst, byte(n))
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n)|1<<31)
}

// cutLength decodes a length. ok is false if b does not hold all of it yet.
func cutLength(b []byte) (n int, rest []byte, ok bool) {
	switch {
	case len(b) == 0:
		return 0, b, false
	case b[0] < 128:
		return int(b[0]), b[1:], true
	case len(b) < 4:
		return 0, b, false
	}
	return int(binary.BigEndian.Uint32(b) &^ (1 << 31)), b[4:], true
}

// cutPair decodes the pair at the start of b. ok is false, and rest is b,
// if b does not hold all of it yet.
func cutPair(b []byte) (name, value string, rest []byte, ok bool) {
	nameLen, r, ok := cutLength(b)
	if !ok {
		return "", "", b, false
	}
	valueLen, r, ok := cutLength(r)
	if !ok || uint64(nameLen)+uint64(valueLen) > uint64(len(r)) {
		return "", "", b, false
	}
	return string(r[:nameLen]), string(r[nameLen : nameLen+valueLen]), r[nameLen+valueLen:], true
}

// A paramsDecoder gathers a PARAMS stream, however it is divided into
// records (§3.3), within a bound on its size.
type paramsDecoder struct {
	partial []byte // an incomplete pair
	size    int    // bytes taken so far
	limit   int    // bytes that may be taken
}

// add takes a piece of the stream and calls f for each pair it completes.
// A declared length over the limit is refused before memory is spent on it.
func (d *paramsDecoder) add(piece []byte, f func(name, value string)) error {
	d.size += len(piece)
	if d.size > d.limit {
		return protocolErrorf("PARAMS over %d bytes", d.limit)
	}
	b := piece
	if len(d.partial) > 0 {
		d.partial = append(d.partial, piece...)
		b = d.partial
	}
	for len(b) > 0 {
		name, value, rest, ok := cutPair(b)
		if !ok {
			break
		}
		f(name, value)
		b = rest
	}
	if need := pairSize(b); need > int64(d.limit) {
		return protocolErrorf("a pair of %d bytes in PARAMS, at most %d allowed", need, d.limit)
	}
	d.partial = append(d.partial[:0], b...)
	return nil
}

// end checks that the stream ended between two pairs.
func (d *paramsDecoder) end() error {
	if len(d.partial) > 0 {
		return protocolErrorf("PARAMS ended within a pair (§3.4)")
	}
	return nil
}

// pairSize returns the size that the pair at the start of b declares, as far
// as its lengths are there.
func pairSize(b []byte) int64 {
	nameLen, r, ok := cutLength(b)
	if !ok {
		return 0
	}
	valueLen, _, _ := cutLength(r)
	return int64(nameLen) + int64(valueLen)
}
