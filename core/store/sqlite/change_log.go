package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"unibus/core"
)

// The log of changes is a table that triggers fill, so that a process of an older
// binary fills it too. It keeps the KV keys of changed rows, both those from before and
// those from after: once each, so that it grows with the number of changed rows and not
// with that of changes. A row that an INSERT OR REPLACE deletes without a trigger of
// its own is logged before that happens.

const (
	changesTable  = "_unibus_changes"
	trackPrefix   = "unibus_track_"
	changesSchema = "CREATE TABLE " + changesTable + "(name TEXT, key TEXT, odd INTEGER)" // key NULL: no key can be told; odd: a user's id in mixed case
	changesIndex  = "CREATE INDEX " + changesTable + "_key ON " + changesTable + "(name, key, odd)"
)

// Track logs every change of a row from now on, by any process, until Untrack. On
// a file that is tracked already nothing changes and the log goes on. KindFailed
// where a log is there and not whole: it may lack changes. KindInvalid where the
// schema is not ours any more: its own rules may remove rows unseen.
func (s *Store) Track(ctx context.Context) error {
	return s.updateAnySchema(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.checkSchema(ctx, tx); err != nil {
			return err
		}
		have, err := trackingIn(ctx, tx)
		if err != nil {
			return err
		}
		want := s.layout().tracking()
		switch {
		case maps.Equal(have, want):
			return nil
		case len(have) > 0:
			return core.Errorf(core.KindFailed, "the log of changes in the database %s is not whole: changes may be missing from it", s.path).
				WithNext("abort the migration, which removes the log, and start it again")
		}
		_, err = tx.ExecContext(ctx, s.layout().trackScript())
		return err
	})
}

// trackScript makes a log of changes.
func (l layout) trackScript() string {
	var script strings.Builder
	want := l.tracking()
	for _, name := range slices.Sorted(maps.Keys(want)) { // "_" sorts before the triggers that name the table
		script.WriteString(want[name] + ";\n")
	}
	return script.String()
}

// Untrack drops the log of changes with all its triggers, also one that is not
// whole. A file without any of it is only read.
func (s *Store) Untrack(ctx context.Context) error {
	var have map[string]string
	err := s.viewAnySchema(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) (err error) {
		have, err = trackingIn(ctx, tx)
		return err
	})
	if err != nil || len(have) == 0 {
		return err
	}
	return s.updateAnySchema(ctx, s.cfg.Timeout, untrackIn)
}

func untrackIn(ctx context.Context, tx *sql.Tx) error {
	have, err := trackingIn(ctx, tx)
	if err != nil {
		return err
	}
	for name := range have {
		if strings.HasPrefix(name, trackPrefix) {
			if _, err := tx.ExecContext(ctx, "DROP TRIGGER IF EXISTS "+name); err != nil {
				return err
			}
		}
	}
	_, err = tx.ExecContext(ctx, "DROP TABLE IF EXISTS "+changesTable)
	return err
}

// Tracked is true where a whole log of changes is there now.
func (s *Store) Tracked(ctx context.Context) (bool, error) {
	tracked := false
	err := s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		have, err := trackingIn(ctx, tx)
		tracked = maps.Equal(have, s.layout().tracking())
		return err
	})
	return tracked, err
}

// trackingIn returns the file's parts of a log: the statements by the names of
// their objects.
func trackingIn(ctx context.Context, tx *sql.Tx) (map[string]string, error) {
	have := map[string]string{}
	names, err := texts(ctx, tx, trackingSQL("name"))
	if err != nil {
		return nil, err
	}
	made, err := texts(ctx, tx, trackingSQL("sql"))
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		have[name] = made[i]
	}
	return have, nil
}

func trackingSQL(column string) string {
	return fmt.Sprintf(`SELECT coalesce(%s, '') FROM sqlite_schema WHERE substr(name, 1, %d) = '%s' OR name IN ('%s', '%[4]s_key') ORDER BY name`,
		column, len(trackPrefix), trackPrefix, changesTable)
}

