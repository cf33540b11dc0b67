//go:build race

package http1

// raceDetector empties pools at random: what is allocated then says nothing.
const raceDetector = true
