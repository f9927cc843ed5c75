package core

// UserKey is how far a user is done with whose key was lost or stolen.
type UserKey struct {
	User       User                 `json:"user"`
	Sessions   map[string]KeyEnding `json:"sessions"`   // of a revoked user, by node
	Rekey      []RoomID             `json:"rekey"`      // active encrypted rooms of others, too, whose current key the user has
	Movable    []RoomID             `json:"movable"`    // plain rooms that are the key's still
	Encrypted  []RoomID             `json:"encrypted"`  // active encrypted rooms of which the key is a member or the owner
	Successors []User               `json:"successors"` // active, of the same name and role, and created since the user was revoked
}

// KeyEnding is what a node says of the sessions of a revoked user.
type KeyEnding struct {
	Ended int    `json:"ended"`
	Fault string `json:"fault,omitempty"` // why it is not known that none is left
}
