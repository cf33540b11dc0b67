package front

import (
	"errors"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// maxPiece bounds one write to the server, in bytes, so that the send
// timeout measures progress and not the size of what the handler hands over.
const maxPiece = 64 << 10

// writer records what is answered and bounds how long the client may take it.
// Other deadlines and full duplex reach the server's own writer through
// Unwrap, by http.ResponseController.
type writer struct {
	w     http.ResponseWriter
	x     *Exchange
	armed time.Time     // when the write deadline was last set
	limit time.Duration // that it was set to; 0: none
	body  *body         // the request's, nil if it has none
	last  *atomic.Bool  // whether the client is told to go (RFC 9112 §9.6); nil: not here
}

func (w *writer) Header() http.Header         { return w.w.Header() }
func (w *writer) Unwrap() http.ResponseWriter { return w.w }

// WriteHeader records the final status; interim answers (RFC 9110 §15.2)
// pass. 101 is no interim answer: the connection would leave HTTP.
func (w *writer) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.head(status) // it goes out with the next write or flush, or at the end
	} else {
		w.renew()
	}
	w.w.WriteHeader(status)
}

// head notes that the final head goes out with the next write.
func (w *writer) head(status int) {
	if w.x.Status != 0 {
		return
	}
	w.x.Status = status
	w.x.dress(w.w.Header(), status)
	if w.last != nil && w.last.Load() {
		w.w.Header().Set("Connection", "close") // the end came while the request was under way: see lastAnswer
	}
	if w.body != nil {
		w.body.limitDrain()
	}
}

func (w *writer) Write(p []byte) (n int, err error) {
	w.head(http.StatusOK)
	for {
		piece := p[n:min(len(p), n+maxPiece)]
		w.renew()
		m, err := w.w.Write(piece)
		n += m
		w.x.BytesOut += int64(m)
		if err != nil {
			w.failed(err)
			return n, err
		}
		if n == len(p) {
			return n, nil
		}
	}
}

// FlushError sends what is buffered, the head first if it is not out yet.
func (w *writer) FlushError() error {
	w.head(http.StatusOK)
	w.renew()
	err := http.NewResponseController(w.w).Flush()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		w.failed(err)
	}
	return err
}

// Flush implements http.Flusher for handlers that do not ask for the error;
// it is in the record.
func (w *writer) Flush() { _ = w.FlushError() }

// failed records why the client has not got the whole answer. net/http has
// cancelled the request's context by now, so that the handler will take a
// client that is too slow for one that left: the first cause stands.
func (w *writer) failed(err error) {
	if w.x.Cause != "" || errors.Is(err, http.ErrBodyNotAllowed) || errors.Is(err, http.ErrContentLength) {
		return // the latter two are the handler's doing
	}
	w.x.Cause, w.x.Detail = w.x.gone(), "write: "+err.Error()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.x.Cause = TooSlow
	}
}

// renew gives the client the send timeout anew, but not for each of many
// small writes in a row. Where the settings changed to none since an earlier
// write, that one's deadline is taken away.
func (w *writer) renew() { w.renewAt(time.Now()) }

func (w *writer) renewAt(now time.Time) {
	limit := w.x.Settings.SendTimeout
	if limit == w.limit && (limit <= 0 || now.Sub(w.armed) < limit/16) {
		return
	}
	var deadline time.Time
	if limit > 0 {
		deadline = now.Add(limit)
	}
	w.armed, w.limit = now, limit
	// Unsupported where a web server before us talks to the client.
	_ = http.NewResponseController(w.w).SetWriteDeadline(deadline)
}
