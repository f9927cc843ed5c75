package admin

import (
	"fmt"

	"unibus/core"
)

// KeyState says how it stands with a room's key.
type KeyState string

// The states. Only an encrypted room in use can want anything.
const (
	KeysPlain    KeyState = "plain"    // not encrypted: servers can read what is said
	KeysArchived KeyState = "archived" // nothing is changed in it any more
	KeysOK       KeyState = "ok"       // every active member has the current key, and no other user
	KeysMissing  KeyState = "missing"  // some active members have no box of it and cannot read
	KeysRekey    KeyState = "rekey"    // a user who may not read any more still knows it
)

// KeyHealth is derived at each request from the members and the boxes; nothing of it is stored, and no key is open to a node or an operator.
type KeyHealth struct {
	State     KeyState    `json:"state"`
	Since     core.Millis `json:"since,omitempty"` // when the current epoch began; 0: not known, or not yet
	Unkeyed   int         `json:"unkeyed"`         // active members without a box of the current epoch
	MustRekey int         `json:"must_rekey"`      // people with such a box who were removed or revoked
}

// RoomPerson is a user with something to report about a room's key.
type RoomPerson struct {
	User   core.UserID     `json:"user"`
	Name   *string         `json:"name,omitempty"`
	Role   core.MemberRole `json:"role,omitempty"` // "": not in the room any more
	Status core.UserStatus `json:"status"`
	Nodes  []string        `json:"nodes,omitempty"` // where they have the room open now: a session that is told of what happens in it
}

// RoomKeys is the whole of a room's key health. The lists are cut at peopleShown.
type RoomKeys struct {
	KeyHealth
	WithoutKey []RoomPerson `json:"without_key"`   // active members without a box
	StillKnow  []RoomPerson `json:"still_know"`    // removed or revoked, and with a box
	CanRekey   []RoomPerson `json:"can_rekey"`     // active members with a box: those who are online, which is to have the room open, first, then by role
	CanCount   int          `json:"can_rekey_all"` // how many there are of Can
	Online     int          `json:"online"`        // how many of them are online
	Silent     []string     `json:"silent"`        // nodes that did not say who is online there
	CannotAsk  *core.Error  `json:"why,omitempty"` // why no member can be asked to rekey now
}

// peopleShown is how many people each list of RoomKeys has at the most.
const peopleShown = 100

// Present lists the users that have a room open at a node. A user who is only
// connected hears nothing of the room, and cannot be asked anything.
type Present struct {
	Users   []core.UserID `json:"users"`             // in order
	Unknown bool          `json:"unknown,omitempty"` // it did not answer in time, or lists only a part of its users
}

// RekeyRequest asks a member for a new key of a room; "" leaves the choice to the node.
type RekeyRequest struct {
	ID   string `json:"id"`
	User string `json:"user,omitempty"`
}

// Asked names the member who was asked for a new key. Whether they make one shows in the
// room's epoch: above Epoch once they have.
type Asked struct {
	Room  core.RoomID `json:"room"`
	Epoch core.Epoch  `json:"epoch"` // when they were asked
	User  core.UserID `json:"user"`
	Name  *string     `json:"name,omitempty"`
	Nodes []string    `json:"nodes"` // where they have the room open
	At    core.Millis `json:"at"`
}

// NoHolderText says what to do where no user has the room's key, "" where one has.
func (k *RoomKeys) NoHolderText(epoch core.Epoch) string {
	switch {
	case k == nil || k.State != KeysMissing || k.CanCount > 0:
		return ""
	case epoch == 0:
		return "no member has a key of it yet: its owner's program makes the first one as soon as it has the room open"
	}
	return "no member has a key of it: in a room from a legacy database its owner founds it anew (Client.FoundAnew in the SDK); in others a member's program makes one (Room.Rekey)"
}

// Label says how it stands in a few words, as screens and commands show it.
func (h *KeyHealth) Label() string {
	switch {
	case h == nil:
		return "unknown"
	case h.State == KeysPlain:
		return "not encrypted"
	case h.State == KeysRekey:
		return "rekey required"
	case h.State == KeysMissing:
		return fmt.Sprintf("%d without a key", h.Unkeyed)
	}
	return string(h.State)
}
