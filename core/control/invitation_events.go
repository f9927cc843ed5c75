package control

import (
	"encoding/json"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/seal"
)

// InvitationState says what became of an invitation.
type InvitationState string

// The states of an invitation.
const (
	InvitationPending   InvitationState = "pending"   // it came, and is not answered
	InvitationAccepted  InvitationState = "accepted"  // the invited user is a member
	InvitationDeclined  InvitationState = "declined"  // by the invited user
	InvitationWithdrawn InvitationState = "withdrawn" // by a member or a user-admin
)

// InvitationEvent is a hint to one user about invitations. It tells the invited user
// that the list of invitations has changed, and nothing of a room: the list has all
// that may be known of a pending room. To the inviter it says what became of an
// invitation to a room whose members sign nothing; in other rooms their statements do.
type InvitationEvent struct {
	V     int             `json:"v"`
	Room  core.RoomID     `json:"room,omitempty"` // empty: read the list of invitations again
	User  core.UserID     `json:"user,omitempty"` // who was invited
	Role  core.MemberRole `json:"role,omitempty"`
	State InvitationState `json:"state,omitempty"`
	By    core.UserID     `json:"by,omitempty"` // who accepted, declined or withdrew it
}

// InvitationSubject is where the service tells a user of invitations: a subject of the
// user's inbox, which nobody else may read.
func InvitationSubject(user core.UserID) string {
	return auth.InboxPrefix(string(user)) + ".unibus.invitations"
}

// ParseInvitationEvent reads a hint about invitations. KindInvalid.
func ParseInvitationEvent(m *nats.Msg) (InvitationEvent, error) {
	var e InvitationEvent
	if err := json.Unmarshal(m.Data, &e); err != nil || e.V != version {
		return InvitationEvent{}, core.Errorf(core.KindInvalid, "a message to %s is no hint about invitations", m.Subject)
	}
	return e, nil
}

// tellUser sends a hint about invitations. A lost one is no error: clients also read
// the list from time to time.
func (s *Service) tellUser(user core.UserID, e InvitationEvent) {
	if user == "" {
		return
	}
	e.V = version
	body, err := json.Marshal(e)
	if err == nil {
		err = s.cfg.Conn.Publish(InvitationSubject(user), body)
	}
	if err != nil {
		s.cfg.Log.Warn("a user could not be told of an invitation", "user", user, "error", err)
	}
}

// tellInvitation tells the invited and the inviter of a room without statements what
// became of an invitation.
func (s *Service) tellInvitation(a *actor, m core.Member, state InvitationState) {
	s.tellUser(m.User, InvitationEvent{})
	if by := inviter(m); by != m.User {
		s.tellUser(by, InvitationEvent{Room: m.Room, User: m.User, Role: m.Role, State: state, By: a.id()})
	}
}

// tellSigned tells of a statement about an invitation: the invited that their list is
// another one, and the members that there is a statement to follow.
func (s *Service) tellSigned(a *actor, c memberChange) {
	if c.wasActive || c.kind == seal.StatementCheckpoint {
		return
	}
	s.tellUser(c.row.User, InvitationEvent{})
	if !c.joined {
		s.announce(Event{Kind: EventStatements, Room: c.row.Room, Epoch: a.room.Epoch, User: c.row.User, By: a.id()})
	}
}

// checkInvitedSigner refuses every statement of a user who is only invited, but an
// answer: the errors of others would say who the members are.
func (a *actor) checkInvitedSigner(signed []seal.Statement) error {
	if a.rank != outsider {
		return nil
	}
	for _, st := range signed {
		if st.Kind != seal.StatementAccept && st.Kind != seal.StatementDecline {
			return core.Errorf(core.KindRefused, "%s is invited to the room %s, and may only accept or decline", a.id().Short(), st.Room)
		}
	}
	return nil
}
