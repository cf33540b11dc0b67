package front

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/frontd/frontd/fcgi"
)

// A field that no record holds is refused, also where the route has variables: what
// is left of the request without it would be another request.
func TestVariablesForgetNoRefusal(t *testing.T) {
	for name, route := range map[string]Route{"none": {}, "some": {Variables: []Variable{{"FRONTD_CONFIG_A", "b"}}}} {
		r := httptest.NewRequest("GET", "/", nil)
		x := &Exchange{Settings: &defaultSettings, Route: &route}
		r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
		r.Header["X-Large"] = []string{strings.Repeat("x", 1<<16)}
		c := newCall(&Gateway{}, httptest.NewRecorder(), r, fcgi.RoleResponder)
		if err := c.prepare(); !errors.Is(err, fcgi.ErrParamTooLarge) {
			t.Errorf("%s: %v, want %v", name, err, fcgi.ErrParamTooLarge)
		}
	}
}
