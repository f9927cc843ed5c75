package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"unibus/core"
)

// upgradeToStates makes a file of version 1 one of version 2, which has states and
// records. Nothing in it is lost, and programs that know version 1 alone refuse it
// from then on. It happens when the first thing has to be kept that version 1 has
// no place for, and not while a migration reads the file.
func (s *Store) upgradeToStates(ctx context.Context) error {
	if s.layout().hasStates() {
		return nil
	}
	err := s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		version, err := pragmaInt(ctx, tx, "user_version")
		if err != nil || version == stateVersion { // another process was faster
			return err
		}
		log, err := trackingIn(ctx, tx)
		if err != nil {
			return err
		}
		if len(log) > 0 {
			return core.Errorf(core.KindUnavailable, "the control plane is being migrated: its database cannot be given states and records meanwhile").
				WithNext("try again once the migration is over; `unibusd migration status` shows its progress")
		}
		_, err = tx.ExecContext(ctx, upgradeScript()+fmt.Sprintf("PRAGMA user_version=%d;", stateVersion))
		return err
	})
	if err != nil {
		return err
	}
	l, _ := layoutOf(stateVersion)
	s.fileLayout.Store(&l)
	return nil
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
