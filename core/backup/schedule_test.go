package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"unibus/core"
)

// memoryLedger is a record that any number of schedulers share.
type memoryLedger struct {
	mu    sync.Mutex
	value []byte
	rev   uint64
	fail  error // of every call, while it is set
}

func (l *memoryLedger) Backups(context.Context) ([]byte, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value, l.rev, l.fail
}

func (l *memoryLedger) PutBackups(_ context.Context, value []byte, rev uint64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return 0, l.fail
	}
	if rev != l.rev {
		return 0, core.Errorf(core.KindConflict, "another writer was faster")
	}
	l.value, l.rev = value, l.rev+1
	return l.rev, nil
}

// faultyDirectory is a Directory whose calls a test changes.
type faultyDirectory struct {
	Directory
	put  func(ctx context.Context, name string, write func(io.Writer) error) error
	open func(ctx context.Context, name string) (io.ReadCloser, error)
}

func (d faultyDirectory) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	if d.put != nil {
		return d.put(ctx, name, write)
	}
	return d.Directory.Put(ctx, name, write)
}

func (d faultyDirectory) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if d.open != nil {
		return d.open(ctx, name)
	}
	return d.Directory.Open(ctx, name)
}

// scheduler makes backups of database(t) to a directory of its own.
func scheduler(t *testing.T, node string, change func(*ScheduleConfig)) (*Scheduler, string) {
	t.Helper()
	dir, free := t.TempDir(), func(string) (int64, error) { return 1 << 40, nil }
	cfg := ScheduleConfig{
		Node: node, Cluster: "test", Ledger: &memoryLedger{}, To: Directory{Path: dir, Node: node, Free: free},
		Every: time.Hour, Keep: 3, Scratch: filepath.Join(t.TempDir(), "scratch"), Sign: clusterKey(t),
		Make: func(ctx context.Context, path string, _ func(int)) (core.Backup, error) {
			b, err := os.ReadFile(database(t))
			if err == nil {
				err = os.WriteFile(path, b, 0o600)
			}
			if err != nil {
				return core.Backup{}, err
			}
			c, err := Check(ctx, path)
			return core.Backup{Schema: c.Schema, Tables: c.Tables}, err
		},
		Need: func(context.Context) (int64, error) { return 2 << 20, nil }, Free: free,
		Serves: func() error { return nil }, OnMade: func(core.ScheduledBackup) {}, OnFailed: func(error) {},
	}
	if change != nil {
		change(&cfg)
	}
	s := NewScheduler(cfg)
	t.Cleanup(func() {
		if left, err := os.ReadDir(cfg.Scratch); err == nil && len(left) > 0 {
			t.Errorf("left in the scratch directory: %v", left)
		}
	})
	return s, dir
}

func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func record(t *testing.T, s *Scheduler) core.BackupRecord {
	t.Helper()
	rec, _, err := s.load(t.Context())
	must(t, err)
	return rec
}

// countedLedger counts how often its record is read.
type countedLedger struct {
	memoryLedger
	reads int
}

func (l *countedLedger) Backups(ctx context.Context) ([]byte, uint64, error) {
	l.reads++
	return l.memoryLedger.Backups(ctx)
}

// TestScheduleIsReadWhereThereIsNews: and after a change of this node's own, which is not news yet.
func TestScheduleIsReadWhereThereIsNews(t *testing.T) {
	t.Parallel()
	ledger, news := &countedLedger{}, false
	s, dir := scheduler(t, "n1", func(cfg *ScheduleConfig) { cfg.Ledger, cfg.News = ledger, func() bool { return news } })
	s.look(t.Context()) // the first backup
	s.look(t.Context())
	read := ledger.reads
	for range 5 {
		s.look(t.Context())
	}
	if ledger.reads != read {
		t.Errorf("the record was read %d times without news", ledger.reads-read)
	}
	other, _ := scheduler(t, "n2", func(cfg *ScheduleConfig) { cfg.Ledger = ledger })
	_, err := other.Request(t.Context(), "ana")
	must(t, err)
	if s.look(t.Context()); len(filesIn(t, dir)) != 1 {
		t.Error("a backup was made before there was news")
	}
	news = true
	if s.look(t.Context()); len(filesIn(t, dir)) != 2 {
		t.Error("another node's request is news, and no backup was made")
	}
	news = false
	_, err = s.Request(t.Context(), "ana")
	must(t, err)
	if s.look(t.Context()); len(filesIn(t, dir)) != 3 {
		t.Error("this node's own request made no backup")
	}
}

