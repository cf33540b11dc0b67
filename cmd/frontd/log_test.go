package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/frontd/frontd/config"
)

// A duration is seconds in JSON, as those of the access log, and with its unit in text.
func TestLogDurations(t *testing.T) {
	for format, want := range map[string]any{"json": 1.25, "text": "took=1.25s\n"} {
		var log bytes.Buffer
		l, err := openLogbook(config.Log{Format: format, Level: "info"}, &log, false)
		if err != nil {
			t.Fatal(err)
		}
		l.With("app", "blog").Info("worker ready", "took", 1250*time.Millisecond)
		l.Close()
		if text, ok := want.(string); ok {
			if !bytes.HasSuffix(log.Bytes(), []byte(text)) {
				t.Errorf("%s: %q, want %q at its end", format, &log, text)
			}
			continue
		}
		var got map[string]any
		if err := json.Unmarshal(log.Bytes(), &got); err != nil || got["took"] != want {
			t.Errorf("%s: %q (%v), want took %v", format, &log, err, want)
		}
	}
}
