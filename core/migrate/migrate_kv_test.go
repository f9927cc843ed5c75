package migrate_test

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/loopback"
	"unibus/core/migrate"
	"unibus/core/store/kv"
	"unibus/core/store/sqlite"
	"unibus/core/store/storetest"
)

// bench is three real servers, a SQLite file at the first, and the migration
// between them.
type bench struct {
	conn    *nats.Conn
	source  *sqlite.Store
	target  *kv.Store
	control *kv.Control
	job     *migrate.Job
	serving core.Backend
}

func newBench(t *testing.T, in core.Snapshot) *bench {
	t.Helper()
	b := &bench{conn: connect(t, startCluster(t)[0]), serving: core.BackendSQLite}
	b.target = kv.New(kv.Config{Conn: b.conn, Replicas: 1, Nodes: 3, Timeout: 5 * time.Second})
	b.control = kv.NewControl(kv.ControlConfig{Conn: b.conn, Replicas: 3, Timeout: 5 * time.Second})
	ok(t, b.control.Open(t.Context()))
	dir := t.TempDir()
	b.source = sqlite.New(sqlite.Config{Path: filepath.Join(dir, "unibus.db"), Create: true})
	ok(t, b.source.Open(t.Context()))
	t.Cleanup(func() { _ = b.source.Close() })
	_, err := storetest.Import(t.Context(), b.source, in)
	ok(t, err)
	b.job = migrate.New(migrate.Config{
		Node: "n1", Source: b.source, Backup: b.backup, OpenBackup: openCopy,
		Target: target{b.target}, Authority: b.control, Record: b.control, Cluster: b.cluster, Host: b,
		Journal:   migrate.NewFileJournal(filepath.Join(dir, "journal.json")),
		FreeSpace: func(string) (int64, error) { return 1 << 40, nil },
	})
	ok(t, b.job.Open(t.Context()))
	t.Cleanup(func() { _ = b.job.Close() })
	return b
}

func (b *bench) backup(ctx context.Context, path string) (migrate.Backup, error) {
	i, err := b.source.Backup(ctx, path)
	return migrate.Backup{Path: i.Path, SHA256: i.SHA256, Bytes: i.Bytes}, err
}

func openCopy(ctx context.Context, path string) (migrate.BackupReader, error) {
	s := sqlite.New(sqlite.Config{Path: path, ReadOnly: true})
	return s, s.Open(ctx)
}

// cluster has nodes whose journals follow the record at once.
func (b *bench) cluster(ctx context.Context) (migrate.Cluster, error) {
	var seen *core.Authority
	switch a, _, err := b.control.Authority(ctx); core.KindOf(err) {
	case "":
		seen = &a
	case core.KindNotFound:
	default:
		return migrate.Cluster{}, err
	}
	c := migrate.Cluster{Expected: 3}
	for _, n := range []string{"n1", "n2", "n3"} {
		c.Peers = append(c.Peers, migrate.Peer{Name: n, Online: true, Ready: true, Journal: seen})
	}
	return c, nil
}

func (b *bench) Withdraw(*core.Error) { b.serving = core.BackendNone }

func (b *bench) Adopt(context.Context, string) (migrate.SourceStore, error) {
	return nil, core.Errorf(core.KindRefused, "nothing is rolled back here")
}

func (b *bench) Serve(_ context.Context, a core.Authority) error {
	b.serving = a.Backend
	return nil
}

// move runs a whole migration and returns its end.
func (b *bench) move(t *testing.T, o migrate.Options) migrate.Status {
	t.Helper()
	o.DB, o.Replicas = b.source.Path(), 3
	_, err := b.job.Start(t.Context(), "ana", o)
	ok(t, err)
	end := time.Now().Add(60 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		s := b.job.Status()
		if !s.Running {
			if s.Error != nil {
				t.Fatalf("%s: %s (%v)", s.State, s.Error.Text, s.Problems)
			}
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("still in %s", s.State)
		}
	}
}

// target is a kv.Store as the migration sees it.
type target struct{ *kv.Store }

// BucketBytes is not known here.
func (k target) BucketBytes(context.Context) (int64, error) { return 0, nil }

