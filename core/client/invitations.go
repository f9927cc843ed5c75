package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// Invitation is a pending invitation of this user. Of a room that is not accepted yet
// nothing else is shown: neither its members nor what is said there.
type Invitation struct {
	Room      core.RoomID
	Name      string // of the room, as the node says
	Encrypted bool
	Role      core.MemberRole
	By        core.UserID // who invites; "": not known
	At        core.Millis

	// Signed says that By has signed the invitation. Otherwise it is the node's word alone
	// who invites: to a plain room, or to one that was created before members signed.
	Signed bool

	// SafetyNumber is the one of this user and By: compare it to know whose key By is. ""
	// without a signature: a number that agrees would say nothing of who invites.
	SafetyNumber seal.SafetyNumber

	statement seal.Hash
}

// isSame says that both are one invitation.
func (i Invitation) isSame(o Invitation) bool {
	return i.isLike(o) && i.statement == o.statement
}

// isLike says that both ask the same of this user: a person decides once about them.
func (i Invitation) isLike(o Invitation) bool {
	return i.Room == o.Room && i.By == o.By && i.Role == o.Role && i.Encrypted == o.Encrypted && i.Signed == o.Signed
}

func (i Invitation) describe() string {
	text := fmt.Sprintf("by %s as %s", i.By.Short(), i.Role)
	if !i.Signed {
		text += ", unsigned"
	}
	return text
}

func (i Invitation) changed(me core.UserID, state control.InvitationState, by core.UserID) InvitationChanged {
	return InvitationChanged{Room: i.Room, User: me, Inviter: i.By, Role: i.Role, State: state, By: by}
}

// checkInvitation takes what may be shown of an invitation, if it fits together.
func (c *Client) checkInvitation(i control.Invitation) (Invitation, error) {
	if _, err := core.ParseRoomID(string(i.Room)); err != nil {
		return Invitation{}, falseInvitation("the node shows an invitation to a room whose id is not valid")
	}
	out := Invitation{Room: i.Room, Encrypted: i.Encrypted, Role: i.Role, By: i.By, At: i.At}
	if i.Name != nil {
		out.Name = core.ShownName(*i.Name)
	}
	if i.Role != core.MemberMember && i.Role != core.MemberAdmin {
		return Invitation{}, falseInvitation("the node shows an invitation to the room %s as %.40q", i.Room, i.Role)
	}
	if _, err := core.ParseUserID(string(i.By)); err != nil && i.By != "" {
		return Invitation{}, falseInvitation("the node shows an invitation to the room %s by %.60q, who is no user", i.Room, i.By)
	}
	if len(i.Statement) == 0 {
		return out, nil
	}
	st, err := c.verifyInvitation(i)
	if err == nil && !i.Encrypted {
		err = falseInvitation("the members of the room %s sign, and the node says that it is not encrypted", i.Room)
	}
	if err == nil && i.By != c.me {
		out.SafetyNumber, err = c.invitations.number(c.me, i.By)
	}
	if err != nil {
		return Invitation{}, err
	}
	out.Signed, out.At, out.statement = true, st.Time, st.Hash
	return out, nil
}

func falseInvitation(format string, args ...any) error {
	return newSealFault(seal.ErrStatement, format, args...)
}

// verifyInvitation checks what the inviter has signed against what the node says.
func (c *Client) verifyInvitation(i control.Invitation) (seal.Statement, error) {
	st, err := seal.VerifyStatement(i.Room, i.Statement)
	if err != nil {
		return seal.Statement{}, err
	}
	if st.Kind != seal.StatementInvite || st.Subject != c.me || st.Signer != i.By || st.Role != i.Role {
		return seal.Statement{}, falseInvitation("the node says that %s invites to the room %s as %s, and shows %s", i.By.Short(), i.Room, i.Role, st)
	}
	return st, nil
}

// Invitations are the pending invitations of this user, by room. One that contradicts
// itself is a Suspicion and not among them. Accept and Decline answer what was shown here.
func (c *Client) Invitations(ctx context.Context) ([]Invitation, error) {
	if err := c.checkOpen(); err != nil {
		return nil, err
	}
	all, err := c.readInvitations(ctx, true)
	if err == nil {
		c.invitations.show(all)
	}
	return all, err
}

// Accept accepts an invitation to a room and opens the room. The session is renewed
// meanwhile, as with every change of a user's rooms. KindNotFound without an
// invitation; KindRefused if it is not valid any more, the room is archived, or
// this user is in the maximum number of rooms. KindConflict, and nothing is signed, if
// the invitation is another one than Invitations or an event has shown.
func (c *Client) Accept(ctx context.Context, room core.RoomID) (*Room, error) {
	defer c.invitations.answer(room)()
	signed, err := c.answer(ctx, room, true)
	if err == nil && !signed {
		err = c.acceptUnsigned(ctx, room)
	}
	if err != nil {
		return nil, err
	}
	c.noteAnswered(room, control.InvitationAccepted)
	return c.Room(ctx, room)
}

func (c *Client) acceptUnsigned(ctx context.Context, room core.RoomID) error {
	tries := 0
	_, err := sendRetryingIfOpen(ctx, c, idempotent, func(ctx context.Context) (core.Member, error) {
		tries++
		m, err := c.api.Accept(ctx, room)
		if tries > 1 && core.KindOf(err) == core.KindNotFound { // the attempt before has accepted it, or opening the room fails
			err = nil
		}
		return m, err
	})
	return err
}

