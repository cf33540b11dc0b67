package cgi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// readResponse reads the HTTP response of a non-parsed-header program (§5).
// What belongs to its connection, such as chunking, ends here.
func readResponse(br *bufio.Reader, r *http.Request) (head, io.Reader, error) {
	resp, err := http.ReadResponse(br, r)
	if err != nil {
		return head{}, nil, &formatError{
			reason: fmt.Sprintf("an nph- program must write an HTTP response: %v", err),
			ended:  errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF),
		}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 999 {
		return head{}, nil, badf("status %d cannot be final", resp.StatusCode)
	}
	for name, values := range resp.Header {
		for _, v := range values {
			if err := checkField(name, v); err != nil {
				return head{}, nil, badf("header %q: %v", clip([]byte(name)), err)
			}
		}
	}
	dropForeign(resp.Header)
	return head{status: resp.StatusCode, length: resp.ContentLength, header: resp.Header}, resp.Body, nil
}

// A limited reader fails once left bytes were read, if left is not negative.
// It bounds what a header can take before it is known to be whole.
type limited struct {
	r    io.Reader
	left int
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left < 0 {
		return l.r.Read(b)
	}
	if l.left == 0 {
		return 0, badf("header over %d bytes", maxHeader)
	}
	n, err := l.r.Read(b[:min(len(b), l.left)])
	l.left -= n
	return n, err
}
