package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
	"unibus/core/store/storetest"
)

const (
	benchUsers   = 4000
	benchRooms   = 400
	benchMembers = 10 // of each room; and as many boxes
	benchPuts    = 400
	benchBatch   = 512 << 10 // bytes in one batch, as a move has them
)

// benchRows are the five tables of a control plane in key order, 17,200 rows.
func benchRows(b *testing.B) map[core.Table][]core.Row {
	b.Helper()
	var snap core.Snapshot
	for i := range benchUsers {
		snap.Users = append(snap.Users, storetest.NewUser(b, fmt.Sprint("user ", i)))
	}
	for i := range benchRooms {
		room := storetest.NewRoom(core.RoomID(fmt.Sprint("room", i)), snap.Users[i].ID)
		snap.Rooms = append(snap.Rooms, room)
		for m := range benchMembers {
			u := snap.Users[(i*benchMembers+m)%benchUsers].ID
			snap.Members = append(snap.Members, storetest.NewMember(room.ID, u))
			k := storetest.NewKey(room.ID, 0, u)
			k.Rec = core.LegacyRec
			snap.Keys = append(snap.Keys, k)
		}
	}
	rows := map[core.Table][]core.Row{}
	for _, t := range core.Tables() {
		rows[t] = snap.Rows(t)
	}
	return rows
}

func countRows(tables map[core.Table][]core.Row) (n int) {
	for _, rows := range tables {
		n += len(rows)
	}
	return n
}

// fresh opens a store of empty buckets with three replicas, shut for a copier.
func fresh(b *testing.B) (tenant, *Store) {
	b.Helper()
	on := onCluster(b)
	s := New(Config{Conn: on.conn(b, 0), Replicas: 3, Timeout: 20 * time.Second, Budget: 30 * time.Second})
	mustDo(b, s.Open(b.Context()))
	mustDo(b, s.Shut(b.Context(), 2))
	return on, s
}

func discardBuckets(b *testing.B, s *Store) {
	b.Helper()
	mustDo(b, s.Close())
	for _, t := range core.Tables() {
		_, err := s.api.Conn.Request(jsapi.Prefix+"STREAM.DELETE."+streamOf(t.Bucket()), nil, 20*time.Second)
		mustDo(b, err)
	}
	s.api.Conn.Close()
}

// copyAll is what a move's copy does with a table: read what is there, write in batches.
func copyAll(ctx context.Context, s *Store, tables map[core.Table][]core.Row) error {
	for _, t := range core.Tables() {
		for r, err := range s.Keys(ctx, t) {
			if err != nil {
				return err
			}
			return fmt.Errorf("%s is there already", r.Key)
		}
		for rows := tables[t]; len(rows) > 0; {
			n := benchPortion(rows)
			if _, err := s.WriteRows(ctx, rows[:n]); err != nil {
				return err
			}
			rows = rows[n:]
		}
	}
	return nil
}

func benchPortion(rows []core.Row) int {
	size := 0
	for i, r := range rows {
		if size += len(r.Key) + len(r.Value); i == batchMessages || i > 0 && size > benchBatch {
			return i
		}
	}
	return len(rows)
}

// bareBatches writes the same rows with the client library and nothing else:
// atomic batches whose first message carries the guard.
func bareBatches(nc *nats.Conn, guards map[core.Table]uint64, tables map[core.Table][]core.Row) error {
	for _, t := range core.Tables() {
		prefix := "$KV." + t.Bucket() + "."
		for rows, batch := tables[t], 0; len(rows) > 0; batch++ {
			n := benchPortion(rows)
			id := fmt.Sprint("bare", batch)
			for i, r := range rows[:n] {
				m := nats.NewMsg(prefix + r.Key)
				m.Data = r.Value
				m.Header.Set("Nats-Batch-Id", id)
				m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
				if i == 0 {
					m.Header.Set("Nats-Expected-Last-Subject-Sequence", strconv.FormatUint(guards[t], 10))
					m.Header.Set("Nats-Expected-Last-Subject-Sequence-Subject", prefix+"_authority")
				}
				if i < n-1 {
					if err := nc.PublishMsg(m); err != nil {
						return err
					}
					continue
				}
				m.Header.Set("Nats-Batch-Commit", "1")
				reply, err := nc.RequestMsg(m, 20*time.Second)
				if err != nil {
					return err
				}
				var ack struct {
					Error any `json:"error"`
					Count int `json:"count"`
				}
				if err := json.Unmarshal(reply.Data, &ack); err != nil || ack.Error != nil || ack.Count != n {
					return fmt.Errorf("batch of %d rows: %s", n, reply.Data)
				}
			}
			rows = rows[n:]
		}
	}
	return nil
}

// bareSide measures the ceiling on empty buckets of its own.
func bareSide(b *testing.B, tables map[core.Table][]core.Row) float64 {
	b.Helper()
	on, s := fresh(b)
	defer discardBuckets(b, s)
	guards, nc := *s.shutRevisions.Load(), on.conn(b, 0)
	mustDo(b, s.Close()) // nobody watches what the ceiling writes
	return rate(b, countRows(tables), func() error { return bareBatches(nc, guards, tables) })
}

