package counterpart

import (
	"os"
	"path/filepath"
	"testing"
)

// What a machine cannot do fails nowhere, and is told wherever it is left out.
func TestUnableIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skipped")
	t.Setenv(Skipped, path)
	t.Setenv(NoSkip, "1")
	for _, why := range []string{"no wings", "no fins"} {
		t.Run("sub", func(t *testing.T) {
			Unable(t, why)
			t.Error("it went on")
		})
	}
	want := "TestUnableIsTold/sub: no wings\nTestUnableIsTold/sub#01: no fins\n"
	if b, err := os.ReadFile(path); string(b) != want || err != nil {
		t.Errorf("told is %q, %v; want %q", b, err, want)
	}
}
