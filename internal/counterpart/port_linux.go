package counterpart

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"testing"
)

// ownPort returns a port that is below those that the kernel gives away by
// itself (ip(7), ip_local_port_range), and marks it as this test's with a socket in
// the abstract namespace, which goes with the process (unix(7)).
func ownPort(t testing.TB) int {
	t.Helper()
	first, last := 10_000, 32_767
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		var from int
		if _, err := fmt.Sscan(string(b), &from); err == nil {
			last = from - 1
		}
	}
	if last <= first {
		return 0 // the kernel gives nearly all of them away: it may as well choose
	}
	for range 1000 {
		port := first + rand.IntN(last-first+1)
		mark, err := net.Listen("unix", fmt.Sprintf("@frontd-test-port-%d", port))
		if err != nil {
			continue // another test's
		}
		t.Cleanup(func() { mark.Close() })
		return port
	}
	return 0
}
