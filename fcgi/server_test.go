package fcgi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var srvPast, srvNever = time.Unix(1, 0), time.Time{}

func TestServerHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSrvSite(t, &Server{Handler: srvSay("hello")}).dial()
		for range 3 {
			p.send(srvGet(1, "/"))
			p.want("a kept connection serves one request after another", srvHello(1)...)
		}
		p.send(srvBegin(7, false), srvParams(7, "REQUEST_METHOD=GET"), srvIn(7, ""))
		p.want("the last request", srvHello(7)...)
		p.wantClosed("§5.1: without FCGI_KEEP_CONN the application closes")
	})
}

func TestServerSmallResponseIsOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSrvSite(t, &Server{Handler: srvSay("hello")}).dial()
		p.send(srvGet(1, "/"))
		b := make([]byte, 4096)
		n, _ := p.nc.Read(b) // a pipe's Read takes from one Write
		rr := NewRecordReader(bytes.NewReader(b[:n]))
		for _, want := range srvHello(1) {
			if got, err := srvRecord(rr); got != want || err != nil {
				t.Fatalf("in one write: got %s, %v, want %s", got, err, want)
			}
		}
		if n%8 != 0 {
			t.Errorf("%d bytes sent: §3.3 recommends records of a multiple of eight", n)
		}
	})
}

// srvEcho answers with what it saw, so that a request taken wrongly shows.
var srvEcho = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %d %q %v", r.Method, r.RequestURI, r.Header.Get("X-Long"), r.ContentLength, body, err)
})

func TestServerVectors(t *testing.T) {
	long := strings.Repeat("v", 200)
	padded := func(b []byte, n byte) []byte { // with other padding, and a reserved byte that is to be ignored
		b[6], b[7] = n, 0xff
		return append(b[:HeaderLen+int(b[5])], make([]byte, n)...)
	}
	vectors := []struct {
		why  string
		in   []byte
		want []string
	}{
		{"a GET request", srvGet(1, "/a"), []string{srvText(1, `GET /a  0 "" <nil>`)}},
		{"a POST with its body in pieces", srvJoin(srvPost(2, "/b", "6"), srvIn(2, "abc"), srvIn(2, "def"), srvIn(2, "")),
			[]string{srvText(2, `POST /b  6 "abcdef" <nil>`)}},
		{"a body of unknown length (A13)", srvJoin(srvPost(1, "/", ""), srvIn(1, "abc"), srvIn(1, "")),
			[]string{srvText(1, `POST /  -1 "abc" <nil>`)}},
		{"a GET with a body that nothing announced", srvJoin(srvBegin(1, true), srvParams(1, "REQUEST_METHOD=GET", "REQUEST_URI=/"), srvIn(1, "x"), srvIn(1, "")),
			[]string{srvText(1, `GET /  -1 "x" <nil>`)}},
		{"a body shorter than its length (A12)", srvJoin(srvPost(1, "/", "5"), srvIn(1, "abc"), srvIn(1, "")),
			[]string{srvText(1, `POST /  5 "abc" unexpected EOF`)}},
		{"a body longer than its length (A12)", srvJoin(srvPost(1, "/", "2"), srvIn(1, "abc"), srvIn(1, "")),
			[]string{srvText(1, `POST /  2 "ab" <nil>`)}},
		{"a four-byte length", srvJoin(srvBegin(1, true), srvParams(1, "REQUEST_METHOD=GET", "REQUEST_URI=/", "HTTP_X_LONG="+long), srvIn(1, "")),
			[]string{srvText(1, `GET / `+long+` 0 "" <nil>`)}},
		{"a four-byte length of a short value (R10)",
			srvJoin(srvBegin(1, true), AppendRecord(nil, TypeParams, 1, []byte("\x0e\x80\x00\x00\x03REQUEST_METHODGET\x0b\x01REQUEST_URI/")), AppendRecord(nil, TypeParams, 1, nil), srvIn(1, "")),
			[]string{srvText(1, `GET /  0 "" <nil>`)}},
		{"padding of 255, reserved bytes set (R3, R4)",
			srvJoin(padded(srvBegin(1, true), 255), srvParams(1, "REQUEST_METHOD=GET", "REQUEST_URI=/"), padded(srvIn(1, ""), 255)),
			[]string{srvText(1, `GET /  0 "" <nil>`)}},
		{"records of an inactive id (A3) and of unknown types", srvJoin(srvIn(9, "x"), srvAbort(9), AppendRecord(nil, 99, 9, nil),
			srvBegin(1, true), AppendRecord(nil, 99, 1, []byte("?")), AppendWindow(nil, 1, TypeStdout, 5), srvParams(1, "REQUEST_METHOD=GET", "REQUEST_URI=/"), srvIn(1, "")),
			[]string{srvText(1, `GET /  0 "" <nil>`)}},
	}
	for _, v := range vectors {
		t.Run(v.why, func(t *testing.T) {
			id := 1
			if strings.Contains(v.why, "pieces") {
				id = 2
			}
			want := append(v.want, srvDone(id)...)
			for cut := range v.in {
				srvDeliver(t, fmt.Sprintf("cut at %d", cut), want, v.in[:cut], v.in[cut:])
			}
			var bytewise [][]byte
			for i := range v.in {
				bytewise = append(bytewise, v.in[i:i+1])
			}
			srvDeliver(t, "byte by byte", want, bytewise...)
		})
	}
}

