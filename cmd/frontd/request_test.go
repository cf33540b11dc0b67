package main

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/frontd/frontd/fcgi"
)

// What another request is sent must not be printed as this one's.
func TestPrintAnswer(t *testing.T) {
	record := func(typ fcgi.Type, id uint16, text string) []byte {
		return fcgi.AppendRecord(nil, typ, id, []byte(text))
	}
	end := func(id uint16) []byte { return fcgi.AppendEndRequest(nil, id, 7, fcgi.StatusRequestComplete) }
	for _, tt := range []struct {
		why            string
		in             [][]byte
		stdout, stderr string
		err            string // a part of it
	}{
		{"an answer", [][]byte{record(fcgi.TypeStderr, 3, "log\n"), record(fcgi.TypeStdout, 3, "good"), end(3)}, "good", "log\n# ended: REQUEST_COMPLETE, application status 7\n", ""},
		{"a type that nobody knows, of whatever id", [][]byte{record(99, 4, "junk"), record(fcgi.TypeStdout, 3, "good"), end(3)}, "good", "# ended: REQUEST_COMPLETE, application status 7\n", ""},
		{"another's STDOUT", [][]byte{record(fcgi.TypeStdout, 3, "good"), record(fcgi.TypeStdout, 4, "EVIL"), end(3)}, "good", "", "STDOUT of request 4 in the answer to request 3"},
		{"another's STDERR", [][]byte{record(fcgi.TypeStderr, 4, "EVIL"), end(3)}, "", "", "STDERR of request 4"},
		{"another's end", [][]byte{record(fcgi.TypeStdout, 3, "good"), end(4)}, "good", "", "END_REQUEST of request 4"},
		{"no end", [][]byte{record(fcgi.TypeStdout, 3, "good")}, "good", "", "the connection ended before the request did"},
	} {
		var id atomic.Uint32
		id.Store(3)
		var stdout, stderr bytes.Buffer
		err := printAnswer(bytes.NewReader(bytes.Join(tt.in, nil)), &id, &stdout, &stderr)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, want %q", tt.why, err, tt.err)
		}
		if stdout.String() != tt.stdout || stderr.String() != tt.stderr {
			t.Errorf("%s: printed %q and %q, want %q and %q", tt.why, &stdout, &stderr, tt.stdout, tt.stderr)
		}
	}
}
