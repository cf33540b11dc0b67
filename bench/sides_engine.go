package main

import "strings"

// frontdNetHTTP is frontdServe with Go's own HTTP server at the front: what
// the difference to the others is, the engine is.
func frontdNetHTTP(app string) func(*stage) (string, error) {
	return func(s *stage) (string, error) {
		return "", s.serveFile(strings.Replace(frontdFile, "max_body = 0\n", "max_body = 0\nengine = \"net/http\"\n", 1), app)
	}
}
