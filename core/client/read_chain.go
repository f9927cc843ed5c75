package client

import (
	"context"
	"errors"
	"math"

	"unibus/core/control"
	"unibus/core/seal"
)

// readChain reads the whole chain. It must lead through what an earlier process has
// followed; a user who reads it for the first time has signed a statement of it, or the
// program has named its founder. head is what the node names.
func (w *reconciler) readChain(ctx context.Context, head seal.MembershipHead) error {
	if err := w.unconfirmed.still(head, w.c.founderOf(w.room.id)); err != nil {
		return err
	}
	var saved roomState
	w.room.do(func(l *roomLoop) { saved = l.saved })
	mark, answered := saved.Members, saved.Answered
	members, err := w.room.newestChain(ctx, saved)
	if err == nil && !w.isBound(members, saved) {
		members, err = w.room.chainFrom(ctx, saved, 0) // nothing that this user knows binds the checkpoint
	}
	switch {
	case err != nil:
		return err
	case !members.FromFounding() && !w.isBound(members, saved):
		return newSealFault(seal.ErrGap, "the node shows the statements about the members of the room %s from a checkpoint on that nobody known to %s stands behind", w.room.id, w.c.me.Short())
	case !members.Encrypted():
		return newSealFault(seal.ErrStatement, "the room %s was founded as a plain room, and the node says that it is encrypted", w.room.id)
	case mark == nil && !members.Vouched(w.c.me) && (answered || !w.isFoundedWith(members)):
		return newSealFault(seal.ErrStatement, "the node shows statements about the members of the room %s among which is none of %s, who has joined it", w.room.id, w.c.me.Short())
	case !holdsAccepted(members, saved.Accepted):
		return w.acceptedError()
	case members.Role(w.c.me) == "":
		return membershipOverError(w.room.id, w.c.me) // the node alone calls this user a member: nothing of the room is shown
	case mark == nil && !members.Vouched(w.c.me):
		if err := w.confirmFounding(members, head); err != nil {
			return err
		}
	}
	w.room.members.mu.Lock()
	w.room.members.chain = members
	w.room.members.mu.Unlock()
	if mark == nil && saved.Accepted == (seal.Hash{}) { // on disk together with the mark
		w.room.do((*roomLoop).noteNewDevice)
	}
	if mark != nil && members.SignedSince(w.c.me, mark.Head.Seq) { // by another process, or by this user's before it ended
		w.room.do((*roomLoop).noteOwnSigned)
	}
	if err := errors.Join(w.checkAccepted(), w.saveMembers()); err != nil {
		return err
	}
	if mark == nil && members.FoundedAnew() {
		founder, _ := members.Founder()
		w.c.events.emit(Founded{Room: w.room.id, By: founder, Members: len(members.People()), Trusted: true})
	}
	return nil
}

// isBound says whether something that this user knows binds the beginning of a chain: the
// founding, a statement that was followed before, or the invitation that was accepted.
func (w *reconciler) isBound(m *seal.Membership, saved roomState) bool {
	switch {
	case m.FromFounding():
		return true
	case saved.Accepted != seal.Hash{}:
		return m.Holds(saved.Accepted)
	}
	return saved.Members != nil || m.JoinedSinceStart(w.c.me)
}

// holdsAccepted says whether a chain holds the invitation that was accepted last, if any. A
// node that kept the answer to an older invitation could show the branch of that one, with
// members who were removed since.
func holdsAccepted(m *seal.Membership, accepted seal.Hash) bool {
	return accepted == seal.Hash{} || m.Holds(accepted)
}

func (w *reconciler) acceptedError() error {
	return newSealFault(seal.ErrGap, "the node shows statements about the members of the room %s among which the invitation that %s has accepted is missing", w.room.id, w.c.me.Short())
}

// checkAccepted checks that the chain that was followed holds the invitation that was
// accepted last, also if it was accepted since the chain was read.
func (w *reconciler) checkAccepted() error {
	var accepted seal.Hash
	w.room.do(func(l *roomLoop) { accepted = l.saved.Accepted })
	if accepted == (seal.Hash{}) {
		return nil
	}
	holds := false
	w.room.members.use(func(m *seal.Membership) { holds = m != nil && m.Holds(accepted) })
	if !holds {
		return w.acceptedError()
	}
	w.room.noteMembers() // the mark and the end of the answer go to the disk together
	w.room.do(func(l *roomLoop) {
		if l.saved.Accepted == accepted {
			l.saved.Accepted, l.unsaved = seal.Hash{}, true
		}
	})
	return w.saveMembers()
}

// isFoundedWith says that the room was founded anew, and this user is a member of it. Such
// a founding is first contact, which confirmFounding leaves to the program. A user who has
// joined by an answer knows the room's chain by that.
func (w *reconciler) isFoundedWith(m *seal.Membership) bool {
	return m.FoundedAnew() && m.Role(w.c.me) != ""
}

// newestChain reads a room's chain from the newest checkpoint on that is not after what
// is known: the statements and the record that this process has followed.
func (r *Room) newestChain(ctx context.Context, saved roomState) (*seal.Membership, error) {
	upto := uint64(math.MaxInt64)
	if saved.Members != nil {
		upto = saved.Members.Head.Seq
	}
	if saved.Head != nil && saved.Head.Members != nil {
		upto = min(upto, saved.Head.Members.Seq)
	}
	return r.chainFrom(ctx, saved, upto)
}

// chainFrom reads a room's chain from a checkpoint on that is not after a number, or, with
// 0, from its founding on. It leads through what is known. Each page is followed as it comes,
// but for those up to what is known: a node can send pages without end.
func (r *Room) chainFrom(ctx context.Context, saved roomState, upto uint64) (m *seal.Membership, err error) {
	from := seal.MembershipSource{Room: r.id}
	begin := func() (err error) {
		if saved.Members != nil {
			m, err = seal.ResumeMembership(*saved.Members, from)
		} else {
			m, err = seal.ReadMembership(from)
		}
		return err
	}
	err = r.readStatements(ctx, control.StatementsRequest{Room: string(r.id), Upto: upto}, func(page control.Statements) error {
		if m != nil {
			return m.AppendAll(page.Statements)
		}
		if from.Statements = append(from.Statements, page.Statements...); page.State != nil {
			from.State = page.State
		}
		if saved.Members != nil && uint64(len(from.Statements)) <= saved.Members.Head.Seq && page.First+uint64(len(page.Statements)) <= saved.Members.Head.Seq {
			return nil
		}
		return begin()
	})
	if err == nil && m == nil {
		err = begin()
	}
	return m, err
}

// statementsPage is how many statements a node gives at once, at the most.
const statementsPage = 1000

// readStatements reads statements, page after page, until take returns an error.
func (r *Room) readStatements(ctx context.Context, req control.StatementsRequest, take func(control.Statements) error) error {
	for {
		page, err := sendRetrying(ctx, r.c, readOnly, func(ctx context.Context) (control.Statements, error) {
			return r.c.api.Statements(ctx, req)
		})
		if err != nil {
			return err
		}
		if len(page.Statements) > statementsPage {
			return newSealFault(seal.ErrFormat, "the node shows %d statements about the members of the room %s at once", len(page.Statements), r.id)
		}
		if err := take(page); err != nil {
			return err
		}
		if req.Upto > 0 {
			req.From = page.First
		}
		if req.From += uint64(len(page.Statements)); len(page.Statements) == 0 || req.From > page.Head.Seq {
			return nil
		}
		req.Upto = 0
	}
}
