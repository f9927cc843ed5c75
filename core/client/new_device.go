package client

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/seal"
)

// A device that has saved nothing of a room knows its user's old statements alone. A node that
// works with a member who was removed since could show it the chain of before the removal. So
// such a device sends nothing, and gives and makes no key, until others have signed since it
// began: two members, or all where there are fewer, or another device of this user; or until the
// program has compared the room's number.

const (
	enoughWitnesses = 2               // one of them may be a removed member who works with the nodes
	witnessSlack    = 2 * time.Second // by which members' clocks may be behind, and are heard at once
)

// NewDevice says that this client knows nothing of a room but old statements of its own user, and
// sends nothing there until members are heard. Show Number to the person, who can compare it
// with a member, or with another device, and call Room.ConfirmNumber. With Proven it is over.
type NewDevice struct {
	Room   core.RoomID
	Number seal.RoomNumber
	Proven bool
}

func (NewDevice) event() {}

// noteNewDevice notes that nothing on this device binds the chain that was read.
func (l *roomLoop) noteNewDevice() {
	l.saved.Unproven, l.unsaved = core.MillisOf(time.Now()), true
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

// noteWitness notes that a member has signed something at a time. Whoever is no member by the
// statements, or was not heard since this device began, proves nothing.
func (l *roomLoop) noteWitness(user core.UserID, at core.Millis) {
	if l.saved.Unproven == 0 || at < l.saved.Unproven-core.Millis(witnessSlack.Milliseconds()) {
		return
	}
	if role, _ := l.room.members.role(user); role == "" {
		return
	}
	if l.witnesses == nil {
		l.witnesses = map[core.UserID]bool{}
	}
	l.witnesses[user] = true
	l.checkProven()
}

// checkProven ends the state of a new device once enough members were heard.
func (l *roomLoop) checkProven() (proven bool) {
	others, _ := l.room.membersWithout(l.c.me)
	if proven = l.witnesses[l.c.me] || len(l.witnesses) >= min(enoughWitnesses, others); proven {
		l.endNewDevice()
	}
	return proven
}

func (l *roomLoop) endNewDevice() {
	if l.saved.Unproven == 0 {
		return
	}
	l.saved.Unproven, l.unsaved, l.witnesses = 0, true, nil
	l.c.events.emit(NewDevice{Room: l.room.id, Number: l.room.number(), Proven: true})
	l.room.wake()
}

// ConfirmNumber says that the person has compared the room's safety number with a member, or with
// another device: on a new device, messages are sent from then on. ErrNumber if this device has
// another one after that statement. It needs a node only for statements that are not here yet.
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
	r.do((*roomLoop).endNewDevice)
	return r.save(false)
}

func (r *Room) unprovenError() error {
	return newFault(core.KindUnavailable, ErrUnproven, "this device knows nothing of the room %s but old statements of its user, and has heard too few of its members", r.id).
		WithNext("wait until two members are online, or compare Room.SafetyNumber with a member or another device and call Room.ConfirmNumber")
}
