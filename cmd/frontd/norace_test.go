//go:build !race

package main

// memoryFactor is 1: see race_test.go.
const memoryFactor = 1