// OpenReplicaReader returns a nil interface with an error.
func (k target) OpenReplicaReader(ctx context.Context, t core.Table, node string, after uint64) (migrate.ReplicaReader, error) {
	r, err := k.Store.OpenReplicaReader(ctx, t, node, after)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (k target) Prepare(ctx context.Context, replicas int) error {
	if err := k.Open(ctx); err != nil {
		return err
	}
	return k.Scale(ctx, replicas)
}

func (k target) Rows(ctx context.Context, t core.Table) iter.Seq2[core.Row, error] {
	return k.Keys(ctx, t)
}

func TestMigrateSQLiteToKVParity(t *testing.T) {
	t.Parallel()
	in := storetest.TwoRooms(t)
	in.Users[1].Expires = storetest.Start + 5
	b := newBench(t, in)
	want, err := storetest.Export(t.Context(), b.source)
	ok(t, err)
	s := b.move(t, migrate.Options{})
	if s.State != migrate.StateVerify || !s.Verified || b.serving != core.BackendSQLite {
		t.Fatalf("%s, verified %v, serving %s", s.State, s.Verified, b.serving)
	}
	if len(s.Buckets) != 5 {
		t.Fatalf("%d buckets", len(s.Buckets))
	}
	for _, p := range s.Buckets {
		if !p.Equal() || len(p.Nodes) != 3 || p.Source.Count == 0 {
			t.Errorf("%+v", p)
		}
	}
	got, err := storetest.Export(t.Context(), b.target)
	ok(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("KV differs from SQLite:\n%s", d)
	}
	cutOver(t, b, want.Users[0].ID)
}

// cutOver changes the source after the verification, cuts over, and finds the change in KV.
func cutOver(t *testing.T, b *bench, id core.UserID) {
	t.Helper()
	_, err := b.source.SetUserStatus(t.Context(), id, core.UserRevoked, 7)
	ok(t, err)
	s := b.move(t, migrate.Options{Cutover: true})
	if s.State != migrate.StateSoak || b.serving != core.BackendKV || s.Written != 1 {
		t.Fatalf("%s, serving %s, written %d", s.State, b.serving, s.Written)
	}
	u, err := b.target.User(t.Context(), id)
	ok(t, err)
	if u.Status != core.UserRevoked {
		t.Error("a user revoked before the cutover is active after it")
	}
	if err := b.source.AddUser(t.Context(), storetest.NewUser(t, "late")); err == nil {
		t.Error("the old file takes changes after the cutover")
	}
}

func TestMigrateSQLiteToKVIdempotent(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.TwoRooms(t))
	first := b.move(t, migrate.Options{})
	if first.Written == 0 {
		t.Fatal("the first run wrote nothing")
	}
	was := b.sequences(t)
	second := b.move(t, migrate.Options{NoBackup: true})
	if second.Written != 0 || !second.Verified {
		t.Errorf("the second run wrote %d", second.Written)
	}
	if d := cmp.Diff(was, b.sequences(t)); d != "" {
		t.Errorf("the second run wrote to a bucket:\n%s", d)
	}
	if d := cmp.Diff(first.Buckets, second.Buckets); d != "" {
		t.Error(d)
	}
	s, err := b.job.Abort(t.Context(), "ana")
	ok(t, err)
	n, err := b.target.Counts(t.Context())
	ok(t, err)
	if s.State != migrate.StateAborted || n != (core.Counts{}) {
		t.Errorf("%s, left in KV %+v", s.State, n)
	}
}

// sequences is the last sequence of every bucket's stream.
func (b *bench) sequences(t *testing.T) map[core.Table]uint64 {
	t.Helper()
	js, err := jetstream.New(b.conn)
	ok(t, err)
	out := map[core.Table]uint64{}
	for _, n := range core.Tables() {
		s, err := js.Stream(t.Context(), "KV_"+n.Bucket())
		ok(t, err)
		out[n] = s.CachedInfo().State.LastSeq
	}
	return out
}

func startCluster(t *testing.T) []*server.Server {
	t.Helper()
	ports, err := loopback.FreePorts(3)
	ok(t, err)
	var routes string
	for _, p := range ports {
		routes += fmt.Sprintf(",nats://127.0.0.1:%d", p)
	}
	var nodes []*server.Server
	dir := t.TempDir()
	for i, p := range ports {
		n, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("n%d", i+1), Host: "127.0.0.1", Port: -1,
			JetStream: true, StoreDir: filepath.Join(dir, fmt.Sprint(i)), NoSigs: true, NoLog: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: p, PoolSize: -1, NoAdvertise: true},
			Routes:  server.RoutesFromStr(routes[1:]),
		})
		ok(t, err)
		n.Start()
		nodes = append(nodes, n)
	}
	t.Cleanup(func() {
		for _, n := range nodes {
			n.Shutdown()
		}
		for _, n := range nodes {
			n.WaitForShutdown()
		}
	})
	return nodes
}

func connect(t *testing.T, n *server.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(n))
	ok(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
