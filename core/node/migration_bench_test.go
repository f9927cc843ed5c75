package node_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
	"unibus/core/nodetest"
	"unibus/core/store/kv"
	"unibus/core/store/sqlite"
)

// copyRows is how many rows BenchmarkMove migrates.
var copyRows = flag.Int("copy-rows", 50_000, "rows that BenchmarkMove moves")

const (
	bareMessages = 1000 // in one batch, and their bytes: as a move has them
	bareBytes    = 512 << 10
)

// BenchmarkMove has three nodes migrate a file as an operator would. Beside it, it writes the
// same rows to the same buckets in plain guarded batches, on three such nodes that do nothing
// else. The sides take turns, in both orders. copy is the whole state: buckets made and
// raised, rows read, written and recorded. verify is every node's replica of every table,
// read, digested and compared.
func BenchmarkMove(b *testing.B) {
	path := filepath.Join(b.TempDir(), "seed.db")
	nodetest.Seed(b, path, nodetest.SampleRows(b, *copyRows))
	tables, n := rowsOf(b, path)
	var copies, bares, verifies, ratios, verified []float64
	for round := 0; b.Loop(); round++ {
		var bare, copied, compared float64
		if round%2 == 0 {
			bare = float64(n) / bareMove(b, path, tables).Seconds()
		}
		c, v := realMove(b, path)
		copied, compared = float64(n)/c.Seconds(), float64(n)/v.Seconds()
		if round%2 == 1 {
			bare = float64(n) / bareMove(b, path, tables).Seconds()
		}
		fmt.Fprintf(os.Stderr, "bare %.0f/s, copy %.0f/s, verify %.0f/s\n", bare, copied, compared)
		bares, copies, verifies = append(bares, bare), append(copies, copied), append(verifies, compared)
		ratios, verified = append(ratios, copied/bare), append(verified, compared/copied)
	}
	b.ReportMetric(0, "ns/op")
	for name, v := range map[string][]float64{"copy/bare": ratios, "verify/copy": verified} {
		slices.Sort(v)
		b.ReportMetric(v[0], name+"-min")
		b.ReportMetric(v[len(v)-1], name+"-max")
	}
	for name, v := range map[string][]float64{"copy/bare": ratios, "verify/copy": verified, "bare/s": bares, "copy/s": copies, "verify/s": verifies} {
		slices.Sort(v)
		b.ReportMetric(v[len(v)/2], name)
	}
}

// rowsOf returns a file's rows, table by table in key order.
func rowsOf(b *testing.B, path string) (map[core.Table][]core.Row, int) {
	b.Helper()
	db := sqlite.New(sqlite.Config{Path: path, ReadOnly: true})
	if err := db.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	tables, n := map[core.Table][]core.Row{}, 0
	for _, t := range core.Tables() {
		for r, err := range db.Rows(b.Context(), t) {
			if err != nil {
				b.Fatal(err)
			}
			tables[t], n = append(tables[t], r), n+1
		}
	}
	return tables, n
}

// inRound is a testing.TB whose cleanups run at the end of one round.
type inRound struct {
	testing.TB
	cleanups []func()
}

func (r *inRound) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *inRound) TempDir() string {
	dir, err := os.MkdirTemp("", "unibus-bench-")
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (r *inRound) end() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

// realMove is how long the copy and the verification of a migration took.
func realMove(b *testing.B, path string) (copied, compared time.Duration) {
	b.Helper()
	round := &inRound{TB: b}
	defer round.end()
	c := nodetest.Start(round, nodetest.Config{SeedDB: path})
	c.WaitServing(core.BackendSQLite, 0)
	cl := c.Client(0, c.Admin)
	o := migrate.Options{DB: c.Configs[0].DB, Replicas: 3}
	nodetest.Wait(b, time.Minute, func() error {
		_, err := cl.MigrateStart(b.Context(), "n1", o)
		return err
	})
	st := watchMove(b, cl)
	at := map[migrate.State]time.Time{}
	for _, h := range st.History {
		at[h.State] = h.At.Time()
	}
	return at[migrate.StateVerify].Sub(at[migrate.StateCopy]), st.ComparedAt.Time().Sub(at[migrate.StateVerify])
}

// watchMove waits for a verified migration. It asks four times a second, as a console does.
// The times are those of the migration's own history.
func watchMove(b *testing.B, cl *admin.Client) migrate.Status {
	b.Helper()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); <-tick.C {
		st, err := cl.Migration(b.Context())
		switch {
		case err == nil && st.Error != nil:
			b.Fatal(st.Error)
		case err == nil && st.ComparedAt != 0 && !st.Running:
			return st
		}
	}
	b.Fatal("the move was not verified within ten minutes")
	return migrate.Status{}
}

// bareMove is how long the same rows take in guarded batches and nothing else.
func bareMove(b *testing.B, path string, tables map[core.Table][]core.Row) time.Duration {
	b.Helper()
	round := &inRound{TB: b}
	defer round.end()
	c := nodetest.Start(round, nodetest.Config{SeedDB: path})
	c.WaitServing(core.BackendSQLite, 0)
	nc := c.Nodes[0].StoreConn()
	s := kv.New(kv.Config{Conn: nc, Replicas: 3, Nodes: 3})
	for _, step := range []func(context.Context) error{
		s.Open,
		func(ctx context.Context) error { return s.Scale(ctx, 3) },
		func(ctx context.Context) error { return s.Shut(ctx, 2) },
	} {
		if err := step(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil { // no store has to follow these rows
		b.Fatal(err)
	}
	begun := time.Now()
	for _, t := range core.Tables() {
		if err := bareTable(nc, t, tables[t]); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(begun)
}

// bareTable writes a table with the client library alone.
func bareTable(nc *nats.Conn, t core.Table, rows []core.Row) error {
	prefix := "$KV." + t.Bucket() + "."
	guard, err := nc.Request("$JS.API.STREAM.MSG.GET.KV_"+t.Bucket(), fmt.Appendf(nil, `{"last_by_subj":%q}`, prefix+"_authority"), 5*time.Second)
	if err != nil {
		return err
	}
	var have struct{ Message struct{ Seq uint64 } }
	if err := json.Unmarshal(guard.Data, &have); err != nil || have.Message.Seq == 0 {
		return fmt.Errorf("no guard in %s: %s", t, guard.Data)
	}
	for batch := 0; len(rows) > 0; batch++ {
		n := 0
		for size := 0; n < len(rows) && n < bareMessages && size <= bareBytes; n++ {
			size += len(rows[n].Key) + len(rows[n].Value)
		}
		if err := bareBatch(nc, prefix, fmt.Sprintf("bare%d", batch), have.Message.Seq, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func bareBatch(nc *nats.Conn, prefix, id string, guard uint64, rows []core.Row) error {
	for i, r := range rows {
		m := nats.NewMsg(prefix + r.Key)
		m.Data = r.Value
		m.Header.Set("Nats-Batch-Id", id)
		m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		if i == 0 {
			m.Header.Set("Nats-Expected-Last-Subject-Sequence", strconv.FormatUint(guard, 10))
			m.Header.Set("Nats-Expected-Last-Subject-Sequence-Subject", prefix+"_authority")
		}
		if i < len(rows)-1 {
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
		if err := json.Unmarshal(reply.Data, &ack); err != nil || ack.Error != nil || ack.Count != len(rows) {
			return fmt.Errorf("batch of %d rows: %s", len(rows), reply.Data)
		}
	}
	return nil
}
