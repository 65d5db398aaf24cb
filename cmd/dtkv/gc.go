package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The live heap of a coordination service is small, and collecting it often costs a tenth of the throughput. So garbage
// may take up to garbageRoom, but at most four times what lives; above that size the heap may still double, as Go has
// it. GOGC turns all this off; GOMEMLIMIT bounds it.
const (
	garbageRoom  = 256 << 20 // bytes
	mostPercent  = 400
	leastPercent = 100
	gcLook       = 2 * time.Second // how often the live heap is looked at
)

// gcPercent is the GOGC for a live heap of that many bytes.
func gcPercent(live uint64) int {
	return int(min(max(garbageRoom*100/max(live, 1), leastPercent), mostPercent))
}

// tuneCollector keeps GOGC in step with the live heap until ctx ends. It is the one place where the Go runtime is tuned
// for this process.
func tuneCollector(ctx context.Context) {
	current := mostPercent
	debug.SetGCPercent(current)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(gcLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(live)
		// Setting it stops the world for a moment: not for a small difference.
		if want := gcPercent(live[0].Value.Uint64()); want*10 < current*8 || want*10 > current*12 {
			current = want
			debug.SetGCPercent(current)
		}
	}
}
