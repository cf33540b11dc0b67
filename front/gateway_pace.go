package front

import (
	"strings"

	"github.com/frontd/frontd/fcgi"
)

// accelBuffering is the field by which an application says of an answer whether it
// is to be taken off its worker ahead of the client, as nginx has it.
const accelBuffering = "X-Accel-Buffering"

// pace decides how far ahead of its client an answer is taken off a worker without
// flow control. A worker that has made the whole of it is freed: what is over
// Settings.ResponseBuffer goes to a file. One that makes it piece by piece, as each
// is asked for, is held back there: its answer may have no end, or cost what
// nobody will read. Which it is the application says by X-Accel-Buffering, yes or
// no, else the length of the answer tells, which only who has the whole of it knows.
func (c *call) pace(resp *fcgi.Response) {
	whole := !c.g.OnDemand || resp.ContentLength >= 0
	if said := first(resp.Header[accelBuffering]); said != "" {
		switch {
		case strings.EqualFold(said, "no"):
			whole = false
		case strings.EqualFold(said, "yes"):
			whole = true
		}
		if !c.x.proxied { // a web server before us buffers as well
			delete(resp.Header, accelBuffering)
		}
	}
	if file := c.x.Settings.ResponseFile; whole && file > 0 {
		resp.Spill(file)
	}
}
