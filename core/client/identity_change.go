package client

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/control"
)

// IdentityChange is a member with the name of a verified person and another key: an
// operator has given that person a new key (`unibusd user replace`), or somebody takes
// their name. The key of an identity never changes, so a new one is a new user.
type IdentityChange struct {
	Name string
	Was  core.UserID // verified
	Now  core.UserID // not verified
}

// IdentityChanged says that a member of an open room is one.
type IdentityChanged struct {
	Room core.RoomID
	IdentityChange
}

func (IdentityChanged) event() {}

// VerifiedRenamed says that the nodes show a verified person under a name that they did not
// show before. The key is the verified one. From now on the name belongs to that person: a
// member who has it with another key is an IdentityChanged.
type VerifiedRenamed struct {
	User   core.UserID
	Name   string
	Before []string // the names before, the oldest first
}

func (VerifiedRenamed) event() {}

// IdentityError is why nothing is sent in a room. Compare the safety number and call
// Client.Verify, or Client.AcknowledgeIdentity, for each change.
type IdentityError struct {
	Room    core.RoomID
	Changes []IdentityChange
}

// Error names the changes.
func (e *IdentityError) Error() string { return e.coreError().Text }

// Unwrap is a *core.Error whose cause is ErrIdentityChanged.
func (e *IdentityError) Unwrap() error { return e.coreError() }

func (e *IdentityError) coreError() *core.Error {
	const most = 5
	var names []string
	for _, c := range e.Changes[:min(len(e.Changes), most)] {
		names = append(names, core.QuoteText(c.Name)+" is shown with the key "+string(c.Now)+", and "+string(c.Was)+" was verified")
	}
	return newFault(core.KindRefused, ErrIdentityChanged, "nothing is sent in the room %s: %s", e.Room, strings.Join(names, "; ")).
		WithNext("compare the new safety number and call Client.Verify, or Client.AcknowledgeIdentity to go on without")
}

// identityCheck is what the last look at the members' identities was made of.
type identityCheck struct {
	verified uint64 // changes of the verified people
	session  uint64 // an event may be lost with a session
	events   uint64 // about members
	members  int
	seq      uint64
	period   int64 // a node can show another name at any time
}

// identitiesEvery is how often the members' names are looked at, though nothing else is new.
const identitiesEvery = 10 * time.Minute

// identityChanges are the changes of a room. It is immutable.
type identityChanges struct{ all []IdentityChange }

// pending are those that the program has not acknowledged.
func (i *identityChanges) pending(v *verifiedPeople) (out []IdentityChange) {
	if i == nil {
		return nil
	}
	v.use(func(s *verifiedState) {
		for _, c := range i.all {
			if s.isUnknown(c) {
				out = append(out, c)
			}
		}
	})
	return out
}

// isUnknown is true for a change that is neither verified nor acknowledged.
func (s *verifiedState) isUnknown(c IdentityChange) bool {
	_, verified := s.People[c.Now]
	_, stays := s.People[c.Was]
	return stays && !verified && s.Acknowledged[c.Now] != c.Was
}

// checkIdentities looks for members with the names of verified people, if there are
// verified people and the members may be others than at the last look.
func (w *reconciler) checkIdentities(ctx context.Context) error {
	v := w.c.verified
	now, people := identityCheck{period: time.Now().UnixNano() / int64(identitiesEvery)}, 0
	v.mu.Lock()
	now.verified, people = v.changes, len(v.file.People)
	v.mu.Unlock()
	if people == 0 {
		if w.room.view.Load().identities != nil {
			w.room.noteIdentities(nil)
		}
		return nil
	}
	w.room.do(func(l *roomLoop) { now.session, now.events, now.members = l.session, l.memberEvents, l.info.Members })
	if head, read := w.room.members.head(); read {
		now.seq = head.Seq + 1
	}
	if now == w.identities {
		return nil
	}
	listed, err := sendRetrying(ctx, w.c, readOnly, func(ctx context.Context) ([]control.Member, error) { return w.c.api.Members(ctx, w.room.id, false) })
	if err != nil {
		return err
	}
	if err := w.room.checkNames(listed); err != nil {
		return err
	}
	w.identities = now
	return w.room.compareListed(ctx, listed)
}

