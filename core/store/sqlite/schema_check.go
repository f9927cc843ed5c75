package sqlite

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"unibus/core"
)

// A schema is a program: triggers, views, defaults, checks and indexes on
// expressions run with the rights of the process that opens the file. So the objects
// of a file are compared with those that our own statements make, before a row is read.

// schemaObject is one row of a file's schema. Its name is unique in a schema of
// ours.
type schemaObject struct{ kind, name, table, sql string }

// maxObjects is more than any schema of ours has; objects beyond it are not read.
const maxObjects = 500

// expectedSchema is one way in which the schema of a file of a version may have
// been made.
type expectedSchema struct {
	required map[string]schemaObject
	log      map[string]schemaObject // what Track adds
	fence    map[string]schemaObject // what Fence adds
}

// checkObjects refuses a file whose schema is not exactly one that this program
// makes for the version.
func (s *Store) checkObjects(ctx context.Context, q querier, v versionInfo) error {
	if err := s.checkEncoding(ctx, q); err != nil {
		return err
	}
	have, err := objectsOf(ctx, q)
	if err != nil {
		return err
	}
	var likely *expectedSchema
	for _, script := range scripts(v.layout.version) {
		want, err := makeExpectedSchema(ctx, v.layout, script, len(have))
		if err != nil {
			return err
		}
		if likely == nil || want.fits(have) {
			likely = &want
		}
	}
	return s.compare(have, *likely, v)
}

// fits is true where a schema has all that is required, whatever else it has.
func (want expectedSchema) fits(have []schemaObject) bool {
	n := 0
	for _, o := range have {
		if w, ok := want.required[o.name]; ok && w.kind == o.kind && normalizeSpace(w.sql) == normalizeSpace(o.sql) {
			n++
		}
	}
	return n == len(want.required)
}

// checkEncoding refuses UTF-16, in which text does not sort as the keys of the buckets do.
func (s *Store) checkEncoding(ctx context.Context, q querier) error {
	var encoding string
	if err := q.QueryRowContext(ctx, "PRAGMA encoding").Scan(&encoding); err != nil {
		return err
	}
	if encoding != "UTF-8" {
		return s.foreignSchema("%s keeps its text as %s, and no file of unibus does", s.path, display(encoding))
	}
	return nil
}

// compare says what the file has that the expected schema lacks, or lacks itself.
func (s *Store) compare(have []schemaObject, want expectedSchema, v versionInfo) error {
	seen := map[string]bool{}
	for _, o := range have {
		if err := s.compareObject(o, want, v, seen); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want.required)) {
		if !seen[name] {
			return s.describeMismatch(v.layout, schemaObject{}, want.required[name])
		}
	}
	return nil
}

func (s *Store) compareObject(o schemaObject, want expectedSchema, v versionInfo, seen map[string]bool) error {
	expected, required := want.required[o.name]
	switch {
	case seen[o.name]:
		return s.foreignSchema("%s has two objects of the name %q", s.path, display(o.name))
	case o.name == signatureTable && o.kind == "table":
		if !s.cfg.Backup {
			return core.Errorf(core.KindInvalid, "%s is a backup, not a database that can be used as it is", s.path).
				WithNext("make a database of it: unibusd restore --from %s --db NEW", s.path)
		}
		expected = signatureObject()
	case required:
		if o.kind != expected.kind || normalizeSpace(o.sql) != normalizeSpace(expected.sql) {
			return s.describeMismatch(v.layout, o, expected)
		}
		expected.sql = o.sql
	case v.fenced && want.fence[o.name] == o, !s.cfg.Backup && want.log[o.name] == o:
		expected = o
	}
	if s.cfg.Backup && want.log[o.name] == o {
		return core.Errorf(core.KindInvalid, "%s holds the log of changes of a migration, %s: it is a database in use, not a backup", s.path, o.name).
			WithNext("take a backup from the node that serves it: `unibusd backup --out FILE`")
	}
	if o != expected {
		return s.foreignSchema("%s has an object %q (%q) on %q, which no file of unibus has", s.path, display(o.name), display(o.kind), display(o.table))
	}
	seen[o.name] = true
	return nil
}

