package incident

import "testing"

func TestTitleOfACrash(t *testing.T) {
	for exit, want := range map[string]string{
		"exit status 3 after 1.62s":                  "worker ended with exit status 3 after 1.62s",
		"killed by signal 9 (killed) after 966.54ms": "worker killed by signal 9 (killed) after 966.54ms",
	} {
		if got := (&Incident{Kind: Crash, Worker: &Worker{Exit: exit}}).Title(); got != want {
			t.Errorf("title %q, want %q", got, want)
		}
	}
}
