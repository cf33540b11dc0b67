//go:build profile

package main

import (
	"os"
	"runtime/pprof"
	"time"
)

// A frontd built with -tags profile writes its CPU profile of FRONTD_PROFILE_TIME to the
// folder FRONTD_PROFILE, a file a process: scripts/pgo.sh makes default.pgo of them.
func init() {
	folder := os.Getenv("FRONTD_PROFILE")
	span, err := time.ParseDuration(os.Getenv("FRONTD_PROFILE_TIME"))
	if folder == "" || err != nil {
		return
	}
	f, err := os.CreateTemp(folder, "cpu-*.pprof")
	if err != nil {
		panic(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		panic(err)
	}
	time.AfterFunc(span, func() {
		pprof.StopCPUProfile()
		f.Close()
	})
}
