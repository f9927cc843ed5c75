package feed_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/tui/feed"
	"unibus/tui/tuitest"
)

func leadersAfter(t *testing.T, f *feed.Feed, c *tuitest.FakeClient, edit func(*admin.Status)) []feed.GroupLeaders {
	t.Helper()
	c.Change(func(s *tuitest.ClusterState) { edit(&s.Status) })
	return f.PollOnce(context.Background()).Leaders
}

// TestLeadersAreKept: the leader at each time, and the times without one.
func TestLeadersAreKept(t *testing.T) {
	t.Parallel()
	c := tuitest.NewFakeClient(tuitest.Healthy())
	f := feed.New(feed.Config{Client: c})
	lead := func(leader string, since core.Millis) []feed.GroupLeaders {
		return leadersAfter(t, f, c, func(st *admin.Status) {
			st.Buckets = append([]cluster.Bucket(nil), st.Buckets...)
			st.Buckets[0].Leader, st.Buckets[0].Since = leader, since
		})
	}
	first := lead("n1", 1000)
	if first[0].Group != feed.MetaGroup || first[0].Terms[0].Leader != "n1" {
		t.Errorf("the first group is %+v", first[0])
	}
	lead("n1", 1200) // by another node's clock
	lead("", 2000)
	got := lead("n3", 2500)[1]
	want := feed.GroupLeaders{Group: "UNIBUS_users", Terms: []feed.Term{{Leader: "n1", From: 1000}, {From: 2000}, {Leader: "n3", From: 2500}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(first[1].Terms) != 1 {
		t.Errorf("an older snapshot has changed: %+v", first[1])
	}
	for i := range 200 {
		got = lead(fmt.Sprint("n", i), core.Millis(3000+i))[1]
	}
	if n := len(got.Terms); n != 32 || got.Terms[n-1].Leader != "n199" {
		t.Errorf("%d terms are kept, the last is %+v", n, got.Terms[n-1])
	}
}
