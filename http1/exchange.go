package http1

import "net/http"

// bufferSize is what an exchange reads into and writes from; larger heads have
// their buffer grow.
const bufferSize = 4 << 10

// An exchange is what a connection needs from a request's first byte to its
// answer's last, and on while there are bytes of the next one. Between
// requests a connection has none: that is what makes an idle one cheap.
type exchange struct {
	c *conn

	// The input: what is read and not taken yet is in[from:to].
	in       []byte
	from, to int

	head   head
	fields http.Header // the request's, made anew in the same map
	values []string    // what its slices are parts of

	turn *turn
	req  *http.Request
	body *body // nil: the request has none

	answer
}

func newExchange(limits *Limits) *exchange {
	return &exchange{in: make([]byte, bufferSize), head: head{limits: limits, fields: make([]field, 0, 24)},
		answer: answer{header: make(http.Header, 8), out: make([]byte, 0, bufferSize), pending: make([]byte, 0, bufferSize)}}
}

func (x *exchange) buffered() int { return x.to - x.from }

// more reads more of the input. What is there moves to the buffer's start, or
// the buffer grows: the callers' limits bound it.
func (x *exchange) more() error {
	switch {
	case x.from == x.to:
		x.from, x.to = 0, 0
	case x.to == len(x.in) && x.from > 0:
		x.to = copy(x.in, x.in[x.from:x.to])
		x.from = 0
	case x.to == len(x.in):
		grown := make([]byte, 2*len(x.in))
		copy(grown, x.in)
		x.in = grown
	}
	n, err := x.c.read(x.in[x.to:])
	x.to += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// forget makes the exchange ready for the next request of its connection.
func (x *exchange) forget() {
	clear(x.fields)
	clear(x.values) // a long head's text must not live as long as the buffers
	x.turn, x.req, x.body = nil, nil, nil
	x.answer.reset()
}

// free makes it ready for another connection.
func (x *exchange) free() {
	x.forget()
	x.c, x.from, x.to = nil, 0, 0
	if len(x.in) > bufferSize {
		x.in = make([]byte, bufferSize)
	}
	if cap(x.values) > 128 {
		x.values = nil
	}
}
