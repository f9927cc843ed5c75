package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// memberChain is the chain of statements about a room's members. The reconciler reads
// it, and calls sign over it while the reconciler is busy, so it has a lock. The lock is
// held for no request and never while a function waits for the room's goroutine.
type memberChain struct {
	mu    sync.Mutex
	chain *seal.Membership // nil for a room whose members sign nothing, and until it was read
	last  signedChange
}

// signedChange is what this user has signed last. While no statement came since, the same
// change is sent again by the same bytes: two statements over one head are a fork, and the
// proof of it would name this user.
type signedChange struct {
	over   seal.Hash
	what   string
	signed [][]byte
}

// has says whether a statement is one of them.
func (c signedChange) has(statement []byte) bool {
	return slices.ContainsFunc(c.signed, func(b []byte) bool { return bytes.Equal(b, statement) })
}

// use calls f with the chain, which may be nil.
func (c *memberChain) use(f func(m *seal.Membership)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.chain)
}

// head is the newest statement that was followed; false while the chain was not read.
func (c *memberChain) head() (h seal.MembershipHead, read bool) {
	c.use(func(m *seal.Membership) {
		if read = m != nil; read {
			h = m.Head()
		}
	})
	return h, read
}

// role is a user's role by the statements; signed is false for a room without any.
func (c *memberChain) role(user core.UserID) (role core.MemberRole, signed bool) {
	c.use(func(m *seal.Membership) {
		if signed = m != nil; signed {
			role = m.Role(user)
		}
	})
	return role, signed
}

// followMembers follows the statements about the room's members to the head that the
// node names. Only the users to whom they lead are given keys. The order is the same
// as for keys: verify, save, use. seen is the head before the node was asked: an
// answer may not be older.
func (w *reconciler) followMembers(ctx context.Context, info control.RoomInfo, seen seal.MembershipHead) error {
	_, read := w.room.members.head()
	switch {
	case info.Chain == nil && !read && !w.isSigned():
		return nil // created before members signed, or a plain room
	case info.Chain == nil:
		return newSealFault(seal.ErrRollback, "the node shows no statements about the members of the room %s, and they are known", w.room.id)
	case !read:
		return w.readChain(ctx, info.Chain.MembershipHead)
	case info.Chain.Seq < seen.Seq:
		return newSealFault(seal.ErrRollback, "the node shows the statements about the members of the room %s up to number %d, and %d is known", w.room.id, info.Chain.Seq, seen.Seq)
	}
	err := w.room.checkMembers(info.Chain.MembershipHead)
	if errors.Is(err, seal.ErrGap) {
		if err = w.room.fetchStatements(ctx); err == nil {
			err = w.saveMembers()
		}
		if err == nil {
			err = w.room.checkMembers(info.Chain.MembershipHead)
		}
	}
	if errors.Is(err, seal.ErrFork) {
		return w.proveFork(ctx, info.Chain.MembershipHead, err)
	}
	if err == nil {
		err = w.checkAccepted()
	}
	return err
}

// checkMembers compares a node's head with the chain, which may have gone on since the
// node was asked.
func (r *Room) checkMembers(h seal.MembershipHead) (err error) {
	r.members.use(func(m *seal.Membership) {
		if err = m.Check(h); !errors.Is(err, seal.ErrRollback) {
			return
		}
		switch known, here := m.HashAt(h.Seq); {
		case here && known == h.Hash:
			err = nil
		case here:
			err = newSealFault(seal.ErrFork, "the node shows another statement %d about the members of the room %s than the one that is known", h.Seq, r.id)
		}
	})
	return err
}

// isSigned says that the members of the room are known to sign.
func (w *reconciler) isSigned() (known bool) {
	w.room.do(func(l *roomLoop) { known = l.saved.isSigned() })
	return known
}

// fetchStatements follows the statements after the head.
func (r *Room) fetchStatements(ctx context.Context) error {
	before, read := r.members.head()
	if !read {
		return r.unreadError()
	}
	return r.readStatements(ctx, control.StatementsRequest{Room: string(r.id), From: before.Seq + 1}, func(page control.Statements) error {
		if err := r.appendMembers(page.Statements); err != nil || len(page.Statements) == 0 {
			return err
		}
		now, _ := r.members.head()
		if now == before {
			return newSealFault(seal.ErrGap, "the node shows %d statements about the members of the room %s, and none of them is new", len(page.Statements), r.id)
		}
		before = now
		return nil
	})
}

