package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"unibus/core"
)

// upgradeToStates makes a file of version 1 one of version 2, which has states and
// records.
func (s *Store) upgradeToStates(ctx context.Context) error { return s.upgrade(ctx, stateVersion) }

// upgradeForUsers makes a file of version 3, in which users have ends, where one of
// the users has one. Programs of older releases would admit them for ever.
func (s *Store) upgradeForUsers(ctx context.Context, users ...core.User) error {
	for _, u := range users {
		if u.Expires != 0 {
			return s.upgrade(ctx, expiryVersion)
		}
	}
	return nil
}

// upgrade gives a file of an older version the tables and columns of a later one.
// Nothing in it is lost, and programs that know the older version alone refuse it
// from then on. It happens when the first thing has to be kept that the older
// version has no place for, and not while a migration reads the file.
func (s *Store) upgrade(ctx context.Context, to int) error {
	if s.layout().version >= to {
		return nil
	}
	if err := s.checkUpgradeNames(to); err != nil {
		return err
	}
	version := to
	err := s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		from, err := pragmaInt(ctx, tx, "user_version")
		if err != nil || from >= to { // another process was faster
			version = from
			return err
		}
		version = to
		log, err := trackingIn(ctx, tx)
		if err != nil {
			return err
		}
		if len(log) > 0 {
			return core.Errorf(core.KindUnavailable, "the control plane is being migrated: its database cannot be given schema version %d meanwhile", to).
				WithNext("try again once the migration is over; `unibusd migration status` shows its progress")
		}
		_, err = tx.ExecContext(ctx, upgradeSteps(from, to)+fmt.Sprintf("PRAGMA user_version=%d;", to))
		return err
	})
	if err != nil {
		return err
	}
	if _, known := layoutOf(version); known {
		s.compared.Store(0) // the declarations are read again
		return s.view(ctx, s.cfg.Timeout, func(context.Context, *sql.Tx) error { return nil })
	}
	return nil
}

// checkUpgradeNames refuses a file whose owner added a column or a table of the name
// that a later version needs.
func (s *Store) checkUpgradeNames(to int) error {
	next, _ := layoutOf(to)
	for _, x := range s.layout().surplus {
		for _, t := range next.tables {
			column := slices.ContainsFunc(t.columns, func(c string) bool { return sameName(c, x.column) })
			if sameName(string(t.name), x.table) && (x.column == "" || column) {
				return core.Errorf(core.KindRefused, "the database %s has %s, which unibus did not make and whose name schema version %d needs", s.path, x, to).
					WithNext("with the node stopped, rename it")
			}
		}
	}
	return nil
}

// upgradeSteps are the statements between two versions.
func upgradeSteps(from, to int) (script string) {
	if from < stateVersion && to >= stateVersion {
		script += upgradeScript()
	}
	if from < expiryVersion && to >= expiryVersion {
		script += expirySchema
	}
	return script
}

// upgradeScript is stateSchema for a file that has rows. The defaults are for
// a process that still writes as version 1 at that moment.
func upgradeScript() string {
	return fmt.Sprintf(`
ALTER TABLE rooms ADD COLUMN rec TEXT DEFAULT '%s';
ALTER TABLE rooms ADD COLUMN state TEXT DEFAULT '%s';
ALTER TABLE members ADD COLUMN state TEXT DEFAULT '%s';
CREATE TABLE epoch_records(room_id TEXT, epoch INTEGER, rec TEXT, record BLOB, prev TEXT, PRIMARY KEY(room_id, epoch));
`, core.LegacyRec, core.RoomActive, core.MemberActive)
}
