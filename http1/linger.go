package http1

import (
	"net/http"
	"strconv"
	"time"
)

const (
	// refusalTime bounds the write of an answer to what is refused.
	refusalTime = time.Second
	// lingerTime and lingerBytes bound what is read and thrown away after the
	// last answer: a close with bytes unread resets the connection, and the
	// client may lose the answer to it (RFC 9112 §9.6).
	lingerTime  = time.Second
	lingerBytes = 64 << 20
)

// refuse answers a head that no handler gets to see, and ends the connection.
func (c *conn) refuse(bad *Rule, begun time.Time) {
	now := time.Now()
	if begun.IsZero() {
		begun = now
	}
	h, b := &c.x.head, c.x.in[c.x.from:c.x.to]
	page := bad.page()
	out := append(c.x.out[:0], "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(bad.Status), 10)
	out = append(out, ' ')
	out = append(out, http.StatusText(bad.Status)...)
	out = append(out, "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(page)), 10)
	out = append(out, "\r\n"...)
	out = append(out, c.server.date(now)...)
	out = append(out, "Connection: close\r\n\r\n"...)
	_ = c.out.by(now.Add(refusalTime))
	_, err := c.write(append(out, page...)) // it is closed next, whether this arrives or not
	if c.server.Refused != nil {
		c.server.Refused(Refusal{c.nc.RemoteAddr(), bad, begun,
			string(h.method.of(b)), string(h.target.of(b)), string(h.proto.of(b)), int64(len(page))})
	}
	if err == nil {
		c.linger()
	}
}

// linger closes the connection's half and waits for the client to close the
// other, so that it reads the answer even where it is still sending.
func (c *conn) linger() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.in.by(time.Now().Add(lingerTime))
	waste := c.x.in
	for total := 0; total < lingerBytes; {
		n, err := c.read(waste)
		if total += n; err != nil {
			return
		}
	}
}