// TestScheduledBackupIsRehearsed: in clear, encrypted where the node can decrypt, and where it cannot.
func TestScheduledBackupIsRehearsed(t *testing.T) {
	t.Parallel()
	id, err := age.GenerateX25519Identity()
	must(t, err)
	for name, c := range map[string]struct {
		recipients []age.Recipient
		identities []age.Identity
		want       core.BackupRehearsal
	}{
		"in clear":            {nil, nil, core.RehearsalStored},
		"encrypted":           {[]age.Recipient{id.Recipient()}, nil, core.RehearsalPlain},
		"encrypted, with key": {[]age.Recipient{id.Recipient()}, []age.Identity{id}, core.RehearsalStored},
	} {
		s, dir := scheduler(t, "n1", func(cfg *ScheduleConfig) { cfg.Recipients, cfg.Identities = c.recipients, c.identities })
		s.look(t.Context())
		s.look(t.Context()) // it is not time again
		rec := record(t, s)
		last, ok := rec.Last()
		if !ok || rec.Lease != nil || rec.Failure != nil || last.Rehearsal != c.want || last.Encrypted != (c.recipients != nil) || last.Rows == 0 {
			t.Fatalf("%s: %+v", name, rec)
		}
		if names := filesIn(t, dir); len(names) != 1 || names[0] != last.Name {
			t.Fatalf("%s: %v", name, names)
		}
		path := filepath.Join(dir, last.Name)
		info, err := os.Stat(path)
		must(t, err)
		sum, n, err := fileSHA256(path)
		must(t, err)
		if info.Mode().Perm() != 0o600 || sum != last.SHA256 || n != last.Bytes {
			t.Errorf("%s: mode %v, %d bytes of %s; recorded were %d of %s", name, info.Mode(), n, sum, last.Bytes, last.SHA256)
		}
		if c.recipients != nil {
			f, err := os.Open(path)
			must(t, err)
			path = filepath.Join(t.TempDir(), "plain.db")
			must(t, errors.Join(decryptToFile(f, path, true, []age.Identity{id}), f.Close()))
		}
		r, err := Restore(t.Context(), path, filepath.Join(t.TempDir(), "new.db"), Expect{Signer: s.cfg.Sign.Public()})
		if err != nil || contentDigest(r.Tables) != last.Digest {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// TestTwoNodesMakeOneBackup: both have read the same record and think that it is their turn.
func TestTwoNodesMakeOneBackup(t *testing.T) {
	t.Parallel()
	a, dir := scheduler(t, "n1", nil)
	b, _ := scheduler(t, "n2", func(cfg *ScheduleConfig) { cfg.Ledger = a.cfg.Ledger; cfg.To = a.cfg.To })
	recA, revA, err := a.load(t.Context())
	must(t, err)
	recB, revB, err := b.load(t.Context())
	must(t, err)
	if !a.due(recA, time.Now()) || !b.due(recB, time.Now()) || a.isLeased(recA) || b.isLeased(recB) {
		t.Fatal("one of them does not think that it is its turn")
	}
	turnA, err := a.acquireLease(t.Context(), recA, revA)
	must(t, err)
	if _, err := b.acquireLease(t.Context(), recB, revB); core.KindOf(err) != core.KindConflict {
		t.Fatalf("both have the lease: %v", err)
	}
	b.look(t.Context()) // and as long as the other one works
	if names := filesIn(t, dir); len(names) != 0 {
		t.Fatalf("made without the lease: %v", names)
	}
	_, err = turnA.run(t.Context())
	must(t, err)
	b.look(t.Context())
	if rec := record(t, b); len(filesIn(t, dir)) != 1 || len(rec.Kept) != 1 || rec.Kept[0].Node != "n1" {
		t.Errorf("%v, %+v", filesIn(t, dir), rec)
	}
}

// TestNodeThatLostItsLeaseLeavesNothing: it stood still for longer than the lease, and
// another node has made the backup meanwhile.
func TestNodeThatLostItsLeaseLeavesNothing(t *testing.T) {
	t.Parallel()
	paused, resume := make(chan struct{}), make(chan struct{})
	dir := t.TempDir()
	to := faultyDirectory{Directory: Directory{Path: dir, Node: "n1", Free: func(string) (int64, error) { return 1 << 40, nil }}}
	to.put = func(ctx context.Context, name string, write func(io.Writer) error) error {
		close(paused)
		<-resume
		return to.Directory.Put(context.WithoutCancel(ctx), name, write)
	}
	a, _ := scheduler(t, "n1", func(cfg *ScheduleConfig) { cfg.To = to; cfg.Lease = time.Hour }) // it renews nothing
	b, _ := scheduler(t, "n2", func(cfg *ScheduleConfig) {
		cfg.Ledger, cfg.To, cfg.Lease = a.cfg.Ledger, to.Directory, 20*time.Millisecond
	})
	ended := make(chan struct{})
	go func() { defer close(ended); a.look(t.Context()) }()
	<-paused
	b.look(t.Context())
	if len(filesIn(t, dir)) != 0 {
		t.Fatal("the lease was taken at once")
	}
	for deadline := time.Now().Add(10 * time.Second); len(record(t, b).Kept) == 0 && time.Now().Before(deadline); {
		b.look(t.Context())
	}
	close(resume)
	<-ended
	rec := record(t, b)
	if len(rec.Kept) != 1 || rec.Kept[0].Node != "n2" || rec.Failure != nil {
		t.Fatalf("%+v", rec)
	}
	if names := filesIn(t, dir); len(names) != 1 || names[0] != rec.Kept[0].Name {
		t.Errorf("%v, and the record has %s", names, rec.Kept[0].Name)
	}
}

// TestFailedBackupLeavesNothing: each says what is wrong, is recorded with the next step,
// and is tried again later, not at once. The backup before it stays.
func TestFailedBackupLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(t *testing.T, cfg *ScheduleConfig, dir string)
		text  string
	}{
		"missing": {func(_ *testing.T, cfg *ScheduleConfig, dir string) { *toDir(cfg) = dir + "/absent" }, "no such file or directory"},
		"a file":  {func(_ *testing.T, cfg *ScheduleConfig, dir string) { *toDir(cfg) = filepath.Join(dir, "notes.txt") }, "it is no directory"},
		"full":    {func(_ *testing.T, cfg *ScheduleConfig, _ string) { setFree(cfg, 1<<10) }, "0 MB free, and a backup may take 1 MB"},
		"full itself": {func(_ *testing.T, cfg *ScheduleConfig, _ string) {
			cfg.Free = func(string) (int64, error) { return 1 << 10, nil }
		}, "n1 has 0 MB free"},
		"disk full while it is written": {func(_ *testing.T, cfg *ScheduleConfig, _ string) {
			d := cfg.To.(Directory)
			cfg.To = faultyDirectory{Directory: d, put: func(ctx context.Context, name string, write func(io.Writer) error) error {
				return d.Put(ctx, name, func(w io.Writer) error {
					return write(writerFunc(func(p []byte) (int, error) {
						n, _ := w.Write(p[:len(p)/2])
						return n, errors.New("no space left on device")
					}))
				})
			}}
		}, "no space left on device"},
		"wrong bytes come back": {func(_ *testing.T, cfg *ScheduleConfig, _ string) {
			d := cfg.To.(Directory)
			cfg.To = faultyDirectory{Directory: d, open: func(ctx context.Context, name string) (io.ReadCloser, error) {
				r, err := d.Open(ctx, name)
				if err != nil {
					return nil, err
				}
				b, err := io.ReadAll(r)
				b[len(b)/2] ^= 1
				return io.NopCloser(bytes.NewReader(b)), errors.Join(err, r.Close())
			}}
		}, "does not return the bytes"},
		"other rows than those read": {func(_ *testing.T, cfg *ScheduleConfig, _ string) {
			whole := cfg.Make
			cfg.Make = func(ctx context.Context, path string, rows func(int)) (core.Backup, error) {
				b, err := whole(ctx, path, rows)
				b.Tables[0].Count++
				return b, err
			}
		}, "cannot be restored"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var failed error
			s, dir := scheduler(t, "n1", func(cfg *ScheduleConfig) { cfg.OnFailed = func(err error) { failed = err } })
			must(t, os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("mine"), 0o600))
			s.look(t.Context())
			before := filesIn(t, dir)
			if len(before) != 2 || failed != nil {
				t.Fatal(before, failed)
			}
			c.spoil(t, &s.cfg, dir)
			_, err := s.Request(t.Context(), "ana")
			must(t, err)
			s.look(t.Context())
			s.look(t.Context()) // not at once again
			rec := record(t, s)
			f := rec.Failure
			if f == nil || !strings.Contains(f.Text, c.text) || f.Next == "" || f.Count != 1 || f.Node != "n1" || rec.Lease != nil || rec.Requested != 0 || failed == nil {
				t.Fatalf("%+v; %v", f, failed)
			}
			if after := filesIn(t, dir); len(after) != 2 || after[0] != before[0] || after[1] != before[1] || len(rec.Kept) != 1 {
				t.Errorf("%v became %v; %+v", before, after, rec.Kept)
			}
		})
	}
}

