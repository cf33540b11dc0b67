package front

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// An Incident is a defect met while a request was served.
type Incident struct {
	Exchange *Exchange     // its final form: Cause and Detail are set
	Request  *http.Request // as the failing stage had it; do not keep it
	Panic    any
	Stack    []byte
}

// exception keeps a defect in a handler from ending more than its request.
type exception struct {
	log  *slog.Logger
	hook func(Incident) // may be nil
	next http.Handler
}

func (e *exception) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer e.recover(w, r)
	e.next.ServeHTTP(w, r)
}

// recover answers 500 after a panic. http.ErrAbortHandler passes: it is how a
// handler breaks off an answer on purpose.
func (e *exception) recover(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	stack := debug.Stack()
	x := ExchangeOf(r)
	e.log.Error("panic while serving a request", "panic", fmt.Sprint(v), "id", x.ID,
		"method", r.Method, "uri", r.RequestURI, "stack", string(stack))
	if e.hook != nil {
		x.Cause, x.Detail = Internal, fmt.Sprint("panic: ", v)
		e.hook(Incident{Exchange: x, Request: r, Panic: v, Stack: stack})
	}
	Fail(w, r, Internal, fmt.Sprintf("panic: %v\n\n%s", v, stack))
}
