package front

import (
	"log/slog"
	"net/http"
)

// A Config says what a front serves. The zero value of each field is its
// default.
type Config struct {
	Routes   []Route
	Settings *Settings // until a route is taken; nil: DefaultSettings
	Strict   Strict
	Proxies  Proxies

	AccessLog *AccessLog      // nil: none
	Observe   func(*Exchange) // is called at each request's end, for metrics
	Incident  failureHook     // is asked for the incident of each failure; nil: there are none
	Keep      Keep            // what an Exchange is to carry for an incident
	Log       *slog.Logger    // nil: slog.Default
}

// New returns the chain. Its errors are those of all routes at once.
func New(c Config) (http.Handler, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Settings == nil {
		c.Settings = &defaultSettings
	}
	// In the reverse of the order that a request meets them: access,
	// exception, strict, proxies, route, and then the stages of the route taken (stages.go).
	routes, err := newRouter(c.Routes)
	if err != nil {
		return nil, err
	}
	var h http.Handler = routes
	h = &proxies{config: c.Proxies, next: h}
	h = &strict{limits: c.Strict.withDefaults(), next: h}
	h = &exception{log: c.Log, hook: c.Incident, next: h}
	h = &access{log: c.AccessLog, observe: c.Observe, settings: c.Settings, keep: c.Keep, proxies: &c.Proxies, next: h}
	return h, nil
}
