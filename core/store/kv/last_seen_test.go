package kv

import (
	"fmt"
	"sync"
	"testing"

	"unibus/core"
	"unibus/core/keys"
)

// seenUsers are keys of one part, so that writers of it meet.
func seenUsers(t *testing.T, n int) (out []core.UserID) {
	t.Helper()
	part := -1
	for len(out) < n {
		_, public, err := keys.Generate()
		if err != nil {
			t.Fatal(err)
		}
		var l core.LastSeen
		l.Mark([]core.UserID{core.UserID(public)}, 1e12)
		if at := l.Dirty()[0]; part < 0 || at == part {
			part = at
			out = append(out, core.UserID(public))
		}
	}
	return out
}

func replicas(n int) func() int { return func() int { return n } }

const seenHour = core.Millis(3_600_000)

// TestLastSeenOfManyNodes: nodes that write one part at the same time lose nothing of each other,
// and nothing goes back; a stream that was deleted gets everything again.
func TestLastSeenOfManyNodes(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	users := seenUsers(t, 3)
	var records [3]core.LastSeen
	var nodes [3]*LastSeen
	for i := range nodes {
		nodes[i] = NewLastSeen(LastSeenConfig{Conn: on.conn(t, i), Replicas: replicas(3), Record: &records[i]})
		mustDo(t, nodes[i].Read(t.Context()))
		if records[i].Began() != 0 {
			t.Errorf("recording began without a write")
		}
		records[i].Mark(users[i:i+1], core.Millis(500_000+i)*seenHour)
	}
	records[0].Mark(users[2:], 7*seenHour) // less than node 2 knows
	var all sync.WaitGroup
	for i := range nodes {
		all.Go(func() { mustDo(t, nodes[i].Write(t.Context())) })
	}
	all.Wait()
	check := func(what string) {
		t.Helper()
		for i := range nodes {
			mustDo(t, nodes[i].Read(t.Context()))
			for k, id := range users {
				if got := records[i].Of(id); got != core.Millis(500_000+k)*seenHour || len(records[i].Dirty()) != 0 || records[i].Began() == 0 {
					t.Errorf("%s: node %d has user %d at %d, dirty %v, began %d", what, i, k, got/seenHour, records[i].Dirty(), records[i].Began())
				}
			}
		}
	}
	check("after the first writes")
	mustDo(t, nodes[0].api.RequestUntil(t.Context(), "STREAM.DELETE."+streamOf(LastSeenBucket), nil, nil))
	mustDo(t, nodes[1].Read(t.Context()))
	if len(records[1].Dirty()) != 1 {
		t.Fatalf("a part of a deleted stream is taken for written")
	}
	mustDo(t, nodes[1].Write(t.Context()))
	check("after the stream was deleted")
	var fresh core.LastSeen
	again := NewLastSeen(LastSeenConfig{Conn: on.conn(t, 0), Replicas: replicas(3), Record: &fresh})
	mustDo(t, again.Read(t.Context()))
	if fresh.Of(users[0]) != 500_000*seenHour || fresh.Began() == 0 {
		t.Errorf("after a restart: %d", fresh.Of(users[0])/seenHour)
	}
}

// TestLastSeenPartIsDamaged: a part that cannot be read is written anew.
func TestLastSeenPartIsDamaged(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	users := seenUsers(t, 1)
	var record core.LastSeen
	n := NewLastSeen(LastSeenConfig{Conn: on.conn(t, 0), Replicas: replicas(1), Record: &record})
	record.Mark(users, 9*seenHour)
	part := record.Dirty()[0]
	mustDo(t, n.Write(t.Context()))
	_, err := n.put(t.Context(), LastSeenBucket, message{key: fmt.Sprint(seenKeyPrefix, part), value: []byte("damaged")})
	mustDo(t, err)
	mustDo(t, n.Read(t.Context()))
	record.Mark(users, 10*seenHour)
	mustDo(t, n.Write(t.Context()))
	var fresh core.LastSeen
	again := NewLastSeen(LastSeenConfig{Conn: on.conn(t, 0), Replicas: replicas(1), Record: &fresh})
	mustDo(t, again.Read(t.Context()))
	if fresh.Of(users[0]) != 10*seenHour {
		t.Errorf("%d", fresh.Of(users[0])/seenHour)
	}
}
