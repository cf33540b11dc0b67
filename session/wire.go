package session

// What front and worker say to each other. docs/sessions.md is the manual.
const (
	// ParamData is the meta-variable with the session: a JSON object of its
	// keys, in ASCII. It is there, "{}" if nothing is stored, on each request
	// of a route with sessions, and on no other.
	ParamData = "FRONTD_SESSION"
	// ParamID is the meta-variable that names a stored session: opaque, the
	// same as long as it lives, and of no use as a cookie.
	ParamID = "FRONTD_SESSION_ID"

	// The fields of an answer that change the session. None reaches a client.
	// Whatever their order, Clear comes first, then Delete, Set and Add. Keys
	// and values are percent-encoded (RFC 3986 §2.1).
	HeaderClear  = "Frontd-Session-Clear"  // forget all keys; with nothing set after it, the session
	HeaderDelete = "Frontd-Session-Delete" // KEY
	HeaderSet    = "Frontd-Session-Set"    // KEY=JSON
	HeaderAdd    = "Frontd-Session-Add"    // KEY=INTEGER, added to what is stored, 0 if nothing is
	HeaderRenew  = "Frontd-Session-Renew"  // a new cookie for the same session

	// HeaderPrefix begins all of their names, and none that a client may send.
	HeaderPrefix = "Frontd-Session-"
)
