package fcgi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// FuzzServerConn: whatever a peer sends, and then closes, the server does not
// panic, does not hang, does not keep a request, and speaks only whole records.
func FuzzServerConn(f *testing.F) {
	post := srvJoin(srvPost(1, "/", "5"), srvIn(1, "hello"), srvIn(1, ""))
	f.Add(post, byte(0))
	f.Add(srvJoin(srvAsk("FRONTD_FLOW=30", "FCGI_MPXS_CONNS="), post, srvGet(2, "/x?y"), AppendWindow(nil, 1, TypeStdout, 100), srvAbort(2)), byte(3))
	f.Add(srvJoin(AppendBeginRequest(nil, 1, RoleFilter, 1), srvParams(1, "REQUEST_METHOD=GET", "FCGI_DATA_LENGTH=4"), srvIn(1, ""), AppendRecord(nil, TypeData, 1, []byte("data"))), byte(1))
	f.Add(srvJoin(AppendBeginRequest(nil, 1, RoleAuthorizer, 0), srvParams(1, "REQUEST_METHOD=HEAD")), byte(2))
	f.Add(AppendRecord(nil, TypeParams, 0, []byte("x")), byte(0))
	f.Fuzz(func(t *testing.T, in []byte, how byte) {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch how % 4 {
			case 0:
				io.Copy(w, r.Body)
			case 1:
				io.Copy(w, Data(r.Context()))
				io.WriteString(Stderr(r.Context()), "noise")
			case 2:
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
		})
		srv := &Server{Handler: h, Authorizer: h, Filter: h, MaxRequests: 8, MaxParams: 4096, Window: 1024, WriteTimeout: time.Second}
		l := newSrvListener()
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		// Its end goes to served.
		ours, theirs := net.Pipe()
		l.conns <- theirs
		read := make(chan error, 1)
		go func() { read <- srvReadAll(ours) }()
		// Its end goes to read.
		ours.SetWriteDeadline(time.Now().Add(time.Minute))
		if _, err := ours.Write(in); isServerTimeout(err) {
			t.Log("the server waits for a handler that reads nothing more")
		}
		ours.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Fatalf("the connection is still in hand: %v", err)
		}
		<-served
		if err := <-read; err != nil {
			t.Errorf("the server sent %v", err)
		}
		if srv.inFlight != 0 {
			t.Errorf("%d requests are counted as in hand", srv.inFlight)
		}
	})
}

// srvReadAll reads records until the connection ends, wherever it does.
func srvReadAll(nc net.Conn) error {
	rr := NewRecordReader(nc)
	for {
		_, err := srvRecord(rr)
		var breach *ProtocolError
		switch {
		case errors.As(err, &breach):
			return err
		case err != nil:
			return nil
		}
	}
}
