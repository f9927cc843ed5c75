package sqlite

import (
	"cmp"
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

// checkObjects refuses a file with anything in its schema that could run and that
// this program does not make for the version. It returns the layout of the file.
func (s *Store) checkObjects(ctx context.Context, q querier, v versionInfo) (layout, error) {
	if err := s.checkEncoding(ctx, q); err != nil {
		return layout{}, err
	}
	have, err := objectsOf(ctx, q)
	if err != nil {
		return layout{}, err
	}
	var likely *expectedSchema
	for _, script := range scripts(v.layout.version) {
		want, err := makeExpectedSchema(ctx, v.layout, script, len(have))
		if err != nil {
			return layout{}, err
		}
		if likely == nil || want.fits(have) {
			likely = &want
		}
	}
	c := comparison{store: s, want: *likely, version: v, seen: map[string]bool{}, declared: map[core.Table]declaration{}, added: map[string]declaration{}}
	return c.run(have)
}

// fits is true where a schema has all tables that are required, whatever else it has.
func (want expectedSchema) fits(have []schemaObject) bool {
	missing := 0
	for _, w := range want.required {
		if w.kind == "table" {
			missing++
		}
	}
	for _, o := range have {
		if w, ok := want.required[foldName(o.name)]; ok && w.kind == "table" && o.kind == "table" {
			if _, same := matchDeclaration(o.sql, w.sql); same {
				missing--
			}
		}
	}
	return missing == 0
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

// comparison goes through the objects of one file.
type comparison struct {
	store    *Store
	want     expectedSchema
	version  versionInfo
	seen     map[string]bool            // names of objects, folded
	declared map[core.Table]declaration // our tables
	added    map[string]declaration     // tables beyond ours, by folded name
}

// run says what the file has that the expected schema lacks, or lacks itself.
func (c *comparison) run(have []schemaObject) (layout, error) {
	tablesFirst := slices.Clone(have) // an index says nothing before its table is known
	slices.SortStableFunc(tablesFirst, func(a, b schemaObject) int {
		return cmp.Compare(kindOrder(a), kindOrder(b))
	})
	for _, o := range tablesFirst {
		if err := c.object(o); err != nil {
			return layout{}, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.want.required)) {
		if want := c.want.required[name]; !c.seen[name] && !c.canLack(want) {
			return layout{}, c.store.describeMismatch(c.version.layout, schemaObject{}, want)
		}
	}
	return c.version.layout.withFile(c.declared, c.surplus()), nil
}

// kindOrder puts tables first, and sqlite_sequence behind the tables that it counts.
func kindOrder(o schemaObject) int {
	switch {
	case o.kind == "table" && o.name != sequenceTable:
		return 0
	case o.kind == "table":
		return 1
	}
	return 2
}

// sequenceTable is what SQLite itself keeps for a table with AUTOINCREMENT.
const sequenceTable = "sqlite_sequence"

// canLack is true of the index of a primary key that a table of ours does not declare.
func (c *comparison) canLack(o schemaObject) bool {
	d, ok := c.declared[core.Table(o.table)]
	return o.kind == "index" && ok && len(d.primary) == 0
}

func (c *comparison) object(o schemaObject) error {
	s, name := c.store, foldName(o.name)
	if c.seen[name] {
		return s.foreignSchema("%s has two objects of the name %q", s.path, display(o.name))
	}
	c.seen[name] = true
	expected, required := c.want.required[name]
	switch {
	case name == signatureTable && o.kind == "table":
		if !s.cfg.Backup {
			return core.Errorf(core.KindInvalid, "%s is a backup, not a database that can be used as it is", s.path).
				WithNext("make a database of it: unibusd restore --from %s --db NEW", s.path)
		}
		expected = signatureObject()
	case required:
		return c.requiredObject(o, expected)
	case c.version.fenced && isMade(c.want.fence[o.name], o), !s.cfg.Backup && isMade(c.want.log[o.name], o):
		expected = o
	case s.cfg.Backup && isMade(c.want.log[o.name], o):
		return core.Errorf(core.KindInvalid, "%s holds the log of changes of a migration, %s: it is a database in use, not a backup", s.path, o.name).
			WithNext("take a backup from the node that serves it: `unibusd backup --out FILE`")
	case c.isAdded(o):
		return nil
	}
	if o != expected {
		return s.foreignObject(o)
	}
	return nil
}

// isMade is true where an object is the one that this program makes, whatever the
// case of its table's name.
func isMade(want, have schemaObject) bool {
	return want.name != "" && want.kind == have.kind && want.sql == have.sql && sameName(want.table, have.table)
}

// requiredObject compares an object that every file of the version has.
func (c *comparison) requiredObject(o, expected schemaObject) error {
	if o.kind != expected.kind || !sameName(o.table, expected.table) {
		return c.store.describeMismatch(c.version.layout, o, expected)
	}
	if o.kind != "table" {
		if o.sql != expected.sql {
			return c.store.describeMismatch(c.version.layout, o, expected)
		}
		return nil
	}
	d, same := matchDeclaration(o.sql, expected.sql)
	if !same || len(d.primary) == 0 && expected.name == string(tableRecords) || d.rowID() == "" {
		return c.store.describeMismatch(c.version.layout, o, expected)
	}
	c.declared[core.Table(expected.name)] = d
	return nil
}

// matchDeclaration is true where a table has the columns and the primary key that are
// wanted, in any order and case. It may have more columns, in which nothing runs and
// which a row can leave out, and it may declare no primary key.
func matchDeclaration(have, want string) (declaration, bool) {
	d, ok := parseTable(have)
	w, _ := parseTable(want)
	if !ok || d.modified || d.unique || d.counted {
		return d, false
	}
	if len(d.primary) > 0 && !slices.EqualFunc(d.primary, w.primary, sameName) {
		return d, false
	}
	for _, c := range w.columns {
		if h, ok := d.column(c.name); !ok || h.kind != c.kind || h.fallback != c.fallback || h.required != c.required || h.unique {
			return d, false
		}
	}
	for _, c := range d.columns {
		if _, ours := w.column(c.name); !ours && (c.unique || c.primary || c.required && (c.fallback == "" || c.fallback == "NULL")) {
			return d, false
		}
	}
	return d, true
}

// isAdded is true of a table beyond ours in which nothing runs, and of its indexes.
func (c *comparison) isAdded(o schemaObject) bool {
	name := foldName(o.name)
	reserved := strings.HasPrefix(name, "_unibus") || strings.HasPrefix(name, "unibus_") || strings.HasPrefix(name, "sqlite_")
	switch {
	case o.kind == "table" && name == sequenceTable:
		return slices.ContainsFunc(slices.Collect(maps.Values(c.added)), func(d declaration) bool { return d.counted })
	case o.kind == "table":
		d, ok := parseTable(o.sql)
		if ok && !reserved && sameName(d.name, o.name) && sameName(o.table, o.name) {
			c.added[name] = d
			return true
		}
	case o.kind == "index":
		_, ours := c.added[foldName(o.table)]
		on, plain := parseIndex(o.sql)
		return ours && (o.sql == "" && strings.HasPrefix(name, "sqlite_autoindex_") || plain && !reserved && sameName(on, o.table))
	}
	return false
}

// surplus is what the file holds beyond our tables, in the order of names.
func (c *comparison) surplus() (all []surplus) {
	for _, t := range c.version.layout.tables {
		for _, col := range c.declared[t.name].columns {
			if !slices.ContainsFunc(t.columns, func(name string) bool { return sameName(name, col.name) }) {
				all = append(all, surplus{string(t.name), col.name})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.added)) {
		all = append(all, surplus{c.added[name].name, ""})
	}
	return all
}

// describeMismatch says what is wrong with a table: the first column that is
// missing, where one is.
func (s *Store) describeMismatch(l layout, have, want schemaObject) error {
	for _, t := range l.tables {
		for _, column := range t.columns {
			names := " " + foldName(strings.Join(strings.FieldsFunc(have.sql, notInName), " ")) + " "
			if string(t.name) == want.name && !strings.Contains(names, " "+column+" ") {
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

// foreignObject refuses an object. If its owner can remove it without a loss, the
// error names the command.
func (s *Store) foreignObject(o schemaObject) error {
	kind := strings.ToUpper(o.kind)
	removable := isPlainASCII(o.name) && slices.Contains(words("TRIGGER VIEW INDEX"), kind) && !strings.HasPrefix(foldName(o.name), "sqlite_")
	err := s.foreignSchema("%s has an object %q (%q) on %q, which no file of unibus has", s.path, display(o.name), display(o.kind), display(o.table))
	if strings.HasPrefix(foldName(o.name), "sqlite_stat") && isPlainASCII(o.name) {
		err = core.Errorf(core.KindInvalid, "%s has the statistics of ANALYZE, in the table %q; they change how SQLite reads the file, so it is not used with them", s.path, o.name)
		kind, removable = "TABLE", true
	}
	if !removable {
		return err
	}
	return core.AsError(err).WithNext("put a backup in its place that `unibusd backup` has made; or, if it is yours, with the node stopped: sqlite3 %s %s",
		core.ShellQuote(s.path), core.ShellQuote("DROP "+kind+" "+quoteName(o.name)))
}

// foreignSchema refuses a schema that would run statements of another origin.
func (s *Store) foreignSchema(format string, args ...any) error {
	return core.Errorf(core.KindInvalid, format+"; an object in a schema runs like a program, so the file is not used", args...).
		WithNext("put a backup in its place that `unibusd backup` has made; if the change was yours, undo it, and no more, in a copy of the file")
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
// the schema that they made. It looks for a migration's objects only if a file has more
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
	l, err := s.checkObjects(ctx, q, v)
	if err != nil {
		return err
	}
	s.fileLayout.Store(&l)
	s.compared.Store(int64(cookie) + 1)
	return nil
}
