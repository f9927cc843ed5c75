package kv

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/store/storetest"
)

func userRows(tb testing.TB, n int) []core.Row {
	tb.Helper()
	rows := make([]core.Row, n)
	for i := range n {
		rows[i] = core.UserRow(storetest.NewUser(tb, fmt.Sprint("user ", i)))
	}
	slices.SortFunc(rows, func(a, b core.Row) int { return strings.Compare(a.Key, b.Key) })
	return rows
}

func TestReplicaRowsComeFromTheWantedNode(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onCluster(t)
	s := on.open(t, 0, 3)
	rows := userRows(t, 2500)
	if n := must[int](t)(s.PutRows(ctx, rows)); n != len(rows) {
		t.Fatalf("wrote %d rows, want %d", n, len(rows))
	}
	must[uint64](t)(s.put(ctx, core.TableUsers.Bucket(), message{key: "_barrier.n1", value: []byte("x")}))
	want := must[core.Digest](t)(storetest.DigestRows(rows))
	for _, node := range []string{"n1", "n2", "n3"} {
		var got []core.Row
		for r, err := range s.ReplicaRows(ctx, core.TableUsers, node) {
			mustDo(t, err)
			got = append(got, r)
		}
		same := func(a, b core.Row) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }
		if !slices.EqualFunc(rows, got, same) { // cmp.Diff takes seconds for so many
			t.Errorf("%s gave %d rows, not the %d that were written", node, len(got), len(rows))
		}
		if d := replicaDigest(t, s, core.TableUsers, node); d != want {
			t.Errorf("digest of %s is %+v, want %+v", node, d, want)
		}
		name, err := s.placeConsumer(ctx, scan{bucket: core.TableUsers.Bucket(), filter: ">", node: node})
		mustDo(t, err)
		var info consumerInfo
		mustDo(t, s.api.RequestUntil(ctx, "CONSUMER.INFO.KV_UNIBUS_users."+name, nil, &info))
		if info.Cluster.Leader != node {
			t.Errorf("the consumer lives on %s, wanted %s", info.Cluster.Leader, node)
		}
		if d := replicaDigest(t, s, core.TableRooms, node); d.Count != 0 {
			t.Errorf("an empty table of %s has %d rows", node, d.Count)
		}
	}
	s.timeout = defaultTimeout
	for _, err := range s.ReplicaRows(ctx, core.TableUsers, "n9") {
		wantKind(t, err, core.KindUnavailable)
	}
}

// replicaDigest sums up what one node's replica has.
func replicaDigest(tb testing.TB, s *Store, table core.Table, node string) core.Digest {
	tb.Helper()
	d := core.NewDigester()
	for r, err := range s.ReplicaRows(tb.Context(), table, node) {
		mustDo(tb, err)
		d.Add(r.Key, r.Value)
	}
	return must[core.Digest](tb)(d.Sum())
}

func TestPutRowsWritesOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	rows := userRows(t, 1200)
	if n := must[int](t)(s.PutRows(ctx, rows)); n != 1200 {
		t.Errorf("wrote %d, want all", n)
	}
	changed := slices.Clone(rows[:1100])
	changed[3].Value = []byte(`{"v":1}`)
	slices.Reverse(changed)
	if n := must[int](t)(s.PutRows(ctx, changed)); n != 1 {
		t.Errorf("wrote %d, want 1", n)
	}
	changed[1].Value = []byte(`{"v":1}`)
	if n := must[int](t)(s.PutRows(ctx, changed[:3])); n != 1 {
		t.Errorf("wrote %d of three, want 1", n)
	}
	var rest []string
	for _, r := range rows[1100:] {
		rest = append(rest, r.Key)
	}
	if n := must[int](t)(s.DeleteKeys(ctx, core.TableUsers, rest)); n != 100 {
		t.Errorf("deleted %d, want 100", n)
	}
	if n := must[int](t)(s.DeleteKeys(ctx, core.TableUsers, append(rest[:2:2], rows[0].Key))); n != 1 {
		t.Errorf("deleted %d of two gone keys and one present, want 1", n)
	}
	var left int
	for _, err := range s.Keys(ctx, core.TableUsers) {
		mustDo(t, err)
		left++
	}
	if left != 1099 {
		t.Errorf("%d rows are left, want 1099", left)
	}
	// A deleted key is free again.
	u := must[core.User](t)(core.DecodeUser(rows[1100]))
	mustDo(t, s.AddUser(ctx, u))
	wantKind(t, s.AddUser(ctx, u), core.KindExists)
}

func TestRowsThatAreNotRowsAreRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	good := userRows(t, 1)[0]
	for _, bad := range []core.Row{
		{Table: core.TableUsers, Key: "_authority", Value: []byte("x")},
		{Table: core.TableUsers, Key: "a b", Value: []byte("x")},
		{Table: core.TableUsers, Key: "a..b", Value: []byte("x")},
		{Table: core.TableUsers, Key: ">", Value: []byte("x")},
		{Table: core.TableUsers, Key: "", Value: []byte("x")},
		{Table: core.TableRooms, Key: "a", Value: []byte("x")},
	} {
		_, err := s.PutRows(ctx, []core.Row{good, bad})
		wantKind(t, err, core.KindInvalid)
		_, err = s.DeleteKeys(ctx, core.TableUsers, []string{bad.Key})
		if bad.Table == core.TableUsers {
			wantKind(t, err, core.KindInvalid)
		}
	}
	if users := must[[]core.User](t)(s.Users(ctx)); len(users) != 0 {
		t.Errorf("a refused write left %d users", len(users))
	}
}

// A list that is read while others write has every key that was there before.
func TestListsUnderWriters(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	s, writer := on.open(t, 0, 3), on.open(t, 1, 3)
	rows := userRows(t, 300)
	must[int](t)(s.PutRows(t.Context(), rows))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			r := rows[i%len(rows)]
			_, _ = writer.put(ctx, core.TableUsers.Bucket(), message{key: r.Key, value: r.Value})
		}
	}()
	for range 20 {
		if users := must[[]core.User](t)(s.Users(t.Context())); len(users) != len(rows) {
			t.Errorf("read %d users while others wrote, want %d", len(users), len(rows))
		}
	}
	stop()
	<-done
}

// A bucket with next to nothing in it is read without a consumer, one with more with it; both give the same rows.
func TestFewRowsAreReadOneByOne(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onCluster(t).open(t, 0, 3)
	if rows, few, err := s.fewRows(ctx, core.TableUsers); len(rows) > 0 || !few || err != nil {
		t.Fatalf("of an empty table: %v, %v, %v", rows, few, err)
	}
	all := userRows(t, fewKeys)
	rows := all[:10]
	backwards := slices.Clone(rows)
	slices.Reverse(backwards)
	must[int](t)(s.WriteRows(ctx, backwards))
	must[int](t)(s.DeleteKeys(ctx, core.TableUsers, []string{rows[3].Key}))
	got, few, err := s.fewRows(ctx, core.TableUsers)
	if diff := cmp.Diff(slices.Delete(slices.Clone(rows), 3, 4), got); diff != "" || !few || err != nil {
		t.Errorf("%v, %v (-want +got)\n%s", few, err, diff)
	}
	var listed []core.Row
	for r, err := range s.Keys(ctx, core.TableUsers) {
		mustDo(t, err)
		if listed = append(listed, r); len(listed) == 2 {
			break
		}
	}
	if diff := cmp.Diff(got[:2], listed); diff != "" {
		t.Errorf("the first two keys (-want +got)\n%s", diff)
	}
	must[int](t)(s.WriteRows(ctx, all))
	if got, few, err := s.fewRows(ctx, core.TableUsers); len(got) > 0 || few || err != nil {
		t.Errorf("of many: %d rows, %v, %v", len(got), few, err)
	}
	n := 0
	for _, err := range s.Keys(ctx, core.TableUsers) {
		mustDo(t, err)
		n++
	}
	if n != len(all) {
		t.Errorf("%d keys, want %d", n, len(all))
	}
}

func TestKeysOfABucketThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := New(Config{Conn: onCluster(t).conn(t, 0), Replicas: 1})
	calls := 0
	for r, err := range s.Keys(t.Context(), core.TableUsers) {
		wantKind(t, err, core.KindUnavailable)
		if calls++; calls > 1 || r.Key != "" {
			t.Errorf("after the error came %+v", r)
		}
	}
	if calls != 1 {
		t.Errorf("%d answers, want an error alone", calls)
	}
}
