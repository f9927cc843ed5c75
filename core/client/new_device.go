package client

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/seal"
)

// A device that has saved nothing of a room knows its user's old statements alone. A node that
// works with a member who was removed since could show it the chain of before the removal, and
// one that this member has continued. So such a device sends nothing, signs nothing but its own
// departure, and gives and makes no key, until others have signed since it began who cannot all
// be that member's (seal.Membership.ProofFor), or another device of this user; or until the
// program has compared the room's number.

const witnessSlack = 2 * time.Second // by which members' clocks may be behind, and are heard at once

// NewDevice says that this client knows nothing of a room but old statements of its own user, and
// sends and signs nothing there until members are heard. Show the person the room's number, who
// can compare it with a member, or with another device, and call Room.ConfirmNumber. With Proven
// it is over. It can begin again if the node then shows statements of this user that it held
// back before.
type NewDevice struct {
	Room   core.RoomID
	Number seal.RoomNumber
	Proven bool
}

func (NewDevice) event() {}

// noteNewDevice notes that nothing on this device binds the chain that was read.
func (l *roomLoop) noteNewDevice() {
	l.saved.Unproven, l.witnesses, l.unsaved = core.MillisOf(time.Now()), nil, true
	if !l.checkProven() {
		l.c.events.emit(NewDevice{Room: l.room.id, Number: l.room.number()})
	}
}

// number is the room's number at the newest statement that was followed.
func (r *Room) number() (n seal.RoomNumber) {
	r.members.use(func(m *seal.Membership) {
		if m != nil {
			n = m.Number()
		}
	})
	return n
}

// noteWitness notes that a member has signed something at a time. A user who is no member by
// the statements, or was not heard since this device began, proves nothing.
func (l *roomLoop) noteWitness(user core.UserID, at core.Millis) {
	if l.saved.Unproven == 0 || at < l.saved.Unproven-core.Millis(witnessSlack.Milliseconds()) {
		return
	}
	if role, _ := l.room.members.role(user); role == "" {
		return
	}
	if head, _ := l.room.members.head(); l.witnesses[user] && l.witnessedAt == head.Seq {
		return // each message of a member comes here, and the check passes over all statements
	}
	if l.witnesses == nil {
		l.witnesses = map[core.UserID]bool{}
	}
	l.witnesses[user] = true
	l.checkProven()
}

// checkProven ends the state of a new device once enough members were heard.
func (l *roomLoop) checkProven() (proven bool) {
	head, _ := l.room.members.head()
	l.witnessedAt = head.Seq
	proof := seal.ProofFirm
	if !l.witnesses[l.c.me] { // nobody else can sign what another device of this user has followed
		proof = seal.ProofNone
		l.room.members.use(func(m *seal.Membership) {
			if m != nil {
				proof = m.ProofFor(l.c.me, l.witnesses)
			}
		})
	}
	if proof != seal.ProofNone {
		l.endNewDevice(proof)
		return true
	}
	return false
}

// endNewDevice ends the state of a new device. A weak proof holds for what is shown now: see
// noteOwnSigned.
func (l *roomLoop) endNewDevice(proof seal.Proof) {
	if weak := proof == seal.ProofWeak; l.saved.WeaklyProven != weak {
		l.saved.WeaklyProven, l.unsaved = weak, true
	}
	if l.saved.Unproven == 0 {
		return
	}
	l.saved.Unproven, l.unsaved, l.witnesses = 0, true, nil
	l.c.events.emit(NewDevice{Room: l.room.id, Number: l.room.number(), Proven: true})
	l.room.wake()
}

// noteOwnSigned notes a statement of this user that another process has signed. The node has held
// it back if this device was proven before: with it the user knew of more members, and they count.
func (l *roomLoop) noteOwnSigned() {
	if l.saved.WeaklyProven && l.saved.Unproven == 0 {
		l.noteNewDevice()
	}
}

// ConfirmNumber says that the person has compared the room's safety number with a member, or with
// another device: on a new device, messages are sent from then on. number is the newest one that
// the other side shows (Room.SafetyNumber there), not one of an earlier statement, and not this
// device's own: an equal number of before says nothing of what came after it. ErrNumber if this
// device has another one after that statement; KindConflict if it has followed more than the
// number covers. It needs a node only for statements that are not here yet.
func (r *Room) ConfirmNumber(ctx context.Context, number seal.RoomNumber) error {
	if err := r.c.checkOpen(); err != nil {
		return err
	}
	if head, read := r.members.head(); !read || head.Seq < number.Seq {
		if err := r.fetchStatements(ctx); err != nil {
			return err
		}
	}
	here, err := r.SafetyNumberAt(number.Seq)
	if err != nil {
		return err
	}
	if here.Number != number.Number {
		return newFault(core.KindRefused, ErrNumber, "the room %s has another safety number here after statement %d: two histories were shown", r.id, number.Seq).
			WithNext("go on in another room, and tell its members")
	}
	if head, _ := r.members.head(); head.Seq > number.Seq {
		return core.Errorf(core.KindConflict, "the number of the room %s was compared after statement %d about its members, and statement %d is here", r.id, number.Seq, head.Seq).
			WithNext("compare the newest number that both show, with Room.SafetyNumber")
	}
	r.do(func(l *roomLoop) { l.endNewDevice(seal.ProofFirm) })
	return r.save(false)
}

func (r *Room) unprovenError() error {
	return newFault(core.KindUnavailable, ErrUnproven, "this device knows nothing of the room %s but old statements of its user, and has not heard enough of its members", r.id).
		WithNext("wait until more members are online, or compare Room.SafetyNumber with a member or another device and call Room.ConfirmNumber")
}
