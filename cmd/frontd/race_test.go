//go:build race

package main

// memoryFactor is how much more memory the same bytes take: the race detector
// has shadows of them (5 to 10 times, by its own documentation).
const memoryFactor = 4
