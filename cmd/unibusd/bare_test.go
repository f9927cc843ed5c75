package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// bareServer is the peer that benchmarks compare with: a nats-server with the
// same durability and routes as a node's, and nothing of unibus.
func bareServer() {
	name := flag.String("name", "", "")
	dir := flag.String("dir", "", "")
	port := flag.Int("port", 0, "")
	cluster := flag.Int("cluster", 0, "")
	routes := flag.String("routes", "", "")
	flag.Parse()
	opts := &server.Options{
		ServerName: *name, Host: "127.0.0.1", Port: *port, NoSigs: false, NoLog: true,
		JetStream: true, StoreDir: *dir, SyncAlways: true,
		Cluster: server.ClusterOpts{Name: "bare", Host: "127.0.0.1", Port: *cluster, PoolSize: -1, NoAdvertise: true},
	}
	for r := range strings.SplitSeq(*routes, ",") {
		u, err := url.Parse("nats://" + r)
		if err != nil {
			fail(err)
		}
		opts.Routes = append(opts.Routes, u)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		fail(err)
	}
	s.Start()
	s.WaitForShutdown()
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
