package action

import (
	"slices"
	"strconv"
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

// Undo is the action that takes another one back. It asks like any other.
type Undo struct {
	Action   string // its name
	Selected Selection
	Users    []core.User // the selected users, as far as they are known
	Values   []string    // of the first fields of its dialog
	Does     string      // "lets them connect again", after a key
}

// Done is an action that has ended: its state before, its changes, and the typed values.
type Done struct {
	Before  Input
	Changed []string // the users that were changed, which may be fewer than were selected
	Values  []string
}

// undoUsers is the Undo that runs an action on the users that were changed, and on no others: one that was
// revoked before a bulk revocation stays so.
func undoUsers(name, does string) func(Done) (Undo, bool) {
	return func(d Done) (Undo, bool) {
		u := Undo{Action: name, Selected: Selection{Kind: KindUser, IDs: d.Changed}, Does: does}
		for _, id := range d.Changed {
			known := findUser(d.Before, id)
			known.Status = "" // it was changed since
			u.Users = append(u.Users, known)
		}
		return u, len(d.Changed) > 0
	}
}

// undoOnSame is the Undo that runs an action on what was selected.
func undoOnSame(name, does string) func(Done) (Undo, bool) {
	return func(d Done) (Undo, bool) { return Undo{Action: name, Selected: d.Before.Selected, Does: does}, true }
}

// undoAdd revokes a user that was added: no user is ever deleted.
func undoAdd(d Done) (Undo, bool) {
	id, err := core.ParseUserID(d.Values[0])
	if err != nil {
		return Undo{}, false
	}
	u := core.User{ID: id, Role: core.UserRole(d.Values[2])}
	if d.Values[1] != "" {
		u.Name = &d.Values[1]
	}
	return Undo{Action: "user revoke", Selected: Selection{Kind: KindUser, IDs: []string{string(id)}}, Users: []core.User{u}, Does: "revokes the user; nothing deletes one"}, true
}

// undoExtend brings the former end back, unless it is over.
func undoExtend(d Done) (Undo, bool) {
	id := d.Before.Selected.only(KindUser)
	u := findUser(d.Before, id)
	if u.Created == 0 || u.Expires != 0 && u.Expires <= core.MillisOf(d.Before.Now) { // not known, or it cannot be set again
		return Undo{}, false
	}
	end := "never"
	if u.Expires != 0 {
		end = u.Expires.Time().UTC().Format(time.RFC3339)
	}
	return Undo{Action: "user extend", Selected: d.Before.Selected, Users: []core.User{u}, Values: []string{end}, Does: "brings the former end back: " + end}, true
}

// undoScale brings the former number back where all buckets had the same.
func undoScale(d Done) (Undo, bool) {
	low, high := replicaRange(d.Before)
	text := strconv.Itoa(high)
	now, err := strconv.Atoi(d.Values[0])
	if err != nil || low != high || high == 0 || now == high || cluster.LoweringUnsafe(scaledTo(d.Before.Snapshot.Status.Value.View, now), high) != nil {
		return Undo{}, false
	}
	return Undo{Action: "bucket scale", Values: []string{text}, Does: "scales back to " + text}, true
}

// scaledTo is a view in which every bucket has so many replicas.
func scaledTo(v cluster.View, replicas int) cluster.View {
	v.Buckets, v.InternalBuckets = slices.Clone(v.Buckets), slices.Clone(v.InternalBuckets)
	for _, buckets := range [][]cluster.Bucket{v.Buckets, v.InternalBuckets} {
		for i := range buckets {
			buckets[i].Wanted = replicas
		}
	}
	return v
}

// undoLimit brings the former limit back.
func undoLimit(d Done) (Undo, bool) {
	rate, does := "", "takes the limit away"
	if r := d.Before.Snapshot.Migration.Value.Options.Rate; r > 0 {
		rate = strconv.Itoa(r)
		does = "brings the former limit back: " + rate
	}
	return Undo{Action: "migrate limit", Values: []string{rate}, Does: does}, true
}
