package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"unibus/core"
)

// Writer writes a control plane, row by row as the buckets have it, into a new
// file. Until Finish the file has user_version 0, so that no program takes an
// incomplete file for a whole one. It is for one goroutine.
type Writer struct {
	path   string
	layout layout
	store  *Store // reads the file before it is finished; its connection is the one that writes

	noted notedRec // the last one of the transaction under way: the keys of an epoch follow each other

	mu   sync.Mutex // Discard may come from elsewhere
	done bool       // finished or discarded
}

// notedRec is the rec of an epoch.
type notedRec struct {
	at  epochOf
	rec string
}

// Create makes a file of version 2: see CreateVersion. The first user with an end
// makes it one of version 3, so that it holds everything that a KV control plane
// holds.
func Create(ctx context.Context, path string) (*Writer, error) {
	return CreateVersion(ctx, path, stateVersion)
}

// CreateVersion makes the file; only its owner may read it. KindExists where there
// is a file already, also an empty one; KindInvalid for a version that this
// program does not know. The caller ends with Finish or Discard.
func CreateVersion(ctx context.Context, path string, version int) (*Writer, error) {
	l, known := layoutOf(version)
	if !known {
		return nil, core.Errorf(core.KindInvalid, "this program makes no database of schema version %d", version)
	}
	target, err := filepath.Abs(path)
	if err != nil || path == "" {
		return nil, core.Errorf(core.KindInvalid, "%q is not a path for a database", path)
	}
	if err := createTarget(target); err != nil {
		return nil, err
	}
	w := &Writer{path: target, layout: l, store: New(Config{Path: target})}
	w.store.path, w.store.making = target, true
	w.store.fileLayout.Store(&l)
	// A file that a crash leaves is thrown away: nothing has to be on disk before Finish.
	w.store.read = sqlOpen(w.store.dsn("journal_mode(MEMORY)", "synchronous(OFF)") + "&_txlock=immediate")
	w.store.read.SetMaxOpenConns(1)
	w.store.open.Store(true)
	err = w.store.view(ctx, 0, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, fmt.Sprintf("%sPRAGMA application_id=%d;", scripts(version)[0], applicationID))
		return err
	})
	if err != nil {
		return nil, errors.Join(err, w.Discard())
	}
	return w, nil
}

// Path is the file's absolute path.
func (w *Writer) Path() string { return w.path }

// SchemaVersion is the version of the file: a user with an end raises it.
func (w *Writer) SchemaVersion() int { return w.layout.version }

// Put adds rows of users, rooms, members and room_keys, in any order, in one
// transaction: after an error none of them is there. KindInvalid names a row
// that the file cannot hold: not in the canonical form, of the derived index,
// another rec in an epoch that has one. KindExists names one that is there.
func (w *Writer) Put(ctx context.Context, rows []core.Row) error {
	if err := w.upgrade(ctx, rows); err != nil {
		return err
	}
	return w.store.view(ctx, 0, func(ctx context.Context, tx *sql.Tx) error {
		w.noted = notedRec{} // what another transaction noted may have been rolled back
		for _, r := range rows {
			if err := w.put(ctx, tx, r); err != nil {
				return w.explain(r, err)
			}
		}
		return nil
	})
}

// upgrade makes a file of version 2 one of version 3 where a user has an end. A row
// that cannot be decoded is left to put.
func (w *Writer) upgrade(ctx context.Context, rows []core.Row) error {
	hasEnd := func(r core.Row) bool {
		u, err := core.DecodeUser(r)
		return err == nil && u.Expires != 0
	}
	if w.layout.version != stateVersion || !slices.ContainsFunc(rows, func(r core.Row) bool { return r.Table == core.TableUsers && hasEnd(r) }) {
		return nil
	}
	err := w.store.view(ctx, 0, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, upgradeSteps(stateVersion, expiryVersion))
		return err
	})
	if err != nil {
		return err
	}
	w.layout, _ = layoutOf(expiryVersion)
	l := w.layout
	w.store.fileLayout.Store(&l)
	return nil
}