// unreadError is why nothing is decided about the members of an encrypted room.
func (r *Room) unreadError() error {
	return core.Errorf(core.KindUnavailable, "the statements about the members of the room %s were not read yet", r.id).WithOutcome(core.OutcomeNone)
}

// appendMembers follows statements, and saves how far: also if one of them does not fit.
// Nothing that they say is used before it is on disk, so that no later process can be shown less.
func (r *Room) appendMembers(all [][]byte) (err error) {
	var newest seal.Statement // by another member
	own := false              // signed by another process of this user
	r.members.use(func(m *seal.Membership) {
		for _, b := range all {
			var s seal.Statement
			known := m.Head().Seq
			if s, err = m.Append(b); err != nil {
				return
			}
			switch isNew := s.Seq > known; {
			case isNew && s.Signer == r.c.me:
				own = own || !r.members.last.has(b)
			case isNew && s.Time > newest.Time:
				newest = s
			}
		}
	})
	if own {
		r.do((*roomLoop).noteOwnSigned)
	}
	if newest.Signer != "" {
		r.do(func(l *roomLoop) { l.noteSigned(newest.Signer, newest.Time) })
	}
	r.noteMembers()
	if unsaved := r.save(false); err == nil {
		err = unsaved
	}
	return err
}

// noteMembers has the room's goroutine know what the statements say: the mark for the
// room's file, and whether a key is due.
func (r *Room) noteMembers() {
	r.do(func(l *roomLoop) {
		var mark seal.MembershipMark
		r.members.use(func(m *seal.Membership) { // here, so that the newest counts
			mark, l.departed = m.Mark(), m.MustRekey()
			l.named, _ = m.Epoch()
		})
		if before := l.saved.Members; before != nil && before.Head.Seq < mark.Head.Seq {
			l.emitInvitations(before.Head.Seq)
		}
		if l.saved.Members == nil || l.saved.Members.Head.Seq < mark.Head.Seq {
			l.saved.Members, l.unsaved = &mark, true
		}
	})
}

// saveMembers saves how far the statements were followed: nothing less is ever believed.
func (w *reconciler) saveMembers() error {
	w.room.noteMembers()
	w.keyStateUnsaved = true
	return w.save()
}

// proveFork looks for the two statements at which the node's history and the one that
// was followed part. They are the cause of the error then. It reads the node's chain once for
// each head that the node names, and no further than the own one.
func (w *reconciler) proveFork(ctx context.Context, shown seal.MembershipHead, fork error) error {
	if proof := new(seal.ForkProof); errors.As(fork, &proof) {
		return fork
	}
	if w.fork.err != nil && w.fork.shown == shown {
		return w.fork.err
	}
	own, _ := w.room.members.head()
	read := uint64(0)
	err := w.room.readStatements(ctx, control.StatementsRequest{Room: string(w.room.id)}, func(page control.Statements) error {
		if err := w.room.appendMembers(page.Statements); err != nil {
			return err
		}
		if read += uint64(len(page.Statements)); read > own.Seq {
			return fork
		}
		return nil
	})
	switch {
	case errors.Is(err, seal.ErrFork):
		w.fork = shownFork{shown, err}
		return err
	case err == nil:
		w.fork = shownFork{shown, fork}
	}
	return fork
}

// shownFork is a head that a node has named and that no history leads to which was followed.
type shownFork struct {
	shown seal.MembershipHead
	err   error
}

// checkRecord checks that the members stand behind an epoch record before it is
// followed.
func (w *reconciler) checkRecord(ctx context.Context, rec seal.Record) (err error) {
	head, read := w.room.members.head()
	if followed, known := w.chain.Head(); known && followed.Members == nil && w.isBeforeFounding(rec) {
		return nil // it binds the records that this process has followed to the first one of the members
	}
	if !read {
		if rec.Members != nil || w.isSigned() {
			return newSealFault(seal.ErrGap, "the members stand behind the record of %s, and the node shows no statements about them", rec.Place)
		}
		return nil
	}
	if rec.Members != nil && rec.Members.Seq > head.Seq {
		if err := w.room.fetchStatements(ctx); err != nil {
			return err
		}
	}
	w.room.members.use(func(m *seal.Membership) { err = m.CheckRecord(rec) })
	if err != nil {
		return err
	}
	return w.saveMembers()
}