// srvDeliver sends the pieces, each only once the server waits for it.
func srvDeliver(t *testing.T, why string, want []string, pieces ...[]byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newSrvSite(t, &Server{Handler: srvEcho}).dial()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for _, b := range pieces {
				p.nc.Write(b)
				synctest.Wait()
			}
		}()
		// Its end goes to sent.
		p.want(why, want...)
		<-sent
	})
}

func TestServerLargestRecords(t *testing.T) {
	body := strings.Repeat("x", MaxContent)
	synctest.Test(t, func(t *testing.T) {
		p := newSrvSite(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			fmt.Fprint(w, string(b) == body, err, len(r.Header.Get("X-Big")))
		})}).dial()
		big := strings.Repeat("y", maxFilled-len("HTTP_X_BIG")-5)
		p.send(srvBegin(1, true), srvParams(1, "REQUEST_METHOD=POST", "HTTP_X_BIG="+big), srvIn(1, body), srvIn(1, ""))
		p.want("R2: 65535 bytes of content", append([]string{srvText(1, fmt.Sprint(true, error(nil), len(big)))}, srvDone(1)...)...)
	})
}

func TestServerRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newSrvSite(t, &Server{MaxRequests: 1, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-release
			io.WriteString(w, "hello")
		})})
		p := s.dial()
		p.send(AppendBeginRequest(nil, 1, 9, FlagKeepConn), srvParams(1, "A=b"), srvIn(1, ""))
		p.want("A5: a role that the specification does not know", "END_REQUEST 1 app=0 UNKNOWN_ROLE")
		p.send(AppendBeginRequest(nil, 1, RoleFilter, FlagKeepConn))
		p.want("a role without a handler", "END_REQUEST 1 app=0 UNKNOWN_ROLE")

		p.send(srvGet(1, "/"), srvBegin(2, true))
		p.want("A6: one request at a time without flow control", "END_REQUEST 2 app=0 CANT_MPX_CONN")
		synctest.Wait()
		q := s.dial()
		q.send(srvBegin(1, true))
		q.want("A23: one more than MaxRequests", "END_REQUEST 1 app=0 OVERLOADED")
		release <- struct{}{}
		p.want("the first request", srvHello(1)...)
		q.send(srvGet(1, "/"))
		release <- struct{}{}
		q.want("the connection that was refused may ask again", srvHello(1)...)

		q.send(AppendBeginRequest(nil, 1, 9, 0))
		q.want("A5", "END_REQUEST 1 app=0 UNKNOWN_ROLE")
		q.wantClosed("A5: refused without FCGI_KEEP_CONN")
	})
}

