package front

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/frontd/frontd/http1"
)

// An Engine is what parses HTTP/1 from clients without TLS.
type Engine string

// Engines. Both serve the same chain, which cannot tell them apart.
const (
	OwnEngine Engine = "own"      // http1
	NetEngine Engine = "net/http" // the standard library's, behind the framing check
)

// own returns the server of this house for c's listeners.
func own(handler http.Handler, c *ServerConfig) *http1.Server {
	return &http1.Server{
		Handler:     handler,
		Limits:      http1.Limits{Head: c.MaxHeaderBytes},
		HeadTimeout: c.ReadHeaderTimeout,
		IdleTimeout: c.IdleTimeout,
		ConnContext: func(nc net.Conn) context.Context {
			boundUnsent(nc)
			return WithListener(context.Background(), c.Listener)
		},
		Log: c.Log,
		Refused: func(r http1.Refusal) {
			if c.Refusal != nil {
				c.Refusal(Refusal{r.Remote, causeOfRule(r.Rule), r.Rule.Detail, r.Start, r.Method, r.Target, r.Proto, r.Bytes})
			}
		},
	}
}

// causeOfRule names a refusal as the chain would have.
func causeOfRule(r *http1.Rule) Cause {
	switch r.Status {
	case http.StatusRequestTimeout:
		return TooSlow
	case http.StatusRequestURITooLong:
		return TargetTooLong
	case http.StatusExpectationFailed:
		return ExpectationFailed
	case http.StatusRequestHeaderFieldsTooLarge:
		return HeadTooLarge
	case http.StatusHTTPVersionNotSupported:
		return VersionUnsupported
	}
	return BadRequest
}

func serveOwn(s *http1.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, http1.ErrServerClosed) {
		return err
	}
	return nil
}
