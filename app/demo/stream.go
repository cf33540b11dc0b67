package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Bounds of the pages that take their time or fill the line.
const (
	maxChunks   = 10_000
	maxPause    = 60_000 // milliseconds between two chunks
	maxSleep    = 600_000
	maxDownload = 10 << 30
)

// stream sends n lines, one each interval milliseconds.
func stream(w http.ResponseWriter, r *http.Request) {
	n, ok := number(w, r, "n", 10, 1, maxChunks)
	if !ok {
		return
	}
	interval, ok := number(w, r, "interval", 500, 0, maxPause)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for i := int64(1); i <= n; i++ {
		if i > 1 && !pause(r.Context(), interval) {
			return
		}
		if !say(w, fmt.Sprintf("chunk %d of %d\n", i, n)) {
			return
		}
	}
}

// events sends server-sent events until the client leaves, or n of them.
func events(w http.ResponseWriter, r *http.Request) {
	n, ok := number(w, r, "n", 0, 1, 1<<62) // 0: no end
	if !ok {
		return
	}
	interval, ok := number(w, r, "interval", 1000, 10, maxPause)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	for i := int64(1); ; i++ {
		if !say(w, fmt.Sprintf("id: %d\ndata: %s\n\n", i, time.Now().UTC().Format(time.RFC3339Nano))) {
			return
		}
		if i == n || !pause(r.Context(), interval) {
			return
		}
	}
}

// say writes a chunk and sends it off. It is false when the client has left.
func say(w http.ResponseWriter, text string) bool {
	if _, err := io.WriteString(w, text); err != nil {
		return false
	}
	err := http.NewResponseController(w).Flush()
	return err == nil || errors.Is(err, http.ErrNotSupported)
}

// pause waits for ms milliseconds. It is false when the client has left.
func pause(ctx context.Context, ms int64) bool {
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// sleep answers after ms milliseconds.
func sleep(w http.ResponseWriter, r *http.Request) {
	ms, ok := number(w, r, "ms", 1000, 0, maxSleep)
	if !ok || !pause(r.Context(), ms) {
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "slept %d ms\n", ms)
}

// echo sends the body back while it is still coming. It goes out as bytes of
// no kind: a page sent here must not come back as one.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	// HTTP/1 needs to be told; where it is not supported nothing needs to be.
	_ = http.NewResponseController(w).EnableFullDuplex()
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 && !say(w, string(buf[:n])) {
			return
		}
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			panic(http.ErrAbortHandler) // a cut body is not to be echoed as a whole one
		}
	}
}

// downloadBlock repeats: the byte at offset i of a download is i modulo 251.
// 251 is prime, so that a block lost or doubled on the way shows.
var downloadBlock = func() []byte {
	b := make([]byte, 251*256)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}()

// download sends as many bytes as asked for. It has no ETag and no ranges.
func download(w http.ResponseWriter, r *http.Request) {
	n, ok := number(w, r, "bytes", 1<<20, 0, maxDownload)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="demo.bin"`)
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	if r.Method == http.MethodHead {
		return
	}
	for n > 0 {
		block := downloadBlock[:min(n, int64(len(downloadBlock)))]
		if _, err := w.Write(block); err != nil {
			return
		}
		n -= int64(len(block))
	}
}
