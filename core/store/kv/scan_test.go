package kv

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/store/storetest"
)

// A whole table that has not changed is not read again, and one that has is.
func TestWholeTablesAreRemembered(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onCluster(t)
	s, other := on.open(t, 0, 3), on.open(t, 1, 3)
	u := storetest.NewUser(t, "ann")
	mustDo(t, s.AddUser(ctx, u))
	scans := func() (n uint64) {
		for _, node := range on.nodes {
			a, err := node.LookupAccount(accountName(on))
			mustDo(t, err)
			n += a.JetStreamUsage().API.Total
		}
		return n
	}
	first := must[[]core.User](t)(s.Users(ctx))
	before := scans()
	second := must[[]core.User](t)(s.Users(ctx))
	if spent := scans() - before; spent > 1 {
		t.Errorf("an unchanged table cost %d requests, want one", spent)
	}
	*first[0].Name = "changed by the caller"
	if len(second) != 1 || *second[0].Name != "ann" {
		t.Errorf("the remembered table came back as %+v", second)
	}
	must[core.User](t)(other.SetUserStatus(ctx, u.ID, core.UserRevoked, 1))
	if now := must[[]core.User](t)(s.Users(ctx)); now[0].Status != core.UserRevoked {
		t.Error("a change at another node was not seen")
	}
	must[int](t)(other.DeleteKeys(ctx, core.TableUsers, []string{string(u.ID)}))
	if now := must[[]core.User](t)(s.Users(ctx)); len(now) != 0 {
		t.Error("a deletion at another node was not seen")
	}

	// A bucket that was made anew looks the same by its revs.
	one := core.UserRow(storetest.NewUser(t, "one"))
	must[int](t)(s.PutRows(ctx, []core.Row{one}))
	must[[]core.User](t)(s.Users(ctx))
	e, _, err := s.last(ctx, core.TableUsers.Bucket(), ">")
	mustDo(t, err)
	js := must[jetstream.JetStream](t)(jetstream.New(on.conn(t, 0)))
	mustDo(t, js.DeleteStream(ctx, streamOf(core.TableUsers.Bucket())))
	mustDo(t, other.Open(ctx))
	two := core.UserRow(storetest.NewUser(t, "two"))
	for rev := uint64(0); rev < e.rev; {
		rev = must[uint64](t)(other.put(ctx, core.TableUsers.Bucket(), message{key: two.Key, value: two.Value}))
	}
	if now := must[[]core.User](t)(s.Users(ctx)); len(now) != 1 || string(now[0].ID) != two.Key {
		t.Errorf("the old bucket's users came back: %+v", now)
	}
}

// A replica that has not yet got everything the leader had is waited for.
func TestScanWaitsForTheFence(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	rows := userRows(t, 2)
	must[int](t)(s.PutRows(ctx, rows[:1]))
	sc := scan{bucket: core.TableUsers.Bucket(), filter: ">"}
	e, _, err := s.newest(ctx, sc)
	mustDo(t, err)
	var seen int
	mustDo(t, s.runTo(ctx, sc, e.rev+1, func(entry) error {
		if seen++; seen > 1 {
			return nil
		}
		_, err := s.PutRows(ctx, rows[1:])
		return err
	}))
	if seen != 2 {
		t.Errorf("the scan ended after %d rows, before the fence", seen)
	}
	s.timeout = defaultTimeout / 10
	wantKind(t, s.runTo(ctx, sc, e.rev+9, func(entry) error { return nil }), core.KindUnavailable)
}
