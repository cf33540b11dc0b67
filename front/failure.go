package front

import (
	"net/http"

	"github.com/frontd/frontd/incident"
)

// A Failure is a request that was not answered as it should have been, as it
// is told to Config.Incident.
type Failure struct {
	Exchange *Exchange     // Cause and Detail say why, both empty for an application's own answer
	Request  *http.Request // as the failing stage had it
	Status   int           // what the client gets or would have got: 5xx, or that of an answer whose program failed behind it
	Panic    any           // of a defect of ours, else nil
	Stack    []byte        // of that
}

// A failureHook is what is asked for the incident of a failure. It is called
// at most once a request, on the request's goroutine and, where that is
// possible, before the head of the answer is sent, so that the client can be
// told the incident's ID: it must not block. It keeps nothing of the exchange
// and the request, and returns nil for what is no incident.
type failureHook func(Failure) *incident.Incident

// report asks for the incident of a failed request, the first time.
func (x *Exchange) report(f Failure) *incident.Incident {
	if x.hook == nil || x.reported {
		return x.Incident
	}
	x.reported = true
	f.Exchange = x
	x.Incident = x.hook(f)
	return x.Incident
}

// tellID says in the head of an answer which incident it belongs to.
func tellID(h http.Header, i *incident.Incident) {
	if i != nil && i.ID != "" {
		h.Set("X-Incident-Id", i.ID)
	}
}
