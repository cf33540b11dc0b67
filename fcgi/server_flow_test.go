package fcgi

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// srvMux answers by path, so that one connection can carry different requests.
func srvMux(routes map[string]http.HandlerFunc) http.Handler {
	m := http.NewServeMux()
	for path, h := range routes {
		m.HandleFunc(path, h)
	}
	return m
}

// srvRaw sends s without a Content-Type of its own, so that frames are easy to name.
func srvRaw(w http.ResponseWriter, s string) error {
	w.Header()["Content-Type"] = nil
	w.WriteHeader(200)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, s)
	if err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

const srvHead = `"Status: 200 OK\r\n\r\n"` // 18 bytes, which count for the window

func TestServerFlowNoHeadOfLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := newSrvSite(t, &Server{Handler: srvMux(map[string]http.HandlerFunc{
			"/idle":  func(w http.ResponseWriter, r *http.Request) { <-release; io.WriteString(w, "hello") },
			"/quick": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") },
		})}).dial()
		p.flow(1000)
		p.send(srvPost(1, "/idle", "1000000"), srvIn(1, strings.Repeat("x", DefaultWindow-1)), srvIn(1, "x"))
		p.send(srvGet(2, "/quick"))
		p.want("A6: 1 does not read its body, 2 is answered", srvHello(2)...)
		p.send(srvGet(2, "/quick"))
		p.want("and again", srvHello(2)...)
		release <- struct{}{}
		p.want("1 is answered in its turn", srvHello(1)...)
	})
}

func TestServerFlowWindowPausesWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrote := make(chan error, 1)
		p := newSrvSite(t, &Server{Handler: srvMux(map[string]http.HandlerFunc{
			"/big":   func(w http.ResponseWriter, r *http.Request) { wrote <- srvRaw(w, strings.Repeat("x", 100)) },
			"/quick": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "") },
		})}).dial()
		p.flow(58)
		p.send(srvGet(1, "/big"))
		p.want("the head takes 18 of 58 bytes", "STDOUT 1 "+srvHead)
		p.want("the body fills the window", fmt.Sprintf("STDOUT 1 %q", strings.Repeat("x", 40)))
		p.wantNothing("an exhausted window")
		select {
		case err := <-wrote:
			t.Fatalf("Write returned %v before its bytes could be sent", err)
		default:
		}
		p.send(srvGet(2, "/quick"))
		p.want("A20: a stuck reader of 1 does not delay 2",
			append([]string{`STDOUT 2 "Status: 200 OK\r\nContent-Length: 0\r\n\r\n"`}, srvDone(2)...)...)
		p.grant(1, TypeStdout, 10)
		p.want("a grant resumes it", `STDOUT 1 "xxxxxxxxxx"`)
		p.wantNothing("as far as it goes")
		p.grant(1, TypeStderr, 1000)
		p.wantNothing("the window of STDERR is another")
		p.grant(1, TypeStdout, 1000)
		p.want("the rest", fmt.Sprintf("STDOUT 1 %q", strings.Repeat("x", 50)))
		p.want("the end", srvDone(1)...)
		if err := <-wrote; err != nil {
			t.Error(err)
		}
		p.grant(1, TypeStdout, 1000)
		p.send(srvGet(3, "/quick"))
		p.want("a WINDOW for an inactive id is ignored",
			append([]string{`STDOUT 3 "Status: 200 OK\r\nContent-Length: 0\r\n\r\n"`}, srvDone(3)...)...)
	})
}

func TestServerFlowEndNeedsNoWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSrvSite(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { srvRaw(w, "") })}).dial()
		p.flow(18)
		p.send(srvGet(1, "/"))
		p.want("a window that is just large enough", append([]string{"STDOUT 1 " + srvHead}, srvDone(1)...)...)
	})
}

func TestServerFlowGrantsInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan int)
		p := newSrvSite(t, &Server{Window: 100, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for n := range read {
				if _, err := io.ReadFull(r.Body, make([]byte, n)); err != nil {
					t.Errorf("read %d bytes: %v", n, err)
				}
			}
			srvRaw(w, "")
		})}).dial()
		p.send(srvAsk("FRONTD_FLOW=1000"))
		p.want("the server's own window", "GET_VALUES_RESULT 0 FRONTD_FLOW=100")
		p.send(srvPost(1, "/", "250"), srvIn(1, strings.Repeat("x", 100)))
		read <- 49
		p.wantNothing("less than half a window taken")
		read <- 1
		p.want("half of it", "WINDOW 1 STDIN +50")
		read <- 50
		p.want("the other half", "WINDOW 1 STDIN +50")
		p.send(srvIn(1, strings.Repeat("x", 100)))
		read <- 100
		p.want("all of it at once", "WINDOW 1 STDIN +100")
		p.send(srvIn(1, strings.Repeat("x", 50)), srvIn(1, ""))
		read <- 50
		p.wantNothing("nothing more is to come, so nothing is granted")
		close(read)
		p.want("the response", append([]string{"STDOUT 1 " + srvHead}, srvDone(1)...)...)
	})
}

