package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// The fence is two things in one transaction: a raised user_version, which
// this program checks, and triggers, which stop an older one that has the file
// open.

var fencedEvents = []string{"INSERT", "UPDATE", "DELETE"}

func trigger(t table, event string) string {
	return fmt.Sprintf("unibus_fence_%s_%s", t.name, strings.ToLower(event))
}

// Fence refuses every change from now on, in every process, until Lift. A fenced
// file stays fenced over a restart. Fencing twice is harmless.
func (s *Store) Fence(ctx context.Context) error {
	return s.updateAnySchema(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		version, err := pragmaInt(ctx, tx, "user_version")
		if err != nil || version >= fenceStep {
			return err
		}
		if err := s.checkSchema(ctx, tx); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, s.layout().fenceScript()+fmt.Sprintf("PRAGMA user_version=%d;", version+fenceStep))
		return err
	})
}

// fenceScript makes the triggers of a fence.
func (l layout) fenceScript() string {
	var script strings.Builder
	for _, t := range l.tables {
		for _, event := range fencedEvents {
			fmt.Fprintf(&script, "CREATE TRIGGER %s BEFORE %s ON %s BEGIN SELECT RAISE(ABORT, 'the control plane is moving'); END;\n",
				trigger(t, event), event, t.name)
		}
	}
	return script.String()
}

// Lift undoes exactly what Fence did. Lifting twice is harmless.
func (s *Store) Lift(ctx context.Context) error {
	return s.updateAnySchema(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		version, err := pragmaInt(ctx, tx, "user_version")
		if err != nil || version < fenceStep {
			return err
		}
		var script strings.Builder
		for _, t := range s.layout().tables {
			for _, event := range fencedEvents {
				fmt.Fprintf(&script, "DROP TRIGGER IF EXISTS %s;\n", trigger(t, event))
			}
		}
		fmt.Fprintf(&script, "PRAGMA user_version=%d;", version-fenceStep)
		_, err = tx.ExecContext(ctx, script.String())
		return err
	})
}

// Fenced is true where the file is fenced now, by any process.
func (s *Store) Fenced(ctx context.Context) (bool, error) {
	fenced := false
	err := s.viewAnySchema(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		version, err := pragmaInt(ctx, tx, "user_version")
		fenced = version >= fenceStep
		return err
	})
	return fenced, err
}