// tracking is a whole log: the statements by the names of their objects.
func (l layout) tracking() map[string]string {
	all := map[string]string{changesTable: changesSchema, changesTable + "_key": changesIndex}
	add := func(t table, what, when string, notes ...string) {
		name := trackPrefix + string(t.name) + "_" + what
		all[name] = fmt.Sprintf("CREATE TRIGGER %s %s BEGIN %s END", name, fmt.Sprintf(when, t.name), strings.Join(notes, " "))
	}
	for _, t := range l.tables {
		add(t, "before_insert", "BEFORE INSERT ON %s", l.noteDisplaced(t)...)
		add(t, "after_insert", "AFTER INSERT ON %s", l.note(t, "NEW", ""))
		add(t, "before_update", "BEFORE UPDATE ON %s WHEN "+differ(t.primary...), l.noteDisplaced(t)...)
		add(t, "after_update", "AFTER UPDATE ON %s", l.note(t, "OLD", ""), l.note(t, "NEW", ""))
		add(t, "after_delete", "AFTER DELETE ON %s", l.note(t, "OLD", ""))
	}
	if l.hasStates() {
		// The rec of a record is in the keys of the boxes of its epoch, and where there is no record core.LegacyRec is.
		boxes := func(row string, recs ...string) (notes []string) {
			for _, rec := range append(recs, "'"+core.LegacyRec+"'") {
				notes = append(notes, noteBoxes(row, rec))
			}
			return notes
		}
		add(l.records, "boxes_insert", "AFTER INSERT ON %s", boxes("NEW", "NEW.rec")...)
		add(l.records, "boxes_update", "AFTER UPDATE ON %s WHEN "+differ("room_id", "epoch", "rec"),
			append(boxes("OLD", "OLD.rec"), boxes("NEW", "OLD.rec", "NEW.rec")...)...)
		add(l.records, "boxes_delete", "AFTER DELETE ON %s", boxes("OLD", "OLD.rec")...)
	}
	return all
}

// differ is true where an UPDATE changes one of the columns.
func differ(columns ...string) string {
	terms := make([]string, len(columns))
	for i, c := range columns {
		terms[i] = fmt.Sprintf("OLD.%s IS NOT NEW.%[1]s", c)
	}
	return strings.Join(terms, " OR ")
}

// noteKey adds what the query gives as k and odd to the log, where it is not there
// yet. There is no unique index, because the triggering statement would decide how
// a conflict with it is handled.
func noteKey(name core.Table, query string) string {
	return fmt.Sprintf("INSERT INTO %[1]s(name, key, odd) SELECT DISTINCT '%[2]s', k, o FROM (%[3]s) WHERE NOT EXISTS (SELECT 1 FROM %[1]s c WHERE c.name = '%[2]s' AND c.key IS k AND c.odd = o);",
		changesTable, name, query)
}

// note adds the key of a row of t. row is OLD, NEW or the name of a table in from.
func (l layout) note(t table, row, from string) string {
	user, rec, name := "", "'"+core.LegacyRec+"'", t.name
	switch t.name {
	case core.TableUsers:
		user = "id"
	case core.TableMembers, core.TableRoomKeys:
		user = "user_id"
	case tableRecords:
		rec, name = row+".rec", core.TableRoomKeys
	}
	if t.name == core.TableRoomKeys && l.hasStates() {
		rec = fmt.Sprintf("coalesce((SELECT r.rec FROM epoch_records r WHERE r.room_id = %s.room_id AND r.epoch = %[1]s.epoch), %[2]s)", row, rec)
	}
	return noteKey(name, keyOf(t, row, user, rec)+" "+from)
}

