package node_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"unibus/core/nodetest"
)

// BenchmarkScrape measures the processor time of one scrape, the reader's part included, in a
// cluster of three nodes, all of them in this process. What the same cluster uses while
// nobody scrapes is taken away.
func BenchmarkScrape(b *testing.B) {
	b.StopTimer()
	_, addr := metered(b, nodetest.Config{})
	until(b, addr, scrape{"unibus_verdict": 0})
	idleFrom, begun := processorTime(b), time.Now()
	nodetest.Wait(b, time.Minute, func() error { // as long as nobody scrapes
		if time.Since(begun) < 3*time.Second {
			return errors.New("still idle")
		}
		return nil
	})
	idle := float64(processorTime(b)-idleFrom) / float64(time.Since(begun))
	b.StartTimer()
	from, begun := processorTime(b), time.Now()
	n := 0
	for b.Loop() {
		scrapeOf(b, addr)
		n++
	}
	used := float64(processorTime(b)-from) - idle*float64(time.Since(begun))
	b.ReportMetric(used/float64(n)/1e6, "cpu-ms/scrape")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
