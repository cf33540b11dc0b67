package fcgi

import "testing"

// The read loop may have the rest of an answer in its buffer, with its end, when
// the connection is given up: pieces are dropped from then on, and no end read
// behind them makes the answer whole.
func TestCutAnswerIsNeverWhole(t *testing.T) {
	for _, lost := range []error{ErrTruncated, ErrAborted} {
		s := newStream(&Request{})
		s.fail(lost)
		if err := s.deliver([]byte("a piece"), false, func() {}); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.stdoutEnded = true
		s.mu.Unlock()
		s.finish(0, StatusRequestComplete)
		s.mu.Lock()
		err := s.endLocked()
		s.mu.Unlock()
		if err != lost {
			t.Errorf("after %v the answer ends with %v", lost, err)
		}
	}
}