func TestServerFlowErrors(t *testing.T) {
	window := func(content ...byte) []byte { return AppendRecord(nil, TypeWindow, 1, content) }
	for why, in := range map[string][]byte{
		"content beyond the window":         srvJoin(srvIn(1, strings.Repeat("x", DefaultWindow-1)), srvIn(1, "xx")),
		"a window over 2^31-1":              AppendWindow(nil, 1, TypeStdout, MaxWindow),
		"a WINDOW of another size":          window(6, 0, 0, 0),
		"an increment of zero":              window(6, 0, 0, 0, 0, 0, 0, 0),
		"an increment over 2^31-1":          window(6, 0, 0, 0, 0x80, 0, 0, 0),
		"a stream that the sender produces": AppendWindow(nil, 1, TypeStdin, 1),
	} {
		t.Run(why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				aborted := make(chan struct{})
				p := newSrvSite(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					<-r.Context().Done()
					close(aborted)
				})}).dial()
				p.flow(1000)
				p.send(srvPost(1, "/", ""))
				synctest.Wait()
				go p.nc.Write(in)
				// Its end is that of the connection, which wantClosed sees.
				p.wantClosed(why)
				<-aborted
			})
		})
	}
}

func TestServerFlowBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := newSrvSite(t, &Server{Handler: srvMux(map[string]http.HandlerFunc{
			"/panic": func(w http.ResponseWriter, r *http.Request) { srvRaw(w, "half"); panic(http.ErrAbortHandler) },
			"/short": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "9")
				w.Header()["Content-Type"] = nil
				http.NewResponseController(w).Flush()
			},
			"/wait": func(w http.ResponseWriter, r *http.Request) { <-release; io.WriteString(w, "hello") },
			"/hang": func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		})}).dial()
		p.flow(1000)
		p.send(srvGet(1, "/wait"), srvGet(2, "/panic"))
		p.want("a panic in the middle", "STDOUT 2 "+srvHead, `STDOUT 2 "half"`, "END_REQUEST 2 app=1 FRONTD_BROKEN")
		p.send(srvGet(2, "/short"))
		p.want("less than Content-Length", `STDOUT 2 "Status: 200 OK\r\nContent-Length: 9\r\n\r\n"`, "END_REQUEST 2 app=1 FRONTD_BROKEN")
		p.send(srvGet(2, "/hang"), srvAbort(2))
		p.want("an abort", "END_REQUEST 2 app=1 FRONTD_BROKEN")
		release <- struct{}{}
		p.want("the others on the connection go on", srvHello(1)...)
	})
}

func TestServerFlowAbortFreesBlockedWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrote := make(chan error, 1)
		p := newSrvSite(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			wrote <- srvRaw(w, strings.Repeat("x", 100000))
		})}).dial()
		p.flow(17)
		p.send(srvGet(1, "/"))
		synctest.Wait()
		p.send(srvAbort(1))
		p.want("what was sent before", `STDOUT 1 "Status: 200 OK\r\n\r"`)
		p.want("the end", "END_REQUEST 1 app=1 FRONTD_BROKEN")
		if err := <-wrote; err != ErrAborted {
			t.Errorf("the blocked Flush returned %v, want ErrAborted", err)
		}
	})
}

// TestServerFlowControlIsBounded: a peer that asks and never reads.
func TestServerFlowControlIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSrvSite(t, &Server{Handler: srvSay("hello")}).dial()
		p.flow(1000)
		ask := srvAsk("FCGI_MAX_CONNS=", "FCGI_MAX_REQS=", "FCGI_MPXS_CONNS=")
		sent := 0
		for ; sent < 100<<20; sent += len(ask) {
			if _, err := p.nc.Write(ask); err != nil {
				break
			}
		}
		if sent > 1<<20 {
			t.Errorf("the server took %d bytes of questions whose answers nobody reads", sent)
		}
	})
}

func TestServerFlowKeepsServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSrvSite(t, &Server{Handler: srvSay("hello")}).dial()
		p.flow(1000)
		p.send(srvAsk("FRONTD_FLOW=5", "FCGI_MAX_REQS="))
		p.want("asked once more: the same answer, the first window stays",
			fmt.Sprintf("GET_VALUES_RESULT 0 FCGI_MAX_REQS=%d FRONTD_FLOW=%d", DefaultMaxRequests, DefaultWindow))
		for id := range uint16(50) {
			p.send(srvBegin(id+1, true), srvParams(id+1, "REQUEST_METHOD=GET"))
		}
		for id := range uint16(50) {
			p.send(srvIn(id+1, ""))
			p.want("fifty interleaved", srvHello(int(id)+1)...)
		}
	})
}
