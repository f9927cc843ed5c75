package kv

import (
	"fmt"
	"testing"

	"unibus/core"
)

func TestReplicaDigestIsThatOfTheRows(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	s := New(Config{Conn: on.conn(t, 0), Replicas: 3})
	mustDo(t, s.Open(t.Context()))
	t.Cleanup(func() { mustDo(t, s.Close()) })
	mustDo(t, s.Shut(t.Context(), 2))
	row := func(n int) core.Row {
		return core.Row{Table: core.TableRoomKeys, Key: fmt.Sprintf("room.0.0.%03d", n), Value: fmt.Appendf(nil, "value %d", n)}
	}
	same := func(what string, want int) {
		t.Helper()
		for _, node := range []string{"n1", "n2", "n3"} {
			rows := core.NewDigester()
			for r, err := range s.ReplicaRows(t.Context(), core.TableRoomKeys, node) {
				mustDo(t, err)
				rows.Add(r.Key, r.Value)
			}
			sum := must[core.Digest](t)(rows.Sum())
			got := must[core.Digest](t)(s.ReplicaDigest(t.Context(), core.TableRoomKeys, node))
			if got != sum || got.Count != want {
				t.Errorf("%s: %s has %+v, its rows are %+v, want %d", what, node, got, sum, want)
			}
		}
	}
	same("without rows", 0)
	var rows []core.Row
	for n := range 50 {
		rows = append(rows, row(n+10))
	}
	must[int](t)(s.WriteRows(t.Context(), rows))
	same("as a copy writes them", 50)
	must[int](t)(s.DeleteKeys(t.Context(), core.TableRoomKeys, []string{row(30).Key}))
	same("with one removed", 49)
	must[int](t)(s.WriteRows(t.Context(), []core.Row{row(5), row(30)}))
	same("with one before them, and one that came back", 51)
}

func TestRisingSeesDisorder(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]string{{"b", "a"}, {"a", "a"}, {"a", "c", "b"}} {
		sum, err := newOrderedDigest(), error(nil)
		for _, k := range keys {
			if err == nil {
				err = sum.add(entry{key: k})
			}
		}
		if err == nil {
			t.Errorf("%v passes as ordered", keys)
		}
	}
	sum := newOrderedDigest()
	mustDo(t, sum.add(entry{key: "b"}))
	if sum.add(entry{key: "b", deleted: true}) == nil {
		t.Error("a row that was taken back is summed up")
	}
	mustDo(t, newOrderedDigest().add(entry{key: "_barrier.n1"}))
}
