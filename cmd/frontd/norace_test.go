//go:build !race

package main

// memoryFactor is 1: see race_test.go.
const memoryFactor = 1

// timeFactor is 1: see race_test.go.
const timeFactor = 1