func toDir(cfg *ScheduleConfig) *string {
	d := cfg.To.(Directory)
	p := &d
	cfg.To = pathOf{p}
	return &p.Path
}

// pathOf is a Directory whose path a test changes.
type pathOf struct{ *Directory }

func setFree(cfg *ScheduleConfig, free int64) {
	d := cfg.To.(Directory)
	d.Free = func(string) (int64, error) { return free, nil }
	cfg.To = d
}

// TestRetention: of this cluster's backups the latest stay, and the last rehearsed one;
// other files are left alone.
func TestRetention(t *testing.T) {
	t.Parallel()
	s, dir := scheduler(t, "n1", func(cfg *ScheduleConfig) { cfg.Keep = 2 })
	others := []string{"notes.txt", "unibus-other-20200101T000000.000Z-n1.db", "unibus-test-2020.db"}
	for _, name := range append(others, "unibus-test-20200101T000000.000Z-n1.db", "unibus-test-20990101T000000.000Z-n3.db.age", "unibus-test-20990102T000000.000Z-n3.db.age") {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	s.look(t.Context())
	last, ok := record(t, s).Last()
	if !ok {
		t.Fatalf("%+v", record(t, s).Failure)
	}
	want := map[string]bool{last.Name: true, "unibus-test-20990101T000000.000Z-n3.db.age": true, "unibus-test-20990102T000000.000Z-n3.db.age": true}
	for _, name := range others {
		want[name] = true
	}
	names := filesIn(t, dir)
	for _, name := range names {
		if !want[name] {
			t.Errorf("%s is there", name)
		}
	}
	if len(names) != len(want) {
		t.Errorf("%v", names)
	}
}

// TestScheduledBackupIsDue says when a backup is wanted, and when a failed one is tried again.
func TestScheduledBackupIsDue(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(ago time.Duration) core.Millis { return core.MillisOf(now.Add(-ago)) }
	last := func(ago time.Duration) []core.ScheduledBackup { return []core.ScheduledBackup{{At: at(ago)}} }
	failed := func(node string, ago time.Duration, count int) *core.BackupFailure {
		return &core.BackupFailure{At: at(ago), Node: node, Count: count}
	}
	s, _ := scheduler(t, "n1", func(cfg *ScheduleConfig) { cfg.Every = 24 * time.Hour })
	for name, c := range map[string]struct {
		rec  core.BackupRecord
		want bool
	}{
		"none yet":                     {core.BackupRecord{}, true},
		"in time":                      {core.BackupRecord{Kept: last(23 * time.Hour)}, false},
		"due":                          {core.BackupRecord{Kept: last(24 * time.Hour)}, true},
		"wanted":                       {core.BackupRecord{Kept: last(0), Requested: 1}, true},
		"a clock was ahead":            {core.BackupRecord{Kept: last(-48 * time.Hour)}, true},
		"failed just now":              {core.BackupRecord{Failure: failed("n2", 50*time.Second, 1)}, false},
		"failed a minute ago":          {core.BackupRecord{Failure: failed("n2", 61*time.Second, 1)}, true},
		"here, a minute ago":           {core.BackupRecord{Failure: failed("n1", 61*time.Second, 1)}, false},
		"here, longer ago":             {core.BackupRecord{Failure: failed("n1", 91*time.Second, 1)}, true},
		"many times, 59 minutes ago":   {core.BackupRecord{Failure: failed("n2", 59*time.Minute, 500)}, false},
		"many times, an hour ago":      {core.BackupRecord{Failure: failed("n2", 61*time.Minute, 500)}, true},
		"failed, and in time":          {core.BackupRecord{Kept: last(time.Hour), Failure: failed("n2", 2*time.Hour, 1)}, false},
		"failed by a clock far ahead":  {core.BackupRecord{Failure: failed("n2", -48*time.Hour, 1)}, true},
		"failed by a clock bit ahead":  {core.BackupRecord{Failure: failed("n2", -time.Minute, 1)}, false},
		"wanted after a failed try":    {core.BackupRecord{Requested: 1, Failure: failed("n2", 0, 1)}, true},
		"the third failure, 3 min ago": {core.BackupRecord{Failure: failed("n2", 3*time.Minute, 3)}, false},
	} {
		if got := s.due(c.rec, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestDailyBackupIsDue: each day at its time, by the zone that was given. A missed time is made up
// for once, a backup on request does not stand for the day's, and a failed one is tried again.
func TestDailyBackupIsDue(t *testing.T) {
	t.Parallel()
	daily, err := core.ParseDailyTime("03:00", "Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := scheduler(t, "n1", func(cfg *ScheduleConfig) { cfg.Every, cfg.At = 24*time.Hour, &daily })
	for name, c := range map[string]struct {
		last, now string
		failure   string
		want      bool
	}{
		"none yet":              {"", "2026-11-29T12:00:00Z", "", true},
		"a second before":       {"2026-11-28T02:00:01Z", "2026-11-29T01:59:59Z", "", false},
		"at its time":           {"2026-11-28T02:00:01Z", "2026-11-29T02:00:00Z", "", true},
		"made":                  {"2026-11-29T02:00:01Z", "2026-11-29T02:00:04Z", "", false},
		"on request before":     {"2026-11-29T01:55:00Z", "2026-11-29T02:00:00Z", "", true},
		"missed for three days": {"2026-11-26T02:00:00Z", "2026-11-29T14:00:00Z", "", true},
		"made up for":           {"2026-11-29T14:00:00Z", "2026-11-30T01:59:00Z", "", false},
		"after that":            {"2026-11-29T14:00:00Z", "2026-11-30T02:00:00Z", "", true},
		"failed just now":       {"2026-11-28T02:00:01Z", "2026-11-29T02:00:40Z", "2026-11-29T02:00:02Z", false},
		"failed, tried again":   {"2026-11-28T02:00:01Z", "2026-11-29T02:01:10Z", "2026-11-29T02:00:02Z", true},
		"a clock was ahead":     {"2026-12-03T02:00:00Z", "2026-11-29T12:00:00Z", "", true},
	} {
		at := func(text string) time.Time {
			moment, err := time.Parse(time.RFC3339, text)
			if err != nil {
				t.Fatal(err)
			}
			return moment
		}
		var rec core.BackupRecord
		if c.last != "" {
			rec.Kept = []core.ScheduledBackup{{At: core.MillisOf(at(c.last))}}
		}
		if c.failure != "" {
			rec.Failure = &core.BackupFailure{At: core.MillisOf(at(c.failure)), Node: "n2", Count: 1}
		}
		if got := s.due(rec, at(c.now)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