// checkNames looks for members with the names of verified people in what a node lists. The
// names that a program is shown go through it, too.
func (r *Room) checkNames(listed []control.Member) error {
	people := 0
	r.c.verified.use(func(s *verifiedState) { people = len(s.People) })
	if people == 0 {
		return nil
	}
	if err := r.rememberNames(listed); err != nil {
		return err
	}
	r.noteIdentities(r.changedIdentities(listed))
	return nil
}

// rememberNames remembers the names under which verified people are shown now: a node
// could rename somebody first, and show the false one after.
func (r *Room) rememberNames(listed []control.Member) error {
	renamed := map[core.UserID]string{}
	r.c.verified.use(func(s *verifiedState) {
		for _, m := range listed {
			if p, is := s.People[m.User]; is && m.Name != nil && *m.Name != "" && !slices.Contains(p.Names, *m.Name) {
				renamed[m.User] = *m.Name
			}
		}
	})
	if len(renamed) == 0 {
		return nil
	}
	var told []VerifiedRenamed
	err := r.c.verified.change(func(s *verifiedState) error {
		for user, name := range renamed {
			p, is := s.People[user]
			if !is || slices.Contains(p.Names, name) { // another room may have shown it meanwhile
				continue
			}
			if s.People[user] = p.addName(name); len(p.Names) > 0 {
				told = append(told, VerifiedRenamed{user, name, slices.Clone(p.Names)})
			}
		}
		return nil
	})
	for _, e := range told {
		if err == nil {
			r.c.events.emit(e)
		}
	}
	return err
}

// changedIdentities are the members who have the name of a verified person, and are not
// that person. In a room whose members sign only those count to whom the statements lead.
func (r *Room) changedIdentities(listed []control.Member) (out []IdentityChange) {
	r.c.verified.use(func(s *verifiedState) {
		named := map[string]core.UserID{}
		for _, user := range slices.Sorted(maps.Keys(s.People)) {
			for _, name := range s.People[user].Names {
				named[foldName(name)] = user
			}
		}
		for _, m := range listed {
			if m.Name == nil || m.User == r.c.me {
				continue
			}
			was, is := named[foldName(*m.Name)]
			c := IdentityChange{*m.Name, was, m.User}
			if role, signed := r.members.role(m.User); is && s.isUnknown(c) && (!signed || role != "") {
				out = append(out, c)
			}
		}
	})
	return out
}

// noteIdentities has nothing sent while there are changes, and emits those that are new.
func (r *Room) noteIdentities(changes []IdentityChange) {
	var before []IdentityChange
	r.do(func(l *roomLoop) {
		if l.identities != nil {
			before = l.identities.all
		}
		if !slices.Equal(before, changes) {
			l.identities = &identityChanges{changes}
		}
		if len(changes) == 0 {
			l.identities = nil
		}
	})
	for _, c := range changes {
		if !slices.Contains(before, c) {
			r.c.log.Warn("a member has the name of a verified person and another key", "room", r.id, "verified", c.Was, "member", c.Now)
			r.c.events.emit(IdentityChanged{r.id, c})
		}
	}
}

// IdentityChanges are the members with the name of a verified person and another key
// that the program has neither verified nor acknowledged. Nothing is sent while there are any.
func (r *Room) IdentityChanges() []IdentityChange {
	return r.view.Load().identities.pending(r.c.verified)
}

// identityError is why nothing is sent, nil if the identities of the members are in order.
func (r *Room) identityError(v *roomView) error {
	if changes := v.identities.pending(r.c.verified); len(changes) > 0 {
		return &IdentityError{r.id, changes}
	}
	return nil
}
