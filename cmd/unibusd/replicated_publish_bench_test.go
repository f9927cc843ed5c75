package main

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core/jsapi"
)

// BenchmarkReplicatedPublish compares one message to a replicated stream of three bare
// nats-servers with one Put to three members of etcd, both synced on a majority. It has
// 1 and 32 writers on one connection. It is the bound of BenchmarkUserWrites, whose
// users are three such messages one after the other.
//
//	make bench   (or: go test -run '^$' -bench ReplicatedPublish -benchtime 10x ./cmd/unibusd)
func BenchmarkReplicatedPublish(b *testing.B) {
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		b.Skip("etcd is not installed here (Debian: etcd-server)")
	}
	sub := &subTB{TB: b}
	defer sub.end()
	urls, _ := bareServers(b, sub, program(b, "bare-nats-server"))
	createStreams(b, urls, 1)
	nc, err := nats.Connect(urls[0])
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	peer := startEtcd(b, etcd)
	for writers, writes := range map[int]int{1: 100, 32: 1280} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { replicatedPublish(b, nc, peer, writers, writes) })
	}
}

func replicatedPublish(b *testing.B, nc *nats.Conn, peer *etcdClient, writers, writes int) {
	var ours, theirs []time.Duration
	for b.Loop() {
		ours = append(ours, timed(b, writers, writes, func(i int) error {
			msg := nats.NewMsg(fmt.Sprint("S0.", i))
			msg.Data = make([]byte, 160)
			_, err := jsapi.Client{Conn: nc}.Publish(b.Context(), msg)
			return err
		}))
		theirs = append(theirs, timed(b, writers, writes, func(i int) error {
			return peer.put(b.Context(), fmt.Sprint("S0/", i), make([]byte, 160))
		}))
	}
	b.ReportMetric(0, "ns/op") // one number for both sides would mean nothing
	b.ReportMetric(float64(writes)/median(ours).Seconds(), "jetstream/s")
	b.ReportMetric(float64(writes)/median(theirs).Seconds(), "etcd/s")
	b.ReportMetric(median(theirs).Seconds()/median(ours).Seconds(), "ratio")
}
