package front

import "net/http"

// A Route says which requests it takes and what becomes of them.
type Route struct {
	// Host is "example.com", "*.example.com" (any depth of subdomain), or ""
	// for every host. Ports and case do not count.
	Host string
	// Path is "/static/" or "/static" (that segment and below), "= /exact",
	// "~ regexp" (RE2, unanchored), or "" and "/" for every path.
	Path string
	// MountPrefix is what the application is mounted at: SCRIPT_NAME of a
	// request, the rest being PATH_INFO. "" or "/name", no slash at the end.
	MountPrefix string

	App      string // for the record and the log, "" for files
	Settings Settings
	Handler  http.Handler
}
