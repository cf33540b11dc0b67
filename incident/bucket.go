package incident

import "time"

// A bucket lets so many a second pass.
type bucket struct {
	rate, most float64
	left       float64
	at         time.Time
}

func (b *bucket) take(now time.Time) bool {
	if b.at.IsZero() {
		b.left = b.most
	} else if d := now.Sub(b.at); d > 0 {
		b.left = min(b.most, b.left+b.rate*d.Seconds())
	}
	if now.After(b.at) {
		b.at = now
	}
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