func TestServerManagement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		p := newSrvSite(t, &Server{MaxConns: 3, MaxRequests: 5, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-block
			io.WriteString(w, "hello")
		})}).dial()
		p.send(srvAsk("FCGI_MAX_REQS=", "FCGI_MPXS_CONNS=", "OTHER="))
		p.want("A7: the names asked for, no others", "GET_VALUES_RESULT 0 FCGI_MAX_REQS=5 FCGI_MPXS_CONNS=0")
		p.send(srvGet(1, "/"), srvAsk("FCGI_MAX_CONNS="))
		p.want("A7: at any time", "GET_VALUES_RESULT 0 FCGI_MAX_CONNS=3")
		p.send(srvAsk("FRONTD_FLOW=100", "FCGI_MPXS_CONNS="))
		p.want("no flow mode in the middle of a request", "GET_VALUES_RESULT 0 FCGI_MPXS_CONNS=0")
		p.send(AppendRecord(nil, 77, ManagementID, []byte("what")))
		p.want("A8: an unknown management type", `UNKNOWN_TYPE 0 "M\x00\x00\x00\x00\x00\x00\x00"`)
		p.send(AppendUnknownType(nil, TypeStdout))
		p.wantNothing("no answer to UNKNOWN_TYPE, or two peers would never stop")
		block <- struct{}{}
		p.want("the request goes on beside it", srvHello(1)...)
		for _, v := range []string{"0", "-1", "2147483648", "x", ""} {
			p.send(srvAsk("FRONTD_FLOW=" + v))
			p.want("an impossible window is no window", "GET_VALUES_RESULT 0 ")
		}
	})
}

func TestServerProtocolErrors(t *testing.T) {
	for why, in := range map[string][]byte{
		"R1: a record of version 2":                     {2, 1, 0, 1, 0, 8, 0, 0},
		"BEGIN_REQUEST on an active id":                 srvJoin(srvBegin(1, true), srvBegin(1, true)),
		"BEGIN_REQUEST of a wrong size":                 AppendRecord(nil, TypeBeginRequest, 1, []byte("abc")),
		"PARAMS that end within a pair":                 srvJoin(srvBegin(1, true), AppendRecord(nil, TypeParams, 1, []byte("\x05\x05ab")), AppendRecord(nil, TypeParams, 1, nil)),
		"GET_VALUES that ends within a pair":            AppendRecord(nil, TypeGetValues, 0, []byte("\x05\x05ab")),
		"more STDIN before the end of PARAMS than fits": srvJoin(srvBegin(1, true), srvIn(1, strings.Repeat("x", DefaultWindow-1)), srvIn(1, "xx")),
	} {
		t.Run(why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newSrvSite(t, &Server{Handler: srvSay("hello")}).dial()
				go p.nc.Write(in)
				// Its end is that of the connection, which wantClosed sees.
				p.wantClosed(why)
			})
		})
	}
}

func TestServerParamsBounds(t *testing.T) {
	const large = "STDOUT 1 \"Status: 431 Request Header Fields Too Large\\r\\nContent-Type: text/plain; charset=utf-8\\r\\n" +
		"X-Content-Type-Options: nosniff\\r\\nContent-Length: 36\\r\\n\\r\\n431 Request Header Fields Too Large\\n\""
	for why, piece := range map[string][]byte{
		"R10: a length of 2 GiB":  []byte("\x01\xff\xff\xff\xffx"),
		"more than MaxParams":     []byte(strings.Repeat("\x01\x01ab", 300)),
		"a pair beyond MaxParams": []byte("\x01\x80\x00\x04\x00x"),
	} {
		t.Run(why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newSrvSite(t, &Server{MaxParams: 1024, Handler: srvSay("hello")}).dial()
				p.send(srvBegin(1, true), AppendRecord(nil, TypeParams, 1, piece))
				p.want("refused, not cut", "STDERR 1 \"fcgi: request refused: parameters over 1024 bytes\\n\"", large,
					`STDOUT 1 ""`, `STDERR 1 ""`, "END_REQUEST 1 app=0 REQUEST_COMPLETE")
				p.send(AppendRecord(nil, TypeParams, 1, nil), srvIn(1, ""), srvGet(1, "/"))
				p.want("the connection goes on", srvHello(1)...)
			})
		})
	}
}

func TestServerAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := make(chan error, 1)
		var late io.Writer
		s := newSrvSite(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			late = w
			<-r.Context().Done()
			cause <- context.Cause(r.Context())
			if _, err := r.Body.Read(make([]byte, 1)); r.Method == "POST" && err != ErrAborted {
				t.Errorf("reading the body of an aborted request: %v", err)
			}
			io.WriteString(w, strings.Repeat("late", 10000))
		})})
		p := s.dial()
		for why, in := range map[string][]byte{
			"A10: aborted after the end of STDIN": srvGet(1, "/"),
			"A10: aborted before it":              srvPost(1, "/", "10"),
		} {
			p.send(in)
			synctest.Wait()
			p.send(srvAbort(1), srvAbort(1))
			p.want(why+": exactly one END_REQUEST, and no late STDOUT", "END_REQUEST 1 app=1 REQUEST_COMPLETE")
			if err := <-cause; err != ErrAborted {
				t.Errorf("%s: cause %v", why, err)
			}
			p.wantNothing(why)
			if _, err := late.Write([]byte("x")); err != errServerRequestEnded {
				t.Errorf("writing after the end of the request: %v", err)
			}
		}
		p.send(srvBegin(1, true), srvAbort(1))
		p.want("aborted before its PARAMS", "END_REQUEST 1 app=1 REQUEST_COMPLETE")

		p.send(srvGet(3, "/"))
		synctest.Wait()
		p.nc.Close()
		if err := <-cause; err != ErrAborted {
			t.Errorf("A11: connection lost: cause %v", err)
		}
	})
}

func TestServerIDReuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSrvSite(t, &Server{Handler: srvSay("hello")}).dial()
		p.send(srvPost(1, "/", "100"))
		p.want("A14: an application need not read the body", srvHello(1)...)
		p.send(srvIn(1, strings.Repeat("x", 50)), srvGet(1, "/"))
		p.want("A4: the id of an ended request, its STDIN unfinished, begins anew", srvHello(1)...)
	})
}

func TestServerRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSrvSite(t, &Server{
			Authorizer: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Variable-USER", "alice "+r.Header.Get("Cookie"))
			}),
			Filter: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				data, err := io.ReadAll(Data(r.Context()))
				fmt.Fprintf(w, "%s %s %v", body, data, err)
			}),
		}).dial()
		p.send(AppendBeginRequest(nil, 1, RoleAuthorizer, FlagKeepConn), srvParams(1, "REQUEST_METHOD=GET", "HTTP_COOKIE=c"))
		p.want("§6.3: an Authorizer gets no STDIN",
			append([]string{`STDOUT 1 "Status: 200 OK\r\nVariable-User: alice c\r\nContent-Length: 0\r\n\r\n"`}, srvDone(1)...)...)
		p.send(AppendBeginRequest(nil, 1, RoleFilter, FlagKeepConn),
			srvParams(1, "REQUEST_METHOD=POST", "CONTENT_LENGTH=2", "FCGI_DATA_LENGTH=6"),
			srvIn(1, "in"), srvIn(1, ""), AppendRecord(nil, TypeData, 1, []byte("data")), AppendRecord(nil, TypeData, 1, nil))
		p.want("§6.4: STDIN, then DATA, which is short", append([]string{srvText(1, "in data unexpected EOF")}, srvDone(1)...)...)
	})
}
