package admin

import (
	"cmp"
	"context"
	"slices"

	"unibus/core"
)

// userKeyReply is a user with what verbUserGet is asked for besides.
type userKeyReply struct {
	UserSeen
	Key *core.UserKey `json:"key,omitempty"`
}

// UserSeen is a user and when they had a session last.
type UserSeen struct {
	core.User
	Seen      core.Millis `json:"seen,omitempty"`       // the hour; 0: not since SeenSince
	SeenSince core.Millis `json:"seen_since,omitempty"` // when that began to be recorded; 0: nothing is recorded, or the node is of an earlier release
}

// maxSuccessors bounds how many new users are looked at.
const maxSuccessors = 20

// userKey reads how far a user is done with whose key was lost. Every node is asked how many
// sessions of a revoked user it has ended. It ends one that is left, as the store has decided
// already: so a viewer may ask, too.
func (s *Service) userKey(ctx context.Context, st core.Store, u core.User) (k *core.UserKey, err error) {
	k = &core.UserKey{User: u, Sessions: map[string]core.KeyEnding{}, Rekey: []core.RoomID{}, Encrypted: []core.RoomID{}, Successors: []core.User{}}
	if u.Status == core.UserRevoked {
		for node, e := range s.cfg.Sessions.End(ctx, u) {
			end := core.KeyEnding{Ended: e.Ended}
			if e.Unknown {
				end.Fault = cmp.Or(e.Reason, "it did not say in time")
			}
			k.Sessions[node] = end
		}
		if k.Successors, err = s.successors(ctx, st, u); err != nil {
			return nil, err
		}
	}
	var others []core.RoomID
	if k.Movable, others, err = roomsWith(ctx, st, u.ID); err != nil {
		return nil, err
	}
	rooms, err := st.RoomKeys(ctx)
	for _, r := range rooms {
		if !r.Room.Encrypted || r.Room.State != core.RoomActive {
			continue
		}
		alone := !slices.ContainsFunc(r.Members, func(m core.UserID) bool { return m != u.ID }) // nobody writes there any more
		if slices.Contains(r.Holders, u.ID) && !alone {
			k.Rekey = append(k.Rekey, r.Room.ID)
		}
		if slices.Contains(others, r.Room.ID) {
			k.Encrypted = append(k.Encrypted, r.Room.ID)
		}
	}
	return k, err
}

// successors are the users that may be the same person's new key. `user replace` gives it
// the name and the role of the old one.
func (s *Service) successors(ctx context.Context, st core.Store, u core.User) ([]core.User, error) {
	q := core.UserQuery{Status: core.UserActive, Role: u.Role, Sort: core.SortByCreated, Descending: true}
	if u.Name != nil {
		q.Name = *u.Name
	}
	page, err := st.UserPage(ctx, core.UserPageRequest{UserQuery: q, Limit: maxSuccessors, NoKeys: true}, s.cfg.Now())
	out := []core.User{}
	for _, n := range page.Users {
		sameName := (n.Name == nil) == (u.Name == nil) && (u.Name == nil || *n.Name == *u.Name)
		if n.ID != u.ID && sameName && n.Created >= u.Updated {
			out = append(out, n)
		}
	}
	return out, err
}

// UserKey returns how far a user is done with whose key was lost. KindNotFound; KindInvalid
// for what is no key; KindUnavailable if the node is of an earlier release.
func (c *Client) UserKey(ctx context.Context, id string) (core.UserKey, error) {
	if _, err := core.ParseUserID(id); err != nil {
		return core.UserKey{}, err
	}
	r, err := call[userKeyReply](ctx, c, TargetAny, verbUserGet, userRequest{ID: id, Key: true})
	if core.KindOf(err) == core.KindInvalid || err == nil && r.Key == nil {
		return core.UserKey{}, core.Errorf(core.KindUnavailable, "%s runs an earlier release, which does not say how far the key is replaced", c.Connected()).
			WithNext("upgrade it, or ask another node with --server")
	}
	if err != nil {
		return core.UserKey{}, err
	}
	return *r.Key, nil
}
