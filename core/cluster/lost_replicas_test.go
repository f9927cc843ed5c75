package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestBucketWithoutAReplicaIsLost is why a rescue is refused where a stream has no replica
// left. Of five bare servers three are lost, and the meta group is rescued. A bucket that had a
// replica on another server keeps its rows. One that had none gets a leader and is empty, or
// gets none.
func TestBucketWithoutAReplicaIsLost(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("not with -short")
	}
	b := newBench(t, 5)
	client := b.connect(t, 0, "ctl")
	lost, kept := b.filled(t, client, "LOST"), ""
	for i := 0; kept == ""; i++ {
		if name := fmt.Sprint("KEPT", i); !slices.Equal(b.filled(t, client, name), lost) {
			kept = name
		}
	}
	left := 0
	for i, s := range b.servers {
		if !slices.Contains(lost, s.Name()) {
			left = i
			continue
		}
		b.stop(i)
	}
	sys := b.connect(t, left, "sys")
	removed := func(peer string) bool { return request(sys, "SERVER.REMOVE", map[string]any{"peer_id": PeerID(peer)}) }
	eventually(t, "a leader of the meta group", func() bool {
		return request(sys, "META.RESCUE", map[string]any{"quorum_needed": 2}) && removed("none")
	})
	for _, name := range lost {
		eventually(t, "the removal of "+name, func() bool { return removed(name) })
	}
	survivor := b.connect(t, left, "ctl")
	eventually(t, "the rows of "+kept, func() bool {
		rows, led := rowsOf(survivor, kept)
		return led && rows == 10
	})
	rows, led := uint64(0), false
	end := time.Now().Add(15 * time.Second)
	eventually(t, "a leader of LOST, or a while without one", func() bool {
		rows, led = rowsOf(survivor, "LOST")
		return led || time.Now().After(end)
	})
	if t.Logf("LOST has a leader: %v, and %d rows", led, rows); rows != 0 {
		t.Errorf("%d rows outlived every replica", rows)
	}
}

// filled makes a bucket with three replicas and ten rows, and returns the servers that have it.
func (b *bench) filled(t *testing.T, nc *nats.Conn, name string) (on []string) {
	t.Helper()
	kv := b.bucket(t, nc, name, 3)
	for i := range 10 {
		if _, err := kv.PutString(t.Context(), fmt.Sprint("k", i), "v"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "current replicas of "+name, func() bool {
		info, err := infoOf(nc, name)
		if err != nil {
			return false
		}
		on = []string{info.Cluster.Leader}
		for _, r := range info.Cluster.Replicas {
			if on = append(on, r.Name); !r.Current {
				return false
			}
		}
		return len(on) == 3
	})
	slices.Sort(on)
	return on
}

func infoOf(nc *nats.Conn, bucket string) (*jetstream.StreamInfo, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s, err := js.Stream(ctx, "KV_"+bucket)
	if err != nil {
		return nil, err
	}
	return s.Info(ctx)
}

// rowsOf is false where the bucket has no leader.
func rowsOf(nc *nats.Conn, bucket string) (uint64, bool) {
	info, err := infoOf(nc, bucket)
	if err != nil || info.Cluster == nil || info.Cluster.Leader == "" {
		return 0, false
	}
	return info.State.Msgs, true
}

// request is true where a server answers, whatever it says: a second request is refused.
func request(sys *nats.Conn, verb string, body map[string]any) bool {
	data, err := json.Marshal(body)
	if err != nil {
		return false
	}
	_, err = sys.Request("$JS.API."+verb, data, 2*time.Second)
	return err == nil
}
