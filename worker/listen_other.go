//go:build !unix

package worker

import "os"

// isListening is false where sockets are not inherited as file descriptors:
// there a worker needs an address.
func isListening(*os.File) bool { return false }
