package kv

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
)

func TestReplicaSinceReadsOnlyTheNewPart(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onCluster(t).open(t, 0, 3)
	rows := userRows(t, 300)
	must[int](t)(s.PutRows(ctx, rows))
	must[int](t)(s.DeleteKeys(ctx, core.TableUsers, []string{rows[250].Key}))
	for _, node := range []string{"n1", "n2", "n3"} { // equal replicas cannot tell whose was read
		name, _, err := s.placeReader(ctx, scan{bucket: core.TableUsers.Bucket(), filter: ">", node: node}, map[string]any{"deliver_policy": "all"})
		mustDo(t, err)
		var info consumerInfo
		mustDo(t, s.api.RequestUntil(ctx, "CONSUMER.INFO.KV_UNIBUS_users."+name, nil, &info))
		if info.Cluster.Leader != node {
			t.Errorf("the reader lives on %s, wanted %s", info.Cluster.Leader, node)
		}
	}
	seq, kept, err := s.LastSequence(ctx, core.TableUsers)
	mustDo(t, err)
	if kept < 300 || kept > 302 { // the guard, and perhaps this store's own write key
		t.Fatalf("%d keys are kept, want the 300 and the internal ones", kept)
	}
	guards := kept - 300
	look := func(node string) string {
		got, internal, older, err := s.ReplicaChanges(ctx, core.TableUsers, node, seq)
		mustDo(t, err)
		text := fmt.Sprintf("internal %d more, older %d less;", internal-guards, 300-older)
		for _, r := range got {
			text += fmt.Sprintf(" %s=%q", r.Key, r.Value)
			if r.Value == nil {
				text += " (removed)"
			}
		}
		return text
	}
	nodes := []string{"n1", "n2", "n3", ""}
	for _, node := range nodes {
		if got, want := look(node), "internal 0 more, older 0 less;"; got != want {
			t.Errorf("on %q at rest: %s, want %s", node, got, want)
		}
	}
	changed, fresh := rows[7], core.Row{Table: core.TableUsers, Key: "UNEW", Value: []byte("new")}
	changed.Value = []byte("changed")
	must[int](t)(s.WriteRows(ctx, []core.Row{changed, fresh}))
	must[int](t)(s.DeleteKeys(ctx, core.TableUsers, []string{rows[9].Key}))
	must[uint64](t)(s.put(ctx, core.TableUsers.Bucket(), message{key: "_barrier.n9", value: []byte("x")}))
	want := fmt.Sprintf(`internal 1 more, older 2 less; %s="changed" UNEW="new" %s="" (removed)`, changed.Key, rows[9].Key)
	for _, node := range nodes {
		if got := look(node); got != want {
			t.Errorf("on %q: %s, want %s", node, got, want)
		}
	}
}

func TestReplicaSinceOfATableMadeAnew(t *testing.T) {
	t.Parallel()
	s := onSingle(t).open(t, 0, 1)
	must[int](t)(s.PutRows(t.Context(), userRows(t, 5)))
	_, _, _, err := s.ReplicaChanges(t.Context(), core.TableUsers, "", 900)
	wantKind(t, err, core.KindConflict)
	s.timeout = defaultTimeout
	_, _, _, err = s.ReplicaChanges(t.Context(), core.TableUsers, "n9", 1)
	wantKind(t, err, core.KindUnavailable)
}

// A post tells at every question what came since, as a fresh reader would.
func TestPostTellsWhatCameSince(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onCluster(t).open(t, 0, 3)
	rows := userRows(t, 20)
	must[int](t)(s.PutRows(ctx, rows[:10]))
	after, _, err := s.LastSequence(ctx, core.TableUsers)
	mustDo(t, err)
	must[int](t)(s.PutRows(ctx, rows[10:11]))
	for i, node := range []string{"n1", "n2", "n3"} {
		p := must[*ReplicaReader](t)(s.OpenReplicaReader(ctx, core.TableUsers, node, after))
		defer p.Close()
		same := func(least int) {
			t.Helper()
			got, internal, _, err := p.Changes(ctx)
			mustDo(t, err)
			want, wantInternal, _, err := s.ReplicaChanges(ctx, core.TableUsers, node, after)
			mustDo(t, err)
			if diff := cmp.Diff(byKey(want), byKey(got)); diff != "" || len(got) < least || internal != wantInternal {
				t.Errorf("%s: %d internal keys, not %d (-fresh +reader):\n%s", node, internal, wantInternal, diff)
			}
		}
		same(1)
		same(1) // nothing came
		changed := rows[i]
		changed.Value = []byte("changed")
		must[int](t)(s.WriteRows(ctx, []core.Row{changed, rows[11+i]}))
		must[int](t)(s.DeleteKeys(ctx, core.TableUsers, []string{rows[5+i].Key}))
		same(4)
	}
	_, err = s.OpenReplicaReader(ctx, core.TableUsers, "n1", after+1000)
	wantKind(t, err, core.KindConflict)
}

// Internal writes between two reads change neither count, and every
// kind of its keys is known to be none of a row.
func TestPostsCountRowsAlone(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onCluster(t).open(t, 0, 3)
	bucket := core.TableUsers.Bucket()
	own := []string{keyAdmins, barrierKey("n1"), writeKey("n1"), watchKey("n1")}
	for _, key := range own {
		must[uint64](t)(s.put(ctx, bucket, message{key: key, value: []byte("1")}))
	}
	rows := userRows(t, 12)
	must[int](t)(s.PutRows(ctx, rows[:10]))
	after, kept, err := s.LastSequence(ctx, core.TableUsers)
	mustDo(t, err)
	must[int](t)(s.PutRows(ctx, rows[10:]))
	for i, node := range []string{"n1", "n2", "n3"} {
		if i > 0 { // after the one and before the other
			for _, key := range append(own, writeKey("late"+node)) {
				must[uint64](t)(s.put(ctx, bucket, message{key: key, value: []byte(node)}))
			}
		}
		p := must[*ReplicaReader](t)(s.OpenReplicaReader(ctx, core.TableUsers, node, after))
		defer p.Close()
		news, internal, older, err := p.Changes(ctx)
		mustDo(t, err)
		if len(news) != 2 || older != 10 || internal != kept-10+i {
			t.Errorf("%s: %d new rows, %d older and %d internal keys; want 2, 10 and %d", node, len(news), older, internal, kept-10+i)
		}
	}
}

func byKey(rows []core.Row) map[string]string {
	out := map[string]string{}
	for _, r := range rows {
		out[r.Key] = fmt.Sprintf("%q %v", r.Value, r.Value == nil)
	}
	return out
}
