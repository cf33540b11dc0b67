package memnet

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestBytesAndEnd(t *testing.T) {
	a, b := Pipe()
	go func() {
		// Ends with the close; its bytes are read below.
		io.WriteString(a, strings.Repeat("x", 3*BufferSize))
		a.Close()
	}()
	got, err := io.ReadAll(b)
	if err != nil || len(got) != 3*BufferSize {
		t.Fatalf("read %d bytes, %v; want %d", len(got), err, 3*BufferSize)
	}
	if _, err := b.Write([]byte("y")); err == nil {
		t.Error("a write to a closed end succeeded")
	}
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		start := time.Now()
		b.SetReadDeadline(start.Add(time.Minute))
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v, want a deadline", err)
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("waited %v, want a minute", d)
		}
		a.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := a.Write(make([]byte, 2*BufferSize)); n != BufferSize || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d, %v; want the buffer's size and a deadline", n, err)
		}
	})
}