func rate(b *testing.B, n int, do func() error) float64 {
	b.Helper()
	begun := time.Now()
	mustDo(b, do())
	return float64(n) / time.Since(begun).Seconds()
}

// BenchmarkCopyAgainstBareBatches copies five tables as a move does, and beside
// it writes the same rows in bare guarded batches, and some of them one by one.
// The sides take turns, in both orders, each on empty buckets with three replicas.
func BenchmarkCopyAgainstBareBatches(b *testing.B) {
	tables := benchRows(b)
	var copies, bares, puts, ratios, overPut []float64
	copySide := func() (copied, put float64) {
		_, s := fresh(b)
		defer discardBuckets(b, s)
		copied = rate(b, countRows(tables), func() error { return copyAll(b.Context(), s, tables) })
		put = rate(b, benchPuts, func() error {
			for _, r := range tables[core.TableUsers][:benchPuts] {
				if _, err := s.WriteRows(b.Context(), []core.Row{r}); err != nil {
					return err
				}
			}
			return nil
		})
		return copied, put
	}
	for round := 0; b.Loop(); round++ {
		var c, p, bare float64
		if round%2 == 0 {
			c, p = copySide()
			bare = bareSide(b, tables)
		} else {
			bare = bareSide(b, tables)
			c, p = copySide()
		}
		copies, bares, puts = append(copies, c), append(bares, bare), append(puts, p)
		ratios, overPut = append(ratios, c/bare), append(overPut, c/p)
	}
	b.ReportMetric(0, "ns/op")
	report(b, "ratio", ratios)
	report(b, "times-put", overPut)
	for name, v := range map[string][]float64{"rows/s": copies, "bare/s": bares, "put/s": puts} {
		slices.Sort(v)
		b.ReportMetric(v[len(v)/2], name)
	}
}

func report(b *testing.B, name string, v []float64) {
	b.Helper()
	slices.Sort(v)
	b.ReportMetric(v[0], name+"-min")
	b.ReportMetric(v[len(v)/2], name+"-median")
	b.ReportMetric(v[len(v)-1], name+"-max")
}

// BenchmarkVerify copies, and then reads and sums up every replica of every
// table as a verify does, the three nodes at once: rows of one replica a second against rows copied a second.
func BenchmarkVerify(b *testing.B) {
	tables := benchRows(b)
	var copies, verifies, ratios []float64
	for b.Loop() {
		_, s := fresh(b)
		c := rate(b, countRows(tables), func() error { return copyAll(b.Context(), s, tables) })
		v := rate(b, countRows(tables), func() error { return verifyAll(b.Context(), s, tables) })
		copies, verifies, ratios = append(copies, c), append(verifies, v), append(ratios, v/c)
		discardBuckets(b, s)
	}
	b.ReportMetric(0, "ns/op")
	report(b, "ratio", ratios)
	for name, v := range map[string][]float64{"copied/s": copies, "verified/s": verifies} {
		slices.Sort(v)
		b.ReportMetric(v[len(v)/2], name)
	}
}

func verifyAll(ctx context.Context, s *Store, tables map[core.Table][]core.Row) error {
	for _, t := range core.Tables() {
		want, err := storetest.DigestRows(tables[t])
		if err != nil {
			return err
		}
		nodes := []string{"n1", "n2", "n3"}
		errs := make([]error, len(nodes))
		var all sync.WaitGroup
		for i, node := range nodes {
			all.Go(func() { errs[i] = sameDigest(ctx, s, t, node, want) })
		}
		all.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func sameDigest(ctx context.Context, s *Store, t core.Table, node string, want core.Digest) error {
	d := core.NewDigester()
	for r, err := range s.ReplicaRows(ctx, t, node) {
		if err != nil {
			return err
		}
		d.Add(r.Key, r.Value)
	}
	got, err := d.Sum()
	if err == nil && got != want {
		err = fmt.Errorf("%s on %s: %+v, want %+v", t, node, got, want)
	}
	return err
}

// BenchmarkScan reads 200,000 rows of one replica that is not this node's.
func BenchmarkScan(b *testing.B) {
	_, s := fresh(b)
	defer discardBuckets(b, s)
	const n = 200_000
	value := []byte(`{"v":1,"name":"somebody or other","role":"member","status":"active","kem_key":"YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=","created":1,"updated":1}`)
	for i := 0; i < n; i += batchMessages {
		rows := make([]core.Row, batchMessages)
		for j := range rows {
			rows[j] = core.Row{Table: core.TableUsers, Key: fmt.Sprintf("U%055d", (i+j)*7919%n), Value: value}
		}
		must[int](b)(s.WriteRows(b.Context(), rows))
	}
	b.ResetTimer()
	begun := cpuTime(b)
	for b.Loop() {
		count := 0
		for _, err := range s.ReplicaRows(b.Context(), core.TableUsers, "n2") {
			mustDo(b, err)
			count++
		}
		if count != n {
			b.Fatalf("%d rows", count)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(cpuTime(b)-begun)/1e3/float64(n)/float64(b.N), "cpu-µs/row")
}

// cpuTime is what this process has used, the three servers in it included: a figure that other programs do not spoil.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	mustDo(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
