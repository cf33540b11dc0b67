package fcgi

import (
	"context"
	"net/http"
)

// A MoreHead has something to say in the head of an answer that is not the
// handler's own: what a request has changed of a session.
type MoreHead interface {
	// Fields is called once, when the head is fixed; what comes later is too
	// late. It must not use the ResponseWriter.
	Fields() http.Header
}

// MoreHeadOf returns what has more to say in the head of the answer to the
// request that ctx belongs to. newHead makes it the first time that it is asked for.
// An answer that a handler's panic has spoilt does not have its fields. ok is
// false where ctx is not of a request of a Server, or its head is fixed.
func MoreHeadOf(ctx context.Context, newHead func() MoreHead) (m MoreHead, ok bool) {
	r := serverRequestFrom(ctx)
	if r == nil {
		return nil, false
	}
	w := &r.rw
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.more == nil && w.status == 0 && !w.ended {
		w.more = newHead()
	}
	return w.more, w.more != nil
}

// appendMore appends these fields to the head. It needs w.mu.
func (w *serverResponse) appendMore() {
	if w.more != nil {
		w.head.b = appendHeaderFields(w.head.b, w.more.Fields(), keepInFinal)
	}
}
