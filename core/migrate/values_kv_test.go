package migrate_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"pgregory.net/rapid"

	"unibus/core"
	"unibus/core/backup"
	"unibus/core/migrate"
	"unibus/core/store/kv"
	"unibus/core/store/sqlite"
	"unibus/core/store/sqlite/hostile"
	"unibus/core/store/storetest"
)

// oneServer is a KV store on one server.
func oneServer(t *testing.T) *kv.Store {
	t.Helper()
	n, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	ok(t, err)
	n.Start()
	t.Cleanup(func() { n.Shutdown(); n.WaitForShutdown() })
	s := kv.New(kv.Config{Conn: connect(t, n), Replicas: 1, Nodes: 1, Timeout: 5 * time.Second})
	ok(t, s.Open(t.Context()))
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// cell is a column, and SQL for a value that may be put there.
type cell struct{ table, column, value string }

func integers(values ...int64) (all []string) {
	for _, v := range values {
		all = append(all, fmt.Sprint(v))
	}
	return all
}

func blobs() []string {
	return []string{"NULL", "X''", "X'00'", "X'FF00FE'", "X'7B7D'", "zeroblob(3000)", "zeroblob(65536)", "zeroblob(787000)"}
}

// genText draws SQL for a text: any Unicode, empty, NUL, invalid, long.
func genText(t *rapid.T) string {
	odd := []string{
		"NULL", "''", "CAST(X'00' AS TEXT)", "CAST(X'610062' AS TEXT)", "CAST(X'FF' AS TEXT)", "CAST(X'EDA080' AS TEXT)", "'\u2028\u2029'", "'<&>\"\\'", "'\uFFFD'",
		"'\u00e9'", "'e\u0301'", "'\u0645\u06CC\u200C\u062E\u0648\u0627\u0647\u0645'", "'\U0001F468\u200D\U0001F469\u200D\U0001F467'", "'\U0010FFFF'", "char(13, 10, 9, 127, 27)",
		"printf('%300d', 1)", "printf('%1050000d', 1)", "7", "1.5", "X'61'",
	}
	if rapid.Bool().Draw(t, "odd") {
		return rapid.SampledFrom(odd).Draw(t, "text")
	}
	return "CAST(X'" + fmt.Sprintf("%X", rapid.String().Draw(t, "any text")) + "' AS TEXT)"
}

// columnsOf are all columns of a version, keys included.
func columnsOf(version int) map[string]string {
	all := map[string]string{
		"users":     "id name role status kem_key created_at updated_at",
		"rooms":     "id name owner encrypted epoch created_at",
		"members":   "room_id user_id role invited_by proof joined_at",
		"room_keys": "room_id epoch user_id box sealed_by created_at",
	}
	if version >= 2 {
		all["rooms"] += " rec state"
		all["members"] += " state"
		all["epoch_records"] = "room_id epoch rec record prev"
	}
	if version >= 3 {
		all["users"] += " expires"
	}
	return all
}

// genAnyCell draws a value that knows nothing of its column: of every type, spelled otherwise, almost a key.
func genAnyCell(t *rapid.T, version int) cell {
	values := []string{
		"NULL", "''", "' '", "X''", "X'00'", "1.5", "1.0", "9e999", "-9e999", "1e18", "1e19", "-0.0", "'9223372036854775808'", "'0x10'", "' 1'", "'1e3'",
		"CAST(X'FF' AS TEXT)", "CAST(X'610062' AS TEXT)", "'a.b'", "'_record'", "printf('%65d', 1)", "'\u017F'", "'\u0131'", "'*'", "'>'", "'-'", "'..'", "'\u202E'", "'\uFEFFx'",
		"lower(COL)", "upper(COL)", "COL || ' '", "COL || char(0)", "substr(COL, 1, 20) || lower(substr(COL, 21))", "CAST(COL AS BLOB)", "CAST(COL AS TEXT)",
		"replace(COL, 'S', '\u017F')", "replace(COL, 'K', '\u212A')", "zeroblob(786000)", "zeroblob(1048000)",
	}
	columns := columnsOf(version)
	table := rapid.SampledFrom(sortedKeys(columns)).Draw(t, "table")
	column := rapid.SampledFrom(strings.Fields(columns[table])).Draw(t, "column")
	return cell{table, column, strings.ReplaceAll(rapid.SampledFrom(values).Draw(t, "value"), "COL", column)}
}

// genCell draws a value for one column of one table of a version.
func genCell(t *rapid.T, version int) cell {
	if rapid.IntRange(0, 2).Draw(t, "any column") == 0 {
		return genAnyCell(t, version)
	}
	times := integers(0, 1, -1, 1764288000, 1764288000000, 1764288000000000, 1764288000000000000, 1<<53, 1<<53+1, math.MaxInt64, math.MinInt64)
	epochs := integers(0, 1, 2, 7, 9, 10, 1<<31, 1<<53, 1<<53+1, math.MaxInt64-1, math.MaxInt64, -1)
	words := []string{"'member'", "'admin'", "'owner'", "'active'", "'revoked'", "'archived'", "'invited'", "'removed'", "'Active'", "''", "NULL", "3"}
	recs := []string{"'0'", "'00'", "'rec1'", "'_x'", "''", "NULL", "'a.b'"}
	ends := integers(0, 1, -1, 253402300799999, 253402300800000, 1764288000, 1764288000000, math.MaxInt64)
	fields := map[string]map[string][]string{
		"users": {"role": words, "status": words, "kem_key": blobs(), "created_at": times, "updated_at": times},
		"rooms": {"encrypted": integers(0, 1, 2, -1), "epoch": epochs, "created_at": times},
		"members": {
			"role": words, "proof": blobs(), "joined_at": times,
		},
		"room_keys": {"epoch": epochs, "box": blobs(), "created_at": times},
	}
	texts := map[string][]string{"users": {"name"}, "rooms": {"name"}, "members": {"invited_by"}, "room_keys": {"sealed_by"}}
	if version >= 2 {
		fields["rooms"]["state"], fields["members"]["state"], fields["rooms"]["rec"] = words, words, recs
		fields["epoch_records"] = map[string][]string{"epoch": epochs, "rec": recs, "prev": recs, "record": blobs()}
	}
	if version >= 3 {
		fields["users"]["expires"] = append(ends, "NULL", "'1'", "1.5")
	}
	table := rapid.SampledFrom(sortedKeys(fields)).Draw(t, "table")
	columns := append(sortedKeys(fields[table]), texts[table]...)
	column := rapid.SampledFrom(columns).Draw(t, "column")
	if values := fields[table][column]; values != nil {
		return cell{table, column, rapid.SampledFrom(values).Draw(t, "value")}
	}
	return cell{table, column, genText(t)}
}

func sortedKeys[T any](m map[string]T) (all []string) {
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// sampleFile is a whole file of a version.
func sampleFile(t *testing.T, version int) []byte {
	t.Helper()
	in := storetest.TwoRooms(t)
	if version >= 2 {
		in = storetest.Rekeyed(t)
	}
	if version >= 3 {
		in.Users[0].Expires = storetest.Start
	}
	path := filepath.Join(t.TempDir(), "sample.db")
	w, err := sqlite.CreateVersion(t.Context(), path, version)
	ok(t, err)
	for _, table := range backup.Tables() {
		ok(t, w.Put(t.Context(), in.Rows(table)))
	}
	_, err = w.Finish(t.Context())
	ok(t, err)
	b, err := os.ReadFile(path)
	ok(t, err)
	return b
}

// surplusFiles are whole files of version 1 that hold more than unibus keeps, or declare it otherwise.
func surplusFiles(t *testing.T) (all [][]byte) {
	t.Helper()
	for _, f := range hostile.Surplus() {
		path := filepath.Join(t.TempDir(), "sample.db")
		ok(t, os.WriteFile(path, sampleFile(t, 1), 0o600))
		ok(t, hostile.Spoil(path, append(f.SQL, "PRAGMA journal_mode=DELETE")...))
		b, err := os.ReadFile(path)
		ok(t, err)
		all = append(all, b)
	}
	return all
}

// thereAndBack moves what a file holds to KV, and takes it from there as a rollback and a backup do. It returns the new file.
func thereAndBack(ctx context.Context, src *sqlite.Store, target *kv.Store, dir string) (string, error) {
	for _, table := range core.Tables() {
		var rows []core.Row
		for r, err := range src.Rows(ctx, table) {
			if err != nil {
				return "", fmt.Errorf("reading %s: %w", table, err)
			}
			rows = append(rows, r)
		}
		var old []string
		for r, err := range target.Keys(ctx, table) {
			if err != nil {
				return "", err
			}
			if !slices.ContainsFunc(rows, func(n core.Row) bool { return n.Key == r.Key }) {
				old = append(old, r.Key)
			}
		}
		if _, err := target.DeleteKeys(ctx, table, old); err != nil {
			return "", err
		}
		if _, err := target.PutRows(ctx, rows); err != nil {
			return "", fmt.Errorf("writing %s: %w", table, err)
		}
	}
	path := filepath.Join(dir, "exported.db")
	x := migrate.Export{
		From: target, Open: openCopy,
		Create: func(ctx context.Context, path string) (migrate.FileWriter, error) {
			w, err := sqlite.Create(ctx, path)
			return fileWriter{w}, err
		},
	}
	_, _, err := x.Run(ctx, path)
	return path, err
}

type fileWriter struct{ *sqlite.Writer }

func (f fileWriter) Finish(ctx context.Context) error {
	_, err := f.Writer.Finish(ctx)
	return err
}

// digests are those of the tables of a file.
func digests(ctx context.Context, path string) (map[core.Table]core.Digest, error) {
	s := sqlite.New(sqlite.Config{Path: path, ReadOnly: true})
	if err := s.Open(ctx); err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	all := map[core.Table]core.Digest{}
	for _, table := range core.Tables() {
		d := core.NewDigester()
		for r, err := range s.Rows(ctx, table) {
			if err != nil {
				return nil, err
			}
			d.Add(r.Key, r.Value)
		}
		sum, err := d.Sum()
		if err != nil {
			return nil, err
		}
		all[table] = sum
	}
	return all, nil
}

// checkThereAndBack: a file without problems comes back row by row; one with problems names each with its repair.
func checkThereAndBack(t failer, target *kv.Store, path, dir string) (moved bool) {
	t.Helper()
	ctx := context.Background()
	src := sqlite.New(sqlite.Config{Path: path})
	if err := src.Open(ctx); err != nil {
		t.Errorf("open: %v", err)
		return false
	}
	defer func() { _ = src.Close() }()
	problems, err := src.Problems(ctx, 0)
	if err != nil {
		t.Errorf("problems: %v", err)
		return false
	}
	for _, p := range problems {
		if p.Table == "" || p.Key == "" || p.Text == "" || !strings.Contains(p.Next, "; -- 1 row") {
			t.Errorf("a problem without its row or its repair: %+v", p)
		}
	}
	if len(problems) > 0 {
		return false
	}
	want, err := digests(ctx, path)
	if err != nil {
		t.Errorf("preflight lets through what cannot be read: %v", err)
		return false
	}
	back, err := thereAndBack(ctx, src, target, dir)
	if err != nil {
		t.Errorf("preflight lets through what does not come back: %v", err)
		return true
	}
	restored := filepath.Join(dir, "restored.db")
	if _, err := backup.Restore(ctx, back, restored, backup.Expect{}); err != nil {
		t.Errorf("restore of the export: %v", err)
	}
	saved := filepath.Join(dir, "saved.db")
	if _, err := src.Backup(ctx, saved); err != nil {
		t.Errorf("backup: %v", err)
	}
	again := filepath.Join(dir, "again.db")
	left, err := src.Leftovers(ctx)
	if err != nil {
		t.Errorf("leftovers: %v", err)
	}
	var ignore []string
	for _, l := range core.Unignored(left, nil) {
		ignore = append(ignore, l.Name())
	}
	if _, err := backup.Restore(ctx, saved, again, backup.Expect{Ignore: ignore}); err != nil {
		t.Errorf("restore of the backup: %v", err)
	}
	for _, file := range []string{back, restored, saved, again} {
		got, err := digests(ctx, file)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", filepath.Base(file), err, d)
		}
		if s := sqlite.New(sqlite.Config{Path: file}); s.Open(ctx) == nil { // and could be moved again
			if again, err := s.Problems(ctx, 0); err != nil || len(again) > 0 {
				t.Errorf("%s: %v, %v", filepath.Base(file), again, err)
			}
			_ = s.Close()
		}
	}
	return true
}

type failer interface {
	Helper()
	Errorf(string, ...any)
}

// TestEveryValueThatPassesComesBack: preflight names a value in a file of any version, or the value goes into KV and
// comes back by rollback, backup and restore, byte for byte.
func TestEveryValueThatPassesComesBack(t *testing.T) {
	t.Parallel()
	target := oneServer(t)
	samples := map[int][][]byte{1: append(surplusFiles(t), sampleFile(t, 1)), 2: {sampleFile(t, 2)}, 3: {sampleFile(t, 3)}}
	moved, refused := 0, 0
	base := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		ok(t, err)
		defer func() { _ = os.RemoveAll(dir) }()
		path := filepath.Join(dir, "unibus.db")
		version := rapid.IntRange(1, 3).Draw(rt, "version")
		ok(t, os.WriteFile(path, rapid.SampledFrom(samples[version]).Draw(rt, "file"), 0o600))
		for range rapid.IntRange(1, 3).Draw(rt, "cells") {
			c := genCell(rt, version)
			where := rapid.SampledFrom([]string{"1", "oid = 1", "oid = (SELECT max(oid) FROM " + c.table + ")"}).Draw(rt, "rows")
			_ = hostile.Spoil(path, fmt.Sprintf("UPDATE OR IGNORE %s SET %s = %s WHERE %s", c.table, c.column, c.value, where))
			if rapid.IntRange(0, 3).Draw(rt, "twice") == 0 {
				_ = hostile.Spoil(path, fmt.Sprintf("INSERT OR IGNORE INTO %s SELECT * FROM %s WHERE %s", c.table, c.table, where))
			}
		}
		if checkThereAndBack(rt, target, path, dir) {
			moved++
		} else {
			refused++
		}
	})
	if t.Logf("%d moved, %d refused", moved, refused); 10*min(moved, refused) < moved+refused {
		t.Errorf("%d moved, %d refused: the cases say little", moved, refused)
	}
}