// checkUser refuses a user with an end where the version has no place for one.
func (w *Writer) checkUser(u core.User) error {
	if u.Expires != 0 && !w.layout.hasExpiry() {
		return core.Errorf(core.KindInvalid, "it has an end, and in a database of schema version %d users have none", w.layout.version)
	}
	return core.CheckUser(u)
}

// explain says which row was refused.
func (w *Writer) explain(r core.Row, err error) error {
	var known *core.Error
	switch {
	case isUnique(err):
		return core.Errorf(core.KindExists, "the row %s of %s is in %s already", r.Key, r.Table, w.path)
	case errors.As(err, &known):
		next := known.Next
		refused := core.Errorf(core.KindInvalid, "the row %s of %s cannot be written to %s: %w", r.Key, r.Table, w.path, err)
		if next != "" {
			refused = refused.WithNext("%s", next)
		}
		return refused
	}
	return err
}

func (w *Writer) put(ctx context.Context, tx *sql.Tx, r core.Row) error {
	switch r.Table {
	case core.TableUsers:
		return putRow(r, core.DecodeUser, core.UserRow, w.checkUser, func(u core.User) error { return w.layout.insertUser(ctx, tx, u) })
	case core.TableRooms:
		return putRow(r, core.DecodeRoom, core.RoomRow, w.checkRoom, func(room core.Room) error {
			if err := w.note(ctx, tx, epochOf{room.ID, room.Epoch}, room.Rec); err != nil {
				return err
			}
			return w.layout.insertRoom(ctx, tx, room)
		})
	case core.TableMembers:
		return putRow(r, core.DecodeMember, core.MemberRow, w.checkMember, func(m core.Member) error { return w.layout.insertMember(ctx, tx, m) })
	case core.TableRoomKeys:
		return w.putRoomKey(ctx, tx, r)
	}
	return core.Errorf(core.KindInvalid, "the table %q is not one of a database; the index of rooms by member is derived", r.Table)
}

// checkRoom refuses a room without a state: "" is not what the file would return.
func (w *Writer) checkRoom(r core.Room) error {
	if r.State == "" {
		return core.Errorf(core.KindInvalid, "it has no state")
	}
	return w.layout.checkRoom(r)
}

// checkMember refuses a removed member where the version has no place for one.
func (w *Writer) checkMember(m core.Member) error {
	if m.State != core.MemberActive && !w.layout.hasStates() {
		return core.Errorf(core.KindInvalid, "its state is %s, and a database of schema version %d has no states of members", m.State, w.layout.version)
	}
	return core.CheckMember(m)
}

func (w *Writer) putRoomKey(ctx context.Context, tx *sql.Tx, r core.Row) error {
	key, record, err := core.DecodeKey(r)
	switch {
	case err != nil:
		return err
	case key != nil:
		return putRow(r, given(*key), core.KeyRow, checkKey, func(k core.SealedKey) error {
			if err := w.note(ctx, tx, epochOf{k.Room, k.Epoch}, k.Rec); err != nil {
				return err
			}
			return w.layout.insertKey(ctx, tx, k)
		})
	}
	if !w.layout.hasStates() {
		return core.Errorf(core.KindInvalid, "a database of schema version %d has no records", w.layout.version)
	}
	return putRow(r, given(*record), core.RecordRow, core.CheckRecord, func(e core.EpochRecord) error {
		note := func(at epochOf, rec string) error { return w.note(ctx, tx, at, rec) }
		if err := mentionsOfRecord(e, note); err != nil {
			return err
		}
		// The note made the row. A prev in it says that the record itself is there already.
		n, err := execCount(ctx, tx, "UPDATE epoch_records SET record = ?, prev = ? WHERE room_id = ? AND epoch = ? AND prev IS NULL",
			nullableBytes(e.Record), e.Prev, string(e.Room), int64(e.Epoch))
		if err == nil && n == 0 {
			err = core.Errorf(core.KindExists, "it is there already")
		}
		return err
	})
}

func given[T any](v T) func(core.Row) (T, error) { return func(core.Row) (T, error) { return v, nil } }

