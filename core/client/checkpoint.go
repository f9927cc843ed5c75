package client

import (
	"context"

	"unibus/core"
	"unibus/core/seal"
)

// checkpointPlan confirms the members, if no owner has for a long time.
func checkpointPlan(m *seal.Membership) ([]seal.StatementConfig, error) {
	if !m.CheckpointDue() {
		return nil, nil
	}
	return []seal.StatementConfig{{Kind: seal.StatementCheckpoint}}, nil
}

// signCheckpoint signs a checkpoint if one is due and this user is an owner. Those who join
// later begin there, and need not read what came before. Of two owners at once one counts,
// and the other finds it done.
func (w *reconciler) signCheckpoint(ctx context.Context) error {
	due := false
	w.room.members.use(func(m *seal.Membership) { due = m != nil && m.Role(w.c.me) == core.MemberOwner && m.CheckpointDue() })
	if v := w.room.view.Load(); !due || v.fault != nil || v.info.Room.State == core.RoomArchived {
		return nil
	}
	return w.room.appendSigned(ctx, checkpointPlan)
}
