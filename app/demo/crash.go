package demo

import (
	"net/http"
	"os"
	"strings"
)

// exitStatus is what the worker exits with when asked to, so that it can be
// told from a failure of its own.
const exitStatus = 3

// crashes are the ways to fail, in the order shown.
var crashes = []pair{
	{"panic", "the handler panics; the worker lives"},
	{"exit", "the process exits with status 3"},
	{"kill", "the process gets SIGKILL"},
	{"hang", "no answer until the request is aborted"},
	{"abort", "the answer breaks off in the middle"},
}

func (s *site) crashForm(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "crash", crashes)
}

// crash fails as the field how of the form or the query says.
func (s *site) crash(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		refuseBody(w, err)
		return
	}
	switch r.Form.Get("how") {
	case "panic":
		panic("demo: a handler's panic, as asked for")
	case "exit":
		os.Exit(exitStatus) // the point of this page, and the only exit outside of main
	case "kill":
		kill()
	case "hang":
		<-r.Context().Done()
	case "abort":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		say(w, "this answer is never completed\n")
		panic(http.ErrAbortHandler)
	default:
		var names []string
		for _, c := range crashes {
			names = append(names, c.Name)
		}
		http.Error(w, "how: allowed are "+strings.Join(names, ", "), http.StatusBadRequest)
	}
}

// kill sends SIGKILL to this process and does not return.
func kill() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {} // the signal is on its way
}
