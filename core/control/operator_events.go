package control

import (
	"context"

	"unibus/core"
)

// Ask has a room told that an operator asks a member to rekey it. It is a hint
// like every event: the member's program looks for itself whether the room needs
// a new key, and no message can make it do so. KindUnavailable where the room could
// not be told.
func (s *Service) Ask(room core.RoomID, epoch core.Epoch, member core.UserID) error {
	s.announce(Event{Kind: EventAsked, Room: room, Epoch: epoch, User: member})
	if err := s.cfg.Conn.FlushTimeout(flushTimeout); err != nil { // what went wrong with the event shows here too
		return core.Errorf(core.KindUnavailable, "the room %s could not be told: %w", room, err).WithNext("try again")
	}
	return nil
}

// UserChanged has the user's rooms told that an operator revoked or
// activated them, or that their time is over.
func (s *Service) UserChanged(ctx context.Context, st core.Store, u core.User) {
	s.tellRooms(ctx, st, u, "")
}
