package kv

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
)

// A replica that has not yet got everything the leader had is waited for.
func TestScanWaitsForItsLastSequence(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	rows := userRows(t, 2)
	must[int](t)(s.PutRows(ctx, rows[:1]))
	sc := scan{bucket: core.TableUsers.Bucket(), filter: ">"}
	e, _, err := s.newest(ctx, sc)
	mustDo(t, err)
	var seen int
	mustDo(t, s.runTo(ctx, sc, e.rev+1, func(e entry) error {
		if e.key[0] == '_' {
			return nil
		}
		if seen++; seen > 1 {
			return nil
		}
		_, err := s.PutRows(ctx, rows[1:])
		return err
	}))
	if seen != 2 {
		t.Errorf("the scan ended after %d rows, before its last sequence", seen)
	}
	s.timeout = defaultTimeout / 10
	wantKind(t, s.runTo(ctx, sc, e.rev+9, func(entry) error { return nil }), core.KindUnavailable)
}

// Records that are written while the last message is on its way belong to a scan that
// is to end at one revision: the leader has come further then.
func TestScanEndsWhereTheLeaderStandsStill(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	rows := userRows(t, 5)
	must[int](t)(s.PutRows(ctx, rows[:1]))
	var seen []string
	must[leaderPosition](t)(s.readReplica(ctx, core.TableUsers, true, func(e entry) error {
		if e.key[0] == '_' {
			return nil
		}
		seen = append(seen, e.key)
		if len(seen) == len(rows) {
			return nil
		}
		_, err := s.PutRows(ctx, rows[len(seen):][:1])
		return err
	}))
	if len(seen) != len(rows) {
		t.Errorf("%d rows were seen, want all %d", len(seen), len(rows))
	}
	s.timeout = defaultTimeout / 10
	end := scanEnd{client: &s.bucketClient, s: scan{bucket: core.TableUsers.Bucket(), node: "n9", exact: true}}
	_, err := end.reached(ctx, 1)
	wantKind(t, err, core.KindUnavailable) // another leader than the one that was read
}

// The scan pulls more than two requests hold, and more than their bytes.
func TestScanOfLargeValues(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	var rows []core.Row
	for i := range 40 {
		rows = append(rows, core.Row{Table: core.TableUsers, Key: fmt.Sprintf("U%02d", i), Value: make([]byte, 500_000)})
	}
	must[int](t)(s.WriteRows(ctx, rows))
	count := 0
	for r, err := range s.Keys(ctx, core.TableUsers) {
		mustDo(t, err)
		if count++; len(r.Value) != 500_000 {
			t.Errorf("%s has %d bytes", r.Key, len(r.Value))
		}
	}
	if count != len(rows) {
		t.Errorf("%d rows came, want %d", count, len(rows))
	}
}

func TestPlaceOfAMessage(t *testing.T) {
	t.Parallel()
	want := delivery{rev: 22, count: 3, pending: 7}
	for _, reply := range []string{"$JS.ACK.KV_b.scan_1.1.22.3.1700.7", "$JS.ACK.hub.hash.KV_b.scan_1.1.22.3.1700.7", "$JS.ACK.hub.hash.KV_b.scan_1.1.22.3.1700.7.more"} {
		if got, ok := parseDelivery(reply); !ok || got != want {
			t.Errorf("%s: %+v, %v", reply, got, ok)
		}
	}
	for _, reply := range []string{"", "_INBOX.x.1.2.3.4.5.6.7", "$JS.ACK.s.c.1.22.3.1700", "$JS.ACK.s.c.1.x.3.1700.7", "$JS.ACK.s.c.1.22.3.1700.-7", "$JS.ACK.x.s.c.1.22.3.1700.7"} {
		if got, ok := parseDelivery(reply); ok {
			t.Errorf("%q was read as %+v", reply, got)
		}
	}
}

// A gap in what the consumer counts is a message that was lost: its key would be missing from a table.
func TestScanNoticesALostMessage(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	must[int](t)(s.PutRows(ctx, userRows(t, 3)))
	q := scan{bucket: core.TableUsers.Bucket(), filter: ">"}
	name := must[string](t)(s.placeConsumer(ctx, q))
	next := jsapi.Prefix + "CONSUMER.MSG.NEXT." + streamOf(q.bucket) + "." + name
	must[*nats.Msg](t)(s.api.Conn.Request(next, nil, 5*time.Second)) // somebody else takes the first
	wantKind(t, s.pull(ctx, q, name, 0, s.timeout, func(entry) error { return nil }), core.KindUnavailable)
}
