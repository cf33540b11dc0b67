package fcgi

import "net"

// maxBatch is how many records go out in one write at most: what others on the
// connection have to say waits for no more.
const maxBatch = 4

// maxBatched is how much content these hold, in bytes.
const maxBatched = maxBatch * maxFilled

// A batch is one write of records whose content lies elsewhere: it is copied
// nowhere on its way to the system.
type batch struct {
	pieces  [2 + 3*maxBatch][]byte // what was there before; header, content and padding of each; an end
	list    net.Buffers            // in pieces
	headers [(maxBatch + 1) * HeaderLen]byte
	used    int // bytes of headers
}

// begin makes the batch anew, with what goes before.
func (w *batch) begin(before []byte) {
	w.list, w.used = w.pieces[:0], 0
	if len(before) > 0 {
		w.list = append(w.list, before)
	}
}

// stream adds content as records, at most maxBatched bytes of it.
func (w *batch) stream(t Type, id uint16, content []byte) {
	for len(content) > 0 {
		n := min(len(content), maxFilled)
		w.header(t, id, n)
		w.list = append(w.list, content[:n])
		if pad := padding(n); pad > 0 {
			w.list = append(w.list, zeros[:pad])
		}
		content = content[n:]
	}
}

// header adds a record's header, at most maxBatch+1 times: one may end a stream.
func (w *batch) header(t Type, id uint16, n int) {
	h := AppendHeader(w.headers[w.used:w.used], t, id, n)
	w.used += HeaderLen
	w.list = append(w.list, h)
}

// write writes what is in the batch, and cuts off what it has written: after an
// error it may be called again for the rest.
func (w *batch) write(nc net.Conn) (n int64, err error) {
	if sock, ok := nc.(*socket); ok {
		n, err = sock.writev(&w.list)
	} else {
		n, err = w.list.WriteTo(nc)
	}
	if err == nil {
		clear(w.pieces[:]) // the content is its owner's again
	}
	return n, err
}
