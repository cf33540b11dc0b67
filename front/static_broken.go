package front

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
)

// sendFile answers with a file, by way of to, and says where that cannot be: a file
// that became shorter under it ends the answer visibly, encoded or not.
func sendFile(w, to http.ResponseWriter, r *http.Request, info fs.FileInfo, f *os.File) {
	mendRange(r.Header)
	out := &fileWriter{ResponseWriter: to}
	http.ServeContent(out, r, info.Name(), info.ModTime(), f)
	if out.broken != nil && r.Context().Err() == nil {
		Fail(w, r, FileBroken, fmt.Sprintf("%s: %v", info.Name(), out.broken))
	}
}

// A fileWriter sees whether http.ServeContent, which does not tell, came to the
// end of what it wanted to send.
type fileWriter struct {
	http.ResponseWriter
	broken error
}

func (w *fileWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ReadFrom implements io.ReaderFrom: io.CopyN comes here, with what it wants.
func (w *fileWriter) ReadFrom(src io.Reader) (n int64, err error) {
	if to, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		n, err = to.ReadFrom(src)
	} else {
		n, err = copyBody(w.ResponseWriter, src)
	}
	var failed *fs.PathError
	switch l, ok := src.(*io.LimitedReader); {
	case errors.As(err, &failed):
		w.broken = failed
	case err == nil && ok && l.N > 0:
		w.broken = fmt.Errorf("it has become %d bytes shorter while it was sent", l.N)
	}
	return n, err
}