// noteRecord notes a record that the chain of records leads to, once it is the head: one that
// was refused is compared with nothing.
func (w *reconciler) noteRecord(rec seal.Record) {
	w.room.members.use(func(m *seal.Membership) {
		if m != nil {
			m.NoteRecord(rec)
		}
	})
	if _, read := w.room.members.head(); read {
		w.room.noteMembers()
	}
}

// isBeforeFounding is true for a record of the time before a room was founded anew. Its
// key opens messages and links to the next record. Nothing is sent by it, and it is given
// to nobody.
func (w *reconciler) isBeforeFounding(rec seal.Record) (before bool) {
	if rec.Members != nil {
		return false
	}
	w.room.members.use(func(m *seal.Membership) { before = m != nil && m.FoundedAnew() })
	return before
}

// isMember says whether the statements lead to a user whom the node calls a member.
// For one whom they do not know they are read again: the user may have just joined.
// Without statements there is no member of a room that is not known to be plain.
func (w *reconciler) isMember(ctx context.Context, user core.UserID) (bool, error) {
	var may, read bool
	if _, read = w.room.members.role(user); !w.room.do(func(l *roomLoop) { may = l.mayBeMember(user) }) {
		return false, w.room.Err()
	}
	if may || !read {
		return may, nil
	}
	if err := w.room.fetchStatements(ctx); err != nil {
		return false, err
	}
	if role, _ := w.room.members.role(user); role != "" {
		return true, nil
	}
	if !w.ghosts[user] { // said once
		w.ghosts[user] = true
		w.c.reportSuspicion(w.room.id, w.ghostError(user))
	}
	return false, nil
}

func (w *reconciler) ghostError(user core.UserID) error {
	return newSealFault(seal.ErrRight, "the node calls %s a member of the room %s, and no member has invited that user: the user gets no key", user.Short(), w.room.id)
}

// newSealFault is an error whose cause is a fault of core/seal.
func newSealFault(f seal.Fault, format string, args ...any) error {
	e := core.Errorf(core.KindRefused, format, args...).WithNext("ask another node; if it says the same, suspect the servers")
	e.Err = f
	return e
}

// plan says which statements to sign, by the members as they are.
type plan func(m *seal.Membership) ([]seal.StatementConfig, error)

