package admin

import (
	"context"
	"maps"

	"unibus/core"
)

// roomNotes are what a store needs for orders and filters of rooms, and the rows they
// were made of.
type roomNotes struct {
	notes    *core.RoomNotes
	of       *keyHealthSnapshot
	lookedUp int
}

// notesOf are the notes by a snapshot; nil without one. While nothing is new they are the
// same ones, by which a store knows it. byAge is true if the ages of keys matter.
func (k *keyHealthCache) notesOf(v *keyHealthSnapshot, byAge bool) *core.RoomNotes {
	if v == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.notes.of == v && (!byAge || k.notes.lookedUp == k.lookedUp) {
		return k.notes.notes
	}
	before := k.notes.notes
	k.notes = roomNotes{notes: k.makeNotes(v), of: v, lookedUp: k.lookedUp}
	if before != nil && maps.Equal(before.ByRoom, k.notes.notes.ByRoom) {
		k.notes.notes = before
	}
	return k.notes.notes
}

// makeNotes is called under the lock.
func (k *keyHealthCache) makeNotes(v *keyHealthSnapshot) *core.RoomNotes {
	out := &core.RoomNotes{ByRoom: make(map[core.RoomID]core.RoomNote, len(v.health))}
	for id, h := range v.health {
		health := h.KeyHealth
		if b, ok := k.epochStarts[id]; ok && b.epoch == h.epoch && b.rec == h.rec && h.sealed() {
			health.Since = b.at
		}
		out.ByRoom[id] = NoteOf(&health, h.ownerName, h.members)
	}
	return out
}

// NoteOf is what orders and filters of rooms need of one; h is nil where it is not known.
func NoteOf(h *KeyHealth, ownerName string, members int) core.RoomNote {
	n := core.RoomNote{OwnerName: ownerName, Members: members, Keys: h.Label()}
	if h != nil {
		n.KeysRank, n.KeySince = h.rank(), h.Since
	}
	return n
}

// rank orders rooms by how it stands with their keys: those that need attention first, and
// the worst of them before the others.
func (h *KeyHealth) rank() float64 {
	switch h.State {
	case KeysRekey:
		return -float64(h.MustRekey)
	case KeysMissing:
		return 1e9 - float64(h.Unkeyed)
	case KeysOK:
		return 2e9
	case KeysPlain:
		return 3e9
	}
	return 4e9
}

// lookUpAges looks up when the epochs of all rooms began, for a list in that order. It looks
// up as many as there is time for, so that the order of many rooms is complete after some
// pages.
func (k *keyHealthCache) lookUpAges(ctx context.Context, st core.Store, v *keyHealthSnapshot) {
	if v == nil {
		return
	}
	k.lookUp(ctx, st, len(v.health), func(ask func(core.Room, func(core.Millis)) bool) {
		for id, h := range v.health {
			room := core.Room{ID: id, Epoch: h.epoch, Rec: h.rec}
			if _, ok := k.known(room); h.sealed() && !ok && !ask(room, func(core.Millis) {}) {
				return
			}
		}
	})
}
