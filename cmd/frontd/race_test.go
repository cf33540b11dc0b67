//go:build race

package main

// memoryFactor is how much more memory the same bytes take: the race detector
// has shadows of them (5 to 10 times, by its own documentation).
const memoryFactor = 4

// timeFactor is how much more time frontd's part of something may take: the race
// detector costs it 2 to 20 times the CPU time, its workers nothing.
const timeFactor = 2