// change changes the room's members. In a room whose members sign, this user signs
// what is planned; in others unsigned asks the node. The reconciler may be busy meanwhile:
// a removal must not wait for it.
func (r *Room) change(ctx context.Context, p plan, unsigned func(context.Context) error) error {
	if err := r.c.checkOpen(); err != nil {
		return err
	}
	if !r.view.Load().signed {
		return unsigned(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, r.c.cfg.Timeout)
	defer cancel()
	defer r.wake()
	return r.appendSigned(ctx, p)
}

// signTries bounds how often one call signs anew because other members' statements
// came first.
const signTries = 20

// appendSigned signs statements over the head and sends them. If another member's
// came first, it follows those, decides again and signs again. If the node says so and shows
// none, the same bytes are sent again. Calls of this process take turns: only one of those that
// sign over the same head could count.
func (r *Room) appendSigned(ctx context.Context, p plan) error {
	select {
	case r.signing <- struct{}{}:
		defer func() { <-r.signing }()
	case <-ctx.Done():
		return core.Errorf(core.KindUnavailable, "the statements before this one about the members of the room %s are not sent yet: %s", r.id, errorText(ctx.Err())).WithOutcome(core.OutcomeNone)
	}
	if fault := r.view.Load().fault; fault != nil && isSuspicious(fault) && !allowsStatements(fault) {
		return fault // nothing is signed over a history that contradicts what is known
	}
	for try := 1; ; try++ {
		before, _ := r.members.head()
		signed, err := r.sign(p)
		if err != nil { // it may be allowed by a statement that was not read yet
			if e := r.fetchStatements(ctx); e != nil {
				return e
			}
			if now, _ := r.members.head(); now == before || try == signTries {
				return err
			}
			continue
		}
		if len(signed) == 0 {
			return nil
		}
		_, err = sendRetrying(ctx, r.c, idempotent, func(ctx context.Context) (control.ChainHead, error) {
			return r.c.api.AppendStatements(ctx, r.id, signed...)
		})
		if err == nil {
			return r.appendMembers(signed)
		}
		if core.KindOf(err) != core.KindConflict || try == signTries {
			return err
		}
		if err := r.fetchStatements(ctx); err != nil {
			return err
		}
	}
}

// sign signs what is planned. It names the newest epoch that was followed.
func (r *Room) sign(p plan) (signed [][]byte, err error) {
	var record *seal.Record
	v := r.view.Load()
	if head := v.head; head != nil {
		record = &seal.Record{Place: seal.Place{Epoch: head.Epoch}, Hash: head.Hash}
	}
	r.members.use(func(m *seal.Membership) {
		if m == nil {
			err = r.unreadError()
			return
		}
		var cfgs []seal.StatementConfig
		if cfgs, err = p(m); err != nil || len(cfgs) == 0 {
			return
		}
		if err = v.maySign(r, cfgs); err != nil {
			return
		}
		now := signedChange{over: m.Head().Hash, what: fmt.Sprint(cfgs)}
		if last := r.members.last; last.over == now.over && last.what == now.what {
			signed = last.signed
			return
		}
		for i := range cfgs {
			cfgs[i].By, cfgs[i].At, cfgs[i].Record = r.c.id, core.MillisOf(time.Now()), record
		}
		if now.signed, err = m.SignAll(cfgs...); err == nil {
			signed, r.members.last = now.signed, now
		}
	})
	return signed, err
}

// maySign is why statements are not signed now. A device that signs over an old head leads
// others there: an invited user trusts that head. While a record or a box is wrong, its maker can be
// removed, and a member can leave, but nobody is brought in.
func (v *roomView) maySign(r *Room, cfgs []seal.StatementConfig) error {
	others := func(kinds ...seal.StatementKind) bool {
		return slices.ContainsFunc(cfgs, func(c seal.StatementConfig) bool { return !slices.Contains(kinds, c.Kind) })
	}
	switch {
	case v.unproven && others(seal.StatementLeave):
		return r.unprovenError()
	case v.fault != nil && isSuspicious(v.fault) && others(seal.StatementRemove, seal.StatementLeave):
		return v.fault
	}
	return nil
}

// invitationPlan invites a user who is no member. That the servers have removed a member is
// their word alone: nobody signs a removal without having asked for it.
func invitationPlan(room core.RoomID, user core.UserID, role core.MemberRole) plan {
	return func(m *seal.Membership) ([]seal.StatementConfig, error) {
		if m.Role(user) == "" {
			return []seal.StatementConfig{{Kind: seal.StatementInvite, Subject: user, Role: role}}, nil
		}
		return nil, core.Errorf(core.KindExists, "%s is a member of the room %s already", user.Short(), room).
			WithNext("if the servers have removed them without a statement, call Room.Remove first, which signs it; then Room.Invite")
	}
}

// removalPlan removes a member or an invitation, and notes whether the user has the key.
func removalPlan(room core.RoomID, user core.UserID, hasKey *bool) plan {
	return func(m *seal.Membership) ([]seal.StatementConfig, error) {
		p, there := m.Person(user)
		if !there {
			return nil, core.Errorf(core.KindNotFound, "%s is not a member of the room %s", user.Short(), room)
		}
		*hasKey = *hasKey || !p.Invited
		return []seal.StatementConfig{{Kind: seal.StatementRemove, Subject: user}}, nil
	}
}

// rolePlan gives a member a role. The role owner hands the room over: the owner before
// is an admin then.
func rolePlan(room core.RoomID, me, user core.UserID, role core.MemberRole) plan {
	return func(m *seal.Membership) (out []seal.StatementConfig, err error) {
		was := m.Role(user)
		if was == "" {
			return nil, core.Errorf(core.KindNotFound, "%s is not a member of the room %s", user.Short(), room)
		}
		if was != role {
			out = append(out, seal.StatementConfig{Kind: seal.StatementRole, Subject: user, Role: role})
		}
		if role == core.MemberOwner && user != me && m.Role(me) == core.MemberOwner {
			out = append(out, seal.StatementConfig{Kind: seal.StatementRole, Subject: me, Role: core.MemberAdmin})
		}
		return out, nil
	}
}

func leavePlan(*seal.Membership) ([]seal.StatementConfig, error) {
	return []seal.StatementConfig{{Kind: seal.StatementLeave}}, nil
}
