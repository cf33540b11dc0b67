package fcgi

import "sync/atomic"

// A stream whose consumer keeps up gets a larger window: what is on its way then
// covers the time that a grant takes. Its reader must have waited for the sender,
// which is what a window that is too small looks like; one that does not keep
// up never waits, and stays at what it has.
const (
	grownWindow = 4 * DefaultWindow // bytes, the most that one grows to

	// maxGrowth bounds, in bytes, what the windows of one connection have grown by
	// together.
	maxGrowth = 1 << 20
)

// A growth is what the windows of a connection have grown by.
type growth struct{ bytes atomic.Int64 }

// lend returns by how much a window of n bytes grows: by want, or as near to that as
// it may, or by nothing.
func (g *growth) lend(want, n int64) int64 {
	more := min(want, grownWindow-n)
	if more <= 0 {
		return 0
	}
	if g.bytes.Add(more) > maxGrowth {
		g.bytes.Add(-more)
		return 0
	}
	return more
}

// giveBack takes what a window had grown by, at its stream's end.
func (g *growth) giveBack(n int64) {
	if n > 0 {
		g.bytes.Add(-n)
	}
}
