package supervisor

import (
	"os"
	"testing"
)

// The pipe of a flood holds what it says it does: all of it can be written
// without a reader.
func TestEnlargedPipe(t *testing.T) {
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pr.Close()
	defer pw.Close()
	size := enlarge(pr)
	if size != pipeMax && os.Geteuid() == 0 || size < 4096 {
		t.Fatalf("it holds %d bytes, want %d", size, pipeMax)
	}
	if n, err := pw.Write(make([]byte, size)); n != size || err != nil { // else it waits for ever
		t.Errorf("%d of %d bytes went in: %v", n, size, err)
	}
}