// describeMismatch says what is wrong with a table: the first column that is
// missing, where one is.
func (s *Store) describeMismatch(l layout, have, want schemaObject) error {
	for _, t := range l.tables {
		for _, column := range t.columns {
			if string(t.name) == want.name && !strings.Contains(" "+strings.Join(strings.FieldsFunc(have.sql, notInName), " ")+" ", " "+column+" ") {
				return core.Errorf(core.KindInvalid, "%s has no column %s.%s, which schema version %d has", s.path, t.name, column, l.version).
					WithNext("put a backup of it in its place")
			}
		}
	}
	if have.name == "" {
		return s.foreignSchema("%s has no %s %s, which schema version %d has", s.path, want.kind, want.name, l.version)
	}
	return s.foreignSchema("%s declares %s otherwise than schema version %d does: as a %q, %q", s.path, want.name, l.version, display(have.kind), display(have.sql))
}

func notInName(r rune) bool {
	return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// foreignSchema refuses a schema that would run statements of another origin.
func (s *Store) foreignSchema(format string, args ...any) error {
	return core.Errorf(core.KindInvalid, format+"; what is in a schema runs like a program, so the file is not used", args...).
		WithNext("put a backup in its place that `unibusd backup` has made; if the change was yours, undo it, and no more, in a copy of the file")
}

// normalizeSpace is a declaration without insignificant white space: between words
// one blank stays, around brackets and commas none.
func normalizeSpace(sql string) string {
	sql = strings.Join(strings.FieldsFunc(sql, func(r rune) bool { return strings.ContainsRune(" \t\r\n", r) }), " ")
	for _, mark := range []string{"(", ")", ","} {
		sql = strings.ReplaceAll(strings.ReplaceAll(sql, " "+mark, mark), mark+" ", mark)
	}
	return sql
}

// objectsOf is the schema of a file as it is stored. A value of a type that SQLite
// never writes there is an object of no kind.
func objectsOf(ctx context.Context, q querier) (all []schemaObject, err error) {
	rows, err := q.QueryContext(ctx, fmt.Sprintf("SELECT type, name, tbl_name, coalesce(sql, '') FROM main.sqlite_schema LIMIT %d", maxObjects))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var kind, name, table, sql any
		if err := rows.Scan(&kind, &name, &table, &sql); err != nil {
			return nil, err
		}
		all = append(all, schemaObject{textOr(kind), textOr(name), textOr(table), textOr(sql)})
	}
	return all, rows.Err()
}

func textOr(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprintf("(%s)", typeName(v))
}

// makeExpectedSchema runs our own statements on a database in memory and reads
// what they made. What a migration adds is only looked for where a file has more
// objects than are required.
func makeExpectedSchema(ctx context.Context, l layout, script string, objects int) (want expectedSchema, err error) {
	db := sqlOpen("file::memory:")
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // each connection would be a database of its own
	made := func(known []schemaObject, statements string) (map[string]schemaObject, []schemaObject, error) {
		if _, err := db.ExecContext(ctx, statements); err != nil {
			return nil, nil, err
		}
		all, err := objectsOf(ctx, db)
		more := map[string]schemaObject{}
		for _, o := range all {
			if !slices.Contains(known, o) {
				more[o.name] = o
			}
		}
		return more, all, err
	}
	var all []schemaObject
	if want.required, all, err = made(nil, script); err != nil || objects <= len(all) {
		return want, err
	}
	if want.log, all, err = made(all, l.trackScript()); err != nil {
		return expectedSchema{}, err
	}
	want.fence, _, err = made(all, l.fenceScript())
	return want, err
}

// versionInfo is what a file's header says of it.
type versionInfo struct {
	layout layout
	fenced bool
}

// checkSchema compares the schema again where it is not the one that was compared
// before: another process may have changed it. It is called in the transaction
// that relies on it.
func (s *Store) checkSchema(ctx context.Context, q querier) error {
	if s.making {
		return nil
	}
	cookie, err := pragmaInt(ctx, q, "schema_version")
	if err != nil || s.compared.Load() == int64(cookie)+1 {
		return err
	}
	v, err := s.versionIn(ctx, q)
	if err != nil {
		return err
	}
	if err := s.checkObjects(ctx, q, v); err != nil {
		return err
	}
	s.fileLayout.Store(&v.layout)
	s.compared.Store(int64(cookie) + 1)
	return nil
}
