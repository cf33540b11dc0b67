package main

import (
	"slices"
	"strconv"
	"testing"

	"github.com/frontd/frontd/config"
)

func TestProcsEnv(t *testing.T) {
	cpus := numCPU()
	threads := config.Set{"threads": {}}
	for _, tt := range []struct {
		why  string
		app  config.App
		want []string
	}{
		{"as many workers as CPUs: one each", config.App{Kind: config.KindDemo, Workers: cpus + 1}, []string{"GOMAXPROCS=1"}},
		{"one more than half as many as CPUs shares", config.App{Kind: config.KindGo, Workers: cpus/2 + 1},
			[]string{"GOMAXPROCS=" + strconv.Itoa((cpus+cpus/2)/(cpus/2+1))}},
		{"one worker has all", config.App{Kind: config.KindGo, Workers: 1}, nil},
		{"threads were set", config.App{Kind: config.KindGo, Workers: cpus + 1, Threads: 8, Set: threads}, nil},
		{"its own GOMAXPROCS", config.App{Kind: config.KindExec, Workers: cpus + 1, Env: []config.Variable{{Name: "GOMAXPROCS", Value: "3"}}}, nil},
		{"Python", config.App{Kind: config.KindWSGI, Workers: cpus + 1}, nil},
	} {
		if tt.app.Workers == 1 && cpus == 1 {
			continue // half of one CPU is the one worker
		}
		if got := procsEnv(&tt.app); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.why, got, tt.want)
		}
	}
}
