package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/nodetest"
)

// BenchmarkColdStart starts three processes from empty directories until every bucket
// has three current replicas. Right after it, it starts three bare nats-servers until
// five streams have them. The sides alternate, so that other load of the machine falls
// on both. It prints medians and spreads.
//
//	make bench   (or: go test -run '^$' -bench ColdStart -benchtime 10x ./cmd/unibusd)
func BenchmarkColdStart(b *testing.B) {
	unibusd, bare := program(b, "unibusd"), program(b, "bare-nats-server")
	var ours, theirs []time.Duration
	for b.Loop() {
		ours = append(ours, coldNodes(b, unibusd))
		theirs = append(theirs, coldServers(b, bare))
	}
	b.ReportMetric(0, "ns/op") // one number for both sides would mean nothing
	report(b, "unibus", ours)
	report(b, "bare", theirs)
	b.ReportMetric(median(ours).Seconds()/median(theirs).Seconds(), "ratio")
}

func report(b *testing.B, name string, d []time.Duration) {
	b.ReportMetric(median(d).Seconds(), name+"-median-s")
	b.ReportMetric(slices.Min(d).Seconds(), name+"-min-s")
	b.ReportMetric(slices.Max(d).Seconds(), name+"-max-s")
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}

// coldNodes is one start of three unibusd.
func coldNodes(b *testing.B, binary string) (took time.Duration) {
	b.Helper()
	sub := &subTB{TB: b}
	defer sub.end()
	p := nodetest.PrepareProcesses(sub, binary, nodetest.Config{Store: core.BackendKV})
	began := time.Now()
	p.StartAll()
	cl := p.Client()
	nodetest.Wait(b, bootBudget, func() error {
		st, err := nodetest.Status(b.Context(), cl)
		if err != nil {
			return err
		}
		return nodetest.CheckReplicated(st, 3)
	})
	return time.Since(began)
}

// coldServers is one start of three bare servers and the creation of five streams on them.
func coldServers(b *testing.B, binary string) time.Duration {
	b.Helper()
	sub := &subTB{TB: b}
	defer sub.end()
	began := time.Now()
	urls, _ := bareServers(b, sub, binary)
	createStreams(b, urls, 5)
	return time.Since(began)
}

// bareServers starts three servers, waits until they listen, and ends them with sub.
func bareServers(b *testing.B, sub *subTB, binary string) (urls []string, pids []int) {
	b.Helper()
	dir, ports := sub.TempDir(), nodetest.Ports(b, 6)
	var routes []string
	for i := range 3 {
		routes = append(routes, fmt.Sprintf("127.0.0.1:%d", ports[3+i]))
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
	}
	for i := range 3 {
		name := fmt.Sprintf("b%d", i+1)
		cmd := exec.Command(binary, "-name", name, "-dir", filepath.Join(dir, name), "-port", fmt.Sprint(ports[i]),
			"-cluster", fmt.Sprint(ports[3+i]), "-routes", strings.Join(routes, ","))
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		sub.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		pids = append(pids, cmd.Process.Pid)
	}
	for _, p := range ports[:3] {
		nodetest.Wait(b, bootBudget, func() error {
			c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", p), 5*time.Second)
			if err == nil {
				err = c.Close()
			}
			return err
		})
	}
	return urls, pids
}

// createStreams makes replicated streams as soon as the servers let it.
func createStreams(b *testing.B, urls []string, n int) {
	b.Helper()
	nc, err := nats.Connect(strings.Join(urls, ","))
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{}, n)
	for i := range n {
		go func() {
			defer func() { done <- struct{}{} }()
			nodetest.Wait(b, bootBudget, func() error { return replicatedStream(b.Context(), js, fmt.Sprintf("S%d", i)) })
		}()
	}
	for range n {
		<-done
	}
}

func replicatedStream(ctx context.Context, js jetstream.JetStream, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	s, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}, Replicas: 3})
	if err != nil {
		return err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return err
	}
	if info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != 2 {
		return fmt.Errorf("%s has no leader yet", name)
	}
	for _, r := range info.Cluster.Replicas {
		if !r.Current {
			return fmt.Errorf("%s is not current on %s", name, r.Name)
		}
	}
	return nil
}

// subTB is a testing.TB whose cleanups run at the end of one round instead of the whole benchmark.
type subTB struct {
	testing.TB
	cleanups []func()
}

// Cleanup remembers f for the end of the round.
func (s *subTB) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// TempDir makes a directory that goes at the end of the round.
func (s *subTB) TempDir() string {
	dir, err := os.MkdirTemp("", "unibus-bench-")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (s *subTB) end() {
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
}
