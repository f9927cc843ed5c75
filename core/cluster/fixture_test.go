package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core/loopback"
)

// bench is a cluster of bare nats-servers with the accounts and options of a unibus cluster.
type bench struct {
	servers []*natsserver.Server
	options []*natsserver.Options
}

func newBench(t *testing.T, n int) *bench {
	t.Helper()
	b, dir := &bench{}, t.TempDir()
	ports := freePorts(t, n)
	routes := ""
	for _, p := range ports {
		routes += fmt.Sprintf("nats-route://127.0.0.1:%d,", p)
	}
	for i := range n {
		o := &natsserver.Options{
			ServerName: fmt.Sprintf("n%d", i+1), Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, MaxPayload: 1 << 20,
			JetStream: true, StoreDir: filepath.Join(dir, fmt.Sprintf("n%d", i+1)), JetStreamMaxStore: 1 << 30, JetStreamMaxMemory: 64 << 20, SyncAlways: true,
			Cluster: natsserver.ClusterOpts{Name: "bench", Host: "127.0.0.1", Port: ports[i], PoolSize: -1, NoAdvertise: true},
		}
		if err := o.ProcessConfigString(`
			system_account: SYS
			accounts {
				SYS { users: [ {user: sys, password: sys} ] }
				CONTROL { jetstream: enabled, users: [ {user: ctl, password: ctl} ] }
			}`); err != nil {
			t.Fatal(err)
		}
		o.Routes = natsserver.RoutesFromStr(routes[:len(routes)-1])
		b.options = append(b.options, o)
		b.servers = append(b.servers, nil)
		b.start(t, i)
	}
	t.Cleanup(func() {
		for i := range b.servers {
			b.stop(i)
		}
	})
	return b
}

func freePorts(t *testing.T, n int) []int {
	t.Helper()
	ports, err := loopback.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

func (b *bench) start(t *testing.T, i int) {
	t.Helper()
	s, err := natsserver.NewServer(b.options[i].Clone())
	if err != nil {
		t.Fatal(err)
	}
	b.servers[i] = s
	go s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatalf("%s does not start", s.Name())
	}
}

func (b *bench) stop(i int) {
	b.servers[i].Shutdown()
	b.servers[i].WaitForShutdown()
}

func (b *bench) connect(t *testing.T, i int, user string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(b.servers[i].ClientURL(), nats.UserInfo(user, user), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// bucket creates a KV bucket, trying again until the meta group has its leader.
func (b *bench) bucket(t *testing.T, nc *nats.Conn, name string, replicas int) jetstream.KeyValue {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var kv jetstream.KeyValue
	eventually(t, "bucket "+name, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		kv, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, Replicas: replicas})
		return err == nil
	})
	return kv
}

// eventually waits for a condition, at most half a minute.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	end := time.NewTimer(30 * time.Second)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-end.C:
			t.Fatalf("waited in vain for: %s", what)
		case <-tick.C:
		}
	}
}
