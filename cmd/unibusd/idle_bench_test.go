package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkIdle compares three nodes that serve a KV control plane, without clients, with
// three bare nats-servers that have as many replicated streams. It compares the processor
// time and the memory of each side's first process, in the same minute.
//
//	make bench   (or: go test -run '^$' -bench Idle -benchtime 1x ./cmd/unibusd)
func BenchmarkIdle(b *testing.B) {
	p, cl := healthyNodes(b)
	cl.Close()
	sub := &subTB{TB: b}
	defer sub.end()
	urls, pids := bareServers(b, sub, program(b, "bare-nats-server"))
	createStreams(b, urls, 9) // five buckets, the control record, nonces, the audit and the events
	pass(b, 10*time.Second)   // what a start does is over: no condition says so for a bare server
	for b.Loop() {
		ours, theirs := usageOf(b, p.PID(0)), usageOf(b, pids[0])
		pass(b, 30*time.Second)
		ours, theirs = usageOf(b, p.PID(0)).since(ours), usageOf(b, pids[0]).since(theirs)
		b.ReportMetric(100*ours.cpu.Seconds()/30, "unibus-%")
		b.ReportMetric(100*theirs.cpu.Seconds()/30, "bare-%")
		b.ReportMetric(ours.cpu.Seconds()/theirs.cpu.Seconds(), "ratio-cpu")
		b.ReportMetric(ours.resident, "unibus-MiB")
		b.ReportMetric(theirs.resident, "bare-MiB")
		b.ReportMetric(ours.resident/theirs.resident, "ratio-memory")
	}
	b.ReportMetric(0, "ns/op")
}

// pass lets time pass: over it is measured.
func pass(b *testing.B, d time.Duration) {
	select {
	case <-time.After(d):
	case <-b.Context().Done():
	}
}

// usage is what a process has used of the machine.
type usage struct {
	cpu      time.Duration
	resident float64 // MiB
}

func (u usage) since(before usage) usage { return usage{u.cpu - before.cpu, u.resident} }

// usageOf reads /proc/PID/stat: fields 14, 15 and 24 (proc_pid_stat(5)).
func usageOf(b *testing.B, pid int) usage {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip("only Linux says what another process uses: ", err)
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+2:])) // from field 3 on
	number := func(field int) float64 {
		n, err := strconv.ParseFloat(fields[field-3], 64)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	const ticks = 100 // a second: USER_HZ of every architecture that Go runs on
	return usage{time.Duration((number(14) + number(15)) / ticks * float64(time.Second)), number(24) * float64(os.Getpagesize()) / (1 << 20)}
}