// keyOf selects the KV key as k, NULL for a row that cannot have one, and as o whether the user's id is in mixed case.
func keyOf(t table, row, user, rec string) string {
	var sound, parts []string
	odd := "0"
	for _, column := range t.primary {
		value, kind := row+"."+column, "text"
		if column == "epoch" {
			kind = "integer"
		}
		sound = append(sound, fmt.Sprintf("typeof(%s) = '%s'", value, kind))
		if column == user {
			odd = fmt.Sprintf("coalesce(%[1]s <> upper(%[1]s) AND %[1]s <> lower(%[1]s), 0)", value)
			if t.name == core.TableRoomKeys {
				parts = append(parts, rec)
			}
			value = "upper(" + value + ")"
		}
		parts = append(parts, value)
	}
	if t.name == tableRecords {
		sound, parts = append(sound, "typeof("+rec+") = 'text'"), append(parts, rec, "'"+core.RecordSuffix+"'")
	}
	return fmt.Sprintf("SELECT CASE WHEN %s THEN %s END AS k, %s AS o", strings.Join(sound, " AND "), strings.Join(parts, " || '.' || "), odd)
}

// noteDisplaced logs what an INSERT OR REPLACE, or such an UPDATE, is about to
// delete without a trigger: rows that the column's collation takes for the same
// key.
func (l layout) noteDisplaced(t table) []string {
	same := make([]string, len(t.primary))
	for i, c := range t.primary {
		same[i] = fmt.Sprintf("t.%s = NEW.%[1]s", c)
	}
	where := strings.Join(same, " AND ")
	notes := []string{l.note(t, "t", fmt.Sprintf("FROM %s t WHERE %s", t.name, where))}
	if t.name == tableRecords {
		boxes := l.keys
		notes = append(notes, noteKey(core.TableRoomKeys, keyOf(boxes, "b", "user_id", "t.rec")+
			" FROM epoch_records t JOIN room_keys b ON b.room_id = t.room_id AND b.epoch = t.epoch WHERE t.rec IS NOT NEW.rec AND "+where))
	}
	return notes
}

// noteBoxes logs the keys that the boxes of an epoch have, or had, under a rec.
func noteBoxes(row, rec string) string {
	l, _ := layoutOf(stateVersion)
	return noteKey(core.TableRoomKeys, keyOf(l.keys, "b", "user_id", rec)+
		fmt.Sprintf(" FROM room_keys b WHERE b.room_id = %s.room_id AND b.epoch = %[1]s.epoch", row))
}

// Changed returns the KV keys of a table's rows that were added, changed or
// removed since Track, each once, in bytewise order; RowsOf tells whether such a
// row is there now. KindInvalid where the file is not tracked. KindFailed names a
// row that was written meanwhile and can have no key.
func (s *Store) Changed(ctx context.Context, t core.Table) (keys []string, err error) {
	sources, err := s.sources(t)
	if err != nil {
		return nil, err
	}
	name := sources[0].from.name
	err = s.view(ctx, 0, func(ctx context.Context, tx *sql.Tx) error {
		have, err := trackingIn(ctx, tx)
		if err != nil {
			return err
		}
		if !maps.Equal(have, s.layout().tracking()) {
			return core.Errorf(core.KindInvalid, "the changes of the database %s are not tracked", s.path)
		}
		const from = " FROM " + changesTable + " WHERE name = '%s' AND "
		keyless, err := texts(ctx, tx, fmt.Sprintf("SELECT name"+from+"key IS NULL LIMIT 1", name))
		if err != nil {
			return err
		}
		if len(keyless) > 0 {
			if err := allSound(ctx, tx, sources); err != nil {
				return err
			}
		}
		keys, err = texts(ctx, tx, fmt.Sprintf("SELECT DISTINCT key"+from+"key IS NOT NULL ORDER BY key", name))
		return err
	})
	if err != nil {
		return nil, err
	}
	if t == core.TableRoomsByMember {
		for i, key := range keys {
			keys[i] = swapKeyParts(key)
		}
		slices.Sort(keys)
	}
	return keys, nil
}

// swapKeyParts makes the key of the reverse index of a member's key.
func swapKeyParts(key string) string {
	at := strings.LastIndexByte(key, '.')
	return key[at+1:] + "." + key[:max(at, 0)]
}

// allSound reads rows until one that cannot be converted. One without a key may be
// gone again.
func allSound(ctx context.Context, tx *sql.Tx, sources []source) error {
	for _, src := range sources {
		for _, err := range src.scan(ctx, tx, src.from.all("")) {
			if err != nil {
				return err
			}
		}
	}
	return nil
}