// TestLimitsComeBack: the values at the very limits, one by one.
func TestLimitsComeBack(t *testing.T) {
	t.Parallel()
	target := oneServer(t)
	max := fmt.Sprint(int64(math.MaxInt64))
	fits := func(column string, overhead int) string { // the longest ASCII text of a row
		return fmt.Sprintf("UPDATE users SET %s = printf('%%%dd', 1) WHERE rowid = 1", column, core.MaxValue-overhead)
	}
	for name, c := range map[string]struct {
		version int
		moves   bool
		sql     []string
	}{
		"the last epoch":               {1, true, []string{"UPDATE rooms SET epoch = " + max, "UPDATE room_keys SET epoch = " + max + " WHERE rowid IN (SELECT min(rowid) FROM room_keys GROUP BY room_id, user_id)"}},
		"the last epoch of version 2":  {2, true, []string{"UPDATE rooms SET epoch = " + max + ", rec = '0'"}},
		"the first and the last time":  {1, true, []string{"UPDATE users SET created_at = -9223372036854775808, updated_at = " + max}},
		"the last end":                 {3, true, []string{"UPDATE users SET expires = 253402300799999"}},
		"an end too far":               {3, false, []string{"UPDATE users SET expires = 253402300800000"}},
		"an end at 0":                  {3, false, []string{"UPDATE users SET expires = 0"}},
		"a record by the name of none": {2, false, []string{"UPDATE epoch_records SET rec = '0' WHERE rowid = (SELECT min(rowid) FROM epoch_records WHERE prev IS NOT NULL)"}},
		"the longest name":             {1, true, []string{"UPDATE users SET name = NULL, kem_key = NULL, created_at = 1, updated_at = 1, role = 'admin', status = 'active' WHERE rowid = 1", fits("name", len(`{"v":1,"name":"","role":"admin","status":"active","created":1,"updated":1}`))}},
		"one byte more":                {1, false, []string{"UPDATE users SET name = NULL, kem_key = NULL, created_at = 1, updated_at = 1, role = 'admin', status = 'active' WHERE rowid = 1", fits("name", len(`{"v":1,"name":"","role":"admin","status":"active","created":1,"updated":1}`)-1)}},
		"a record is lost":             {2, true, []string{"UPDATE epoch_records SET record = NULL, prev = NULL WHERE epoch = 2"}},
		"all records are lost":         {2, true, []string{"UPDATE epoch_records SET record = NULL, prev = NULL"}},
		"an epoch without a record": {2, true, []string{
			"INSERT INTO rooms SELECT 'gap', NULL, owner, 1, 5, 1, '0', 'active' FROM rooms LIMIT 1",
			"INSERT INTO epoch_records VALUES ('gap', 2, 'early', X'00', '0')",
			"INSERT INTO room_keys SELECT 'gap', 2, user_id, box, NULL, 1 FROM room_keys GROUP BY user_id", "INSERT INTO room_keys SELECT 'gap', 1, user_id, box, NULL, 1 FROM room_keys GROUP BY user_id",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "unibus.db")
			ok(t, os.WriteFile(path, sampleFile(t, c.version), 0o600))
			ok(t, hostile.Spoil(path, c.sql...))
			if moved := checkThereAndBack(t, target, path, dir); moved != c.moves {
				t.Errorf("moved: %v", moved)
			}
		})
	}
}