// putRow decodes a row, checks that it would come back byte for byte, and adds it.
func putRow[T any](r core.Row, decode func(core.Row) (T, error), encode func(T) core.Row, check, insert func(T) error) error {
	v, err := decode(r)
	if err != nil {
		return err
	}
	if err := check(v); err != nil {
		return err
	}
	if again := encode(v); again.Key != r.Key || string(again.Value) != string(r.Value) {
		return core.Errorf(core.KindInvalid, "its value is not in the canonical form: it would come back as %s", display(string(again.Value)))
	}
	return insert(v)
}

// note keeps the rec of an epoch, whichever row mentions it first, so that the
// order of the rows does not matter. That of an epoch without a record,
// core.LegacyRec, is kept too until Finish.
func (w *Writer) note(ctx context.Context, tx *sql.Tx, at epochOf, rec string) error {
	if err := core.CheckRecName(rec); err != nil {
		return err
	}
	if !w.layout.hasStates() {
		if rec != core.LegacyRec {
			return core.Errorf(core.KindInvalid, "its rec is %s, and a database of schema version %d has no records", rec, w.layout.version)
		}
		return nil
	}
	if w.noted == (notedRec{at, rec}) {
		return nil
	}
	n, err := execCount(ctx, tx, w.layout.records.insert()+" ON CONFLICT(room_id, epoch) DO NOTHING", string(at.room), int64(at.epoch), rec, nil, nil)
	have := rec
	if err == nil && n == 0 {
		have, err = recIn(ctx, tx, at)
	}
	if err == nil && have != rec {
		err = twoRecs(at, have, rec)
	}
	if err == nil {
		w.noted = notedRec{at, rec}
	}
	return err
}

// Finish checks the file as a migration would (orphans, epochs above their rooms',
// records that lead nowhere) and its pages, and syncs it: it is then a whole
// database without a log beside it. After an error only Discard is left.
func (w *Writer) Finish(ctx context.Context) (BackupInfo, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return BackupInfo{}, core.Errorf(core.KindFailed, "the database %s is finished already, or was discarded", w.path)
	}
	if err := w.finalize(ctx); err != nil {
		return BackupInfo{}, err
	}
	if err := w.store.Close(); err != nil {
		return BackupInfo{}, err
	}
	info, err := settleFile(w.path)
	if err != nil {
		return BackupInfo{}, fileFailed(w.path, err)
	}
	w.done = true
	return info, nil
}

// finalize is the part of Finish that SQLite does.
func (w *Writer) finalize(ctx context.Context) error {
	err := w.store.view(ctx, 0, func(ctx context.Context, tx *sql.Tx) error {
		if !w.layout.hasStates() {
			return nil
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM epoch_records WHERE rec = ? AND prev IS NULL", core.LegacyRec)
		return err
	})
	if err != nil {
		return err
	}
	problems, err := w.store.Problems(ctx, 10)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		p := problems[0]
		return core.Errorf(core.KindInvalid, "what was written to %s is not a whole control plane: the row %s of %s: %s (%d such problems or more)",
			w.path, p.Key, p.Table, p.Text, len(problems)).WithNext("look for damage in its source")
	}
	return w.store.view(ctx, 0, func(ctx context.Context, tx *sql.Tx) error {
		said, err := texts(ctx, tx, "PRAGMA integrity_check(10)")
		if err != nil {
			return err
		}
		if len(said) != 1 || said[0] != "ok" {
			return core.Errorf(core.KindFailed, "the new database %s is damaged: %s", w.path, strings.Join(said, "; ")).
				WithNext("look at the disk and the kernel's log before anything else")
		}
		_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version=%d", w.layout.version))
		return err
	})
}

// Discard removes a file that was not finished. After Finish, and twice, it does nothing.
func (w *Writer) Discard() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return nil
	}
	w.done = true
	err := w.store.Close()
	if removed := os.Remove(w.path); removed != nil {
		err = errors.Join(err, fileFailed(w.path, removed))
	}
	return err
}
