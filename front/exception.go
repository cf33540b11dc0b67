package front

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// exception keeps a defect in a handler from ending more than its request,
// and tells of failures that nobody told of before the answer's head.
type exception struct {
	log  *slog.Logger
	hook failureHook // may be nil
	next http.Handler
}

func (e *exception) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := ExchangeOf(r)
	x.hook = e.hook
	defer e.recover(w, r, x)
	e.next.ServeHTTP(w, r)
}

// tellLate reports what went wrong after the head of the answer was sent: it
// broke, or said only at its end, on FCGI_STDERR, why it is a 5xx, or failed when
// all that it had written so far was answered already.
func (x *Exchange) tellLate(r *http.Request) {
	switch status := x.Cause.Status(); {
	case x.Cause == ClientGone || !x.HeadSent():
	case x.Cause != "" && status >= http.StatusInternalServerError:
		x.report(Failure{Request: r, Status: status})
	case x.Cause != "":
	case x.Status >= http.StatusInternalServerError, x.AppStatus != 0 && len(x.Stderr) > 0:
		x.report(Failure{Request: r, Status: x.Status})
	}
}

// recover answers 500 after a panic. http.ErrAbortHandler passes: it is how a
// handler breaks off an answer on purpose.
func (e *exception) recover(w http.ResponseWriter, r *http.Request, x *Exchange) {
	v := recover()
	if v == nil || v == http.ErrAbortHandler {
		x.tellLate(r)
		if v != nil {
			panic(v)
		}
		return
	}
	stack := debug.Stack()
	e.log.Error("panic while serving a request", "panic", fmt.Sprint(v), "id", x.ID,
		"method", r.Method, "uri", r.RequestURI, "stack", string(stack))
	if !x.HeadSent() {
		x.Cause, x.Detail = Internal, fmt.Sprint("panic: ", v)
	}
	x.report(Failure{Request: r, Status: Internal.Status(), Panic: v, Stack: stack})
	Fail(w, r, Internal, fmt.Sprintf("panic: %v\n\n%s", v, stack))
}
