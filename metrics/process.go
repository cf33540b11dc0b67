package metrics

import (
	"runtime"
	"runtime/metrics"
)

// A usage is what the system knows of this process; what it does not tell is
// below zero.
type usage struct {
	cpuSeconds   float64
	residentSize float64
	virtualSize  float64
	openFiles    float64
	maxFiles     float64
	threads      float64
	startTime    float64 // in seconds since 1970
}

var unknownUsage = usage{-1, -1, -1, -1, -1, -1, -1}

// WriteProcess adds what is known of this process, under the names that all
// of Prometheus' client libraries use.
func WriteProcess(p *Page) {
	u := processUsage()
	for _, m := range []struct {
		name, help string
		t          Type
		value      float64
	}{
		{"process_cpu_seconds_total", "CPU time of frontd itself, user and system.", Counter, u.cpuSeconds},
		{"process_resident_memory_bytes", "Resident memory of frontd itself.", Gauge, u.residentSize},
		{"process_virtual_memory_bytes", "Virtual memory of frontd itself.", Gauge, u.virtualSize},
		{"process_open_fds", "Open file descriptors.", Gauge, u.openFiles},
		{"process_max_fds", "The most file descriptors that may be open.", Gauge, u.maxFiles},
		{"process_start_time_seconds", "When frontd was started, in seconds since 1970.", Gauge, u.startTime},
		{"go_threads", "Threads of the system.", Gauge, u.threads},
	} {
		if m.value >= 0 {
			p.Metric(m.name, m.t, m.help)
			p.Sample(m.value)
		}
	}
	writeRuntime(p)
}

// runtimeMetrics are Go's own numbers that are told on.
var runtimeMetrics = []struct {
	from, name, help string
	t                Type
}{
	{"/sched/goroutines:goroutines", "go_goroutines", "Goroutines.", Gauge},
	{"/gc/cycles/total:gc-cycles", "go_gc_cycles_total", "Collections of garbage.", Counter},
	{"/cpu/classes/gc/total:cpu-seconds", "go_gc_cpu_seconds_total", "Estimated CPU time that collections took.", Counter},
	{"/gc/heap/allocs:bytes", "go_memstats_alloc_bytes_total", "Bytes allocated on the heap, freed ones too.", Counter},
	{"/memory/classes/heap/objects:bytes", "go_memstats_heap_alloc_bytes", "Bytes of live objects, and of dead ones not yet swept.", Gauge},
	{"/memory/classes/total:bytes", "go_memstats_sys_bytes", "Bytes that Go has mapped from the system.", Gauge},
}

func writeRuntime(p *Page) {
	p.Metric("go_info", Gauge, "The Go version that frontd was built with.")
	p.Sample(1, "version", runtime.Version())
	samples := make([]metrics.Sample, len(runtimeMetrics))
	for i, m := range runtimeMetrics {
		samples[i].Name = m.from
	}
	metrics.Read(samples)
	for i, m := range runtimeMetrics {
		var v float64
		switch s := samples[i].Value; s.Kind() {
		case metrics.KindUint64:
			v = float64(s.Uint64())
		case metrics.KindFloat64:
			v = s.Float64()
		default:
			continue // this Go does not know it
		}
		p.Metric(m.name, m.t, m.help)
		p.Sample(v)
	}
}