// Decline declines an invitation. KindNotFound without one; KindConflict as Accept.
func (c *Client) Decline(ctx context.Context, room core.RoomID) error {
	defer c.invitations.answer(room)()
	signed, err := c.answer(ctx, room, false)
	if err == nil && !signed {
		act := func(ctx context.Context) (core.Member, error) { return c.api.Decline(ctx, room) }
		_, err = sendOnce(ctx, c, act, c.invitationCheck(room))
	}
	if err == nil {
		c.noteAnswered(room, control.InvitationDeclined)
	}
	return err
}

// noteAnswered emits the event of an answer. Its invitation is not withdrawn when it is gone.
func (c *Client) noteAnswered(room core.RoomID, state control.InvitationState) {
	was := c.invitations.answered(room)
	was.Room = room
	c.events.emit(was.changed(c.me, state, c.me))
}

// answer checks that the invitation is the one that was shown, and signs and sends the
// answer if its inviter has signed it. signed is false for an invitation without a
// statement, and where there is none.
func (c *Client) answer(ctx context.Context, room core.RoomID, accept bool) (signed bool, err error) {
	for try := 1; ; try++ {
		pending, err := sendRetryingIfOpen(ctx, c, readOnly, func(ctx context.Context) ([]control.Invitation, error) { return c.api.Invitations(ctx) })
		if err != nil {
			return false, err
		}
		at := slices.IndexFunc(pending, func(i control.Invitation) bool { return i.Room == room })
		if at < 0 {
			return c.answerWithdrawn(room, accept)
		}
		now, err := c.checkInvitation(pending[at])
		if err == nil {
			err = c.invitations.check(now)
		}
		if err == nil && accept && c.cfg.EncryptedOnly && !now.Encrypted {
			err = plainError(room)
		}
		switch {
		case err != nil:
			return true, err
		case !now.Signed:
			return c.noteUnsigned(now, accept)
		case pending[at].Chain == nil: // else hiding it would get the node an answer without a signature
			return true, newSealFault(seal.ErrGap, "the node shows no statements about the members of the room %s, and %s has signed an invitation to it", room, now.By.Short())
		}
		answer, err := c.signAnswer(pending[at], accept)
		if err == nil && accept {
			err = c.noteAnswer(now)
		}
		if err != nil {
			return true, err
		}
		_, err = sendRetryingIfOpen(ctx, c, idempotent, func(ctx context.Context) (control.ChainHead, error) {
			return c.api.AppendStatements(ctx, room, answer.Bytes())
		})
		if core.KindOf(err) != core.KindConflict || try == signTries {
			return true, err
		}
	}
}

// answerWithdrawn is the answer to an invitation that the node does not list. Only one that
// was shown without a signature is left for the node to decide.
func (c *Client) answerWithdrawn(room core.RoomID, accept bool) (signed bool, err error) {
	was := c.invitations.lastShown(room)
	if accept && c.cfg.EncryptedOnly && was.Room != "" && !was.Encrypted {
		return true, plainError(room)
	}
	if !was.Signed {
		return c.noteUnsigned(was, accept)
	}
	return true, core.Errorf(core.KindNotFound, "there is no invitation to the room %s any more", room).WithNext("ask the room's owner for one")
}

// noteUnsigned saves what is accepted without a statement, as it was shown. signed is false
// unless that failed.
func (c *Client) noteUnsigned(i Invitation, accept bool) (signed bool, err error) {
	if accept && i.Room != "" {
		err = c.noteAnswer(i)
	}
	return err != nil, err
}

// noteAnswer saves what this user accepts, before the answer is sent. It stays if the node
// refuses: the statement about the room holds nevertheless, and a node could refuse a
// request that it has carried out. A room that was left and is not closed yet has its file
// to itself.
func (c *Client) noteAnswer(i Invitation) error {
	r := c.openRoom(i.Room)
	if r == nil {
		return c.dir.noteAnswer(i)
	}
	r.do(func(l *roomLoop) { l.unsaved = l.over == nil && l.saved.noteAnswer(i) || l.unsaved })
	if err := r.save(false); err != nil || r.view.Load().over == nil {
		return err
	}
	<-r.ended
	return c.dir.noteAnswer(i)
}

// signAnswer signs an answer over the head that the node names. The whole chain is
// read and verified once this user is a member, before anything is sent or given.
func (c *Client) signAnswer(i control.Invitation, accept bool) (seal.Statement, error) {
	st, err := c.verifyInvitation(i)
	if err != nil {
		return seal.Statement{}, err
	}
	this := signedAnswer{invitation: st.Hash, over: i.Chain.Hash, accept: accept}
	return c.invitations.sameAnswer(i.Room, this, func() (seal.Statement, error) {
		return seal.SignAnswer(seal.AnswerConfig{
			Invitation: st, Head: i.Chain.MembershipHead, Epoch: i.Chain.Epoch, Record: i.Chain.Record, Accept: accept,
			By: c.id, At: core.MillisOf(time.Now()),
		})
	})
}
