package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// BenchmarkUserWrites adds users by the operators' protocol on three nodes. It puts keys
// of the same size into three members of etcd, with 1 and with 32 writers on one
// connection. Both sync each write on a majority; both take turns, so that whatever else
// the machine does falls on both. It needs etcd (Debian: etcd-server).
//
//	make bench   (or: go test -run '^$' -bench UserWrites -benchtime 10x ./cmd/unibusd)
func BenchmarkUserWrites(b *testing.B) {
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		b.Skip("etcd is not installed here (Debian: etcd-server)")
	}
	_, cl := healthyNodes(b)
	peer := startEtcd(b, etcd)
	for writers, writes := range map[int]int{1: 60, 32: 640} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { userWrites(b, cl, peer, writers, writes) })
	}
}

// healthyNodes starts three processes on KV, and ends them with the benchmark.
func healthyNodes(b *testing.B) (*nodetest.Processes, *admin.Client) {
	b.Helper()
	p := nodetest.PrepareProcesses(b, program(b, "unibusd"), nodetest.Config{Store: core.BackendKV})
	p.StartAll()
	cl := p.Client()
	nodetest.Wait(b, bootBudget, func() error {
		st, err := nodetest.Status(b.Context(), cl)
		if err == nil && st.Verdict != cluster.Healthy {
			err = fmt.Errorf("%s", st.Sentence)
		}
		return err
	})
	return p, cl
}

func userWrites(b *testing.B, cl *admin.Client, peer *etcdClient, writers, writes int) {
	var ours, theirs []time.Duration
	for b.Loop() {
		ids := make([]core.UserID, writes)
		for i := range ids {
			ids[i] = core.UserID(nodetest.Identity(b).Public())
		}
		ours = append(ours, timed(b, writers, writes, func(i int) error {
			_, err := cl.UserAdd(b.Context(), core.User{ID: ids[i]})
			return err
		}))
		theirs = append(theirs, timed(b, writers, writes, func(i int) error {
			return peer.put(b.Context(), "users/"+string(ids[i]), make([]byte, 160))
		}))
	}
	b.ReportMetric(0, "ns/op") // one number for both sides would mean nothing
	b.ReportMetric(float64(writes)/median(ours).Seconds(), "unibus/s")
	b.ReportMetric(float64(writes)/median(theirs).Seconds(), "etcd/s")
	b.ReportMetric(median(theirs).Seconds()/median(ours).Seconds(), "ratio")
}

// timed does writes 0 to n-1 with some writers at once.
func timed(b *testing.B, writers, n int, write func(i int) error) time.Duration {
	b.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range writers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := write(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

// etcdClient speaks etcd's gRPC by hand: one connection of HTTP/2, as its own client has.
type etcdClient struct {
	http *http.Client
	url  string
}

// startEtcd starts three members, and ends them with the benchmark.
func startEtcd(b *testing.B, binary string) *etcdClient {
	b.Helper()
	dir, ports := b.TempDir(), nodetest.Ports(b, 6)
	var members []string
	for i := range 3 {
		members = append(members, fmt.Sprintf("m%d=http://127.0.0.1:%d", i, ports[3+i]))
	}
	for i := range 3 {
		client, peers := fmt.Sprintf("http://127.0.0.1:%d", ports[i]), fmt.Sprintf("http://127.0.0.1:%d", ports[3+i])
		cmd := exec.Command(binary, "--name", fmt.Sprintf("m%d", i), "--data-dir", filepath.Join(dir, fmt.Sprint(i)), "--logger", "zap", "--log-level", "error",
			"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
			"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	c := &etcdClient{http: &http.Client{Transport: &http.Transport{Protocols: &protocols}}, url: fmt.Sprintf("http://127.0.0.1:%d", ports[0])}
	nodetest.Wait(b, bootBudget, func() error { return c.put(b.Context(), "ready", nil) })
	return c
}

// put is etcdserverpb.KV/Put: a PutRequest with key as field 1 and value as field 2.
func (c *etcdClient) put(ctx context.Context, key string, value []byte) error {
	var m []byte
	for i, field := range [][]byte{[]byte(key), value} {
		m = binary.AppendUvarint(append(m, byte((i+1)<<3|2)), uint64(len(field)))
		m = append(m, field...)
	}
	body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/etcdserverpb.KV/Put", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if status := res.Header.Get("Grpc-Status") + res.Trailer.Get("Grpc-Status"); status != "0" || len(answer) == 0 {
		return fmt.Errorf("etcd refused: HTTP %d, gRPC status %q", res.StatusCode, status)
	}
	return nil
}
