package kv

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

const (
	wireInFlight = 1024 // callers that each wait for one answer at a time
	wireRequests = 8192 // of one side in one round
)

// BenchmarkControlReadsOverTheWire answers requests with a user read from the
// store, each proven by a barrier that all who wait share, and beside it answers
// requests with the same bytes and no store. Both take turns in every round.
func BenchmarkControlReadsOverTheWire(b *testing.B) {
	on := onCluster(b)
	s := on.open(b, 0, 3)
	rows := userRows(b, 1000)
	must[int](b)(s.PutRows(b.Context(), rows))
	u := must[core.User](b)(s.User(b.Context(), core.UserID(rows[0].Key)))
	same := must[[]byte](b)(json.Marshal(u))
	server, client := on.conn(b, 0), on.conn(b, 0)
	answer(b, server, "bench.read", func(m *nats.Msg) []byte {
		got, err := s.User(b.Context(), core.UserID(m.Data))
		if err != nil {
			return nil
		}
		body, _ := json.Marshal(got) // a user always encodes
		return body
	})
	answer(b, server, "bench.echo", func(*nats.Msg) []byte { return same })
	mustDo(b, server.Flush()) // the subscriptions are there before anybody asks
	var reads, bare, ratios []float64
	for b.Loop() {
		r, e := wireRate(b, client, "bench.read", rows), wireRate(b, client, "bench.echo", rows)
		reads, bare, ratios = append(reads, r), append(bare, e), append(ratios, r/e)
	}
	b.ReportMetric(0, "ns/op")
	for name, v := range map[string][]float64{"reads/s": reads, "bare/s": bare, "ratio-median": ratios} {
		slices.Sort(v)
		b.ReportMetric(v[len(v)/2], name)
	}
	b.ReportMetric(ratios[0], "ratio-min")
	b.ReportMetric(ratios[len(ratios)-1], "ratio-max")
}

func answer(b *testing.B, nc *nats.Conn, subject string, f func(*nats.Msg) []byte) {
	b.Helper()
	sub, err := nc.Subscribe(subject, func(m *nats.Msg) {
		go func() { _ = m.Respond(f(m)) }() // a lost answer fails the caller
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		b.Fatal(err)
	}
}

func wireRate(b *testing.B, nc *nats.Conn, subject string, rows []core.Row) float64 {
	b.Helper()
	begun := time.Now()
	var all sync.WaitGroup
	for c := range wireInFlight {
		all.Go(func() {
			for i := c; i < wireRequests; i += wireInFlight {
				reply, err := nc.Request(subject, []byte(rows[i%len(rows)].Key), 20*time.Second)
				if err != nil || len(reply.Data) == 0 {
					b.Errorf("%s: %v", subject, err)
					return
				}
			}
		})
	}
	all.Wait()
	return wireRequests / time.Since(begun).Seconds()
}
