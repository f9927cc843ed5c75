package admin

import (
	"context"
	"slices"
	"testing"

	"unibus/core"
	"unibus/core/store/storetest"
)

// twoNodes end a user's sessions; one of them does not answer.
type twoNodes struct {
	userSessions
	ended *[]core.UserID
}

func (s twoNodes) End(_ context.Context, u core.User) map[string]Ended {
	*s.ended = append(*s.ended, u.ID)
	return map[string]Ended{"n1": {Ended: 2}, "n2": {Unknown: true}}
}

// TestUserKey: how far a lost key is replaced is read from the store, and the nodes are asked
// for the sessions of a revoked user alone.
func TestUserKey(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		replaceable(t, w)
		ctx, ann := t.Context(), w.people[0]
		var ended []core.UserID
		w.cfg.Sessions = twoNodes{ended: &ended}
		must(t, w.store.CreateRoom(ctx, core.Room{ID: "alone", Owner: ann.ID, Encrypted: true, State: core.RoomActive, Created: 5}))
		must(t, w.store.PutMember(ctx, core.Member{Room: "alone", User: ann.ID, Role: core.MemberOwner, State: core.MemberActive, Proof: []byte("proof"), Joined: 5}))
		_, err := storetest.Rekey(ctx, w.store, "alone", 0, []core.SealedKey{{Room: "alone", User: ann.ID, Box: []byte("box"), Created: 5}})
		must(t, err)
		read := func() *core.UserKey {
			t.Helper()
			got, err := w.userGet(ctx, core.Operator{}, userRequest{ID: string(ann.ID), Key: true})
			must(t, err)
			return got.(userKeyReply).Key
		}
		k := read()
		if len(ended) != 0 || len(k.Sessions) != 0 || k.User.Status != core.UserActive || len(k.Movable) != 4 || !slices.Equal(k.Encrypted, []core.RoomID{"alone", "sealed"}) {
			t.Errorf("an active user, asked for %q: %+v", ended, k)
		}
		if !slices.Equal(k.Rekey, []core.RoomID{"sealed"}) {
			t.Errorf("a new key is needed by %q: in the room alone is nobody else", k.Rekey)
		}
		next := storetest.NewUserID(t)
		_, err = w.userReplace(ctx, core.Operator{Name: "op"}, replaceRequest{string(ann.ID), string(next)})
		must(t, err)
		stranger := storetest.NewUser(t, "")
		stranger.Name, stranger.Status, stranger.Created = nil, core.UserActive, 100
		must(t, w.store.AddUser(ctx, stranger))
		k = read()
		if len(k.Movable) != 0 || len(k.Successors) != 1 || k.Successors[0].ID != next || k.Sessions["n1"] != (core.KeyEnding{Ended: 2}) || k.Sessions["n2"].Fault == "" {
			t.Errorf("a replaced user: %+v", k)
		}
		_, err = storetest.Rekey(ctx, w.store, "sealed", 1, []core.SealedKey{{Room: "sealed", User: w.people[1].ID, Box: []byte("box"), Created: 6}})
		must(t, err)
		if k = read(); len(k.Rekey) != 0 {
			t.Errorf("after a new key: %q", k.Rekey)
		}
		plain, err := w.userGet(ctx, core.Operator{}, userRequest{ID: string(ann.ID)})
		if _, isUser := plain.(UserSeen); !isUser || err != nil {
			t.Errorf("without the question: %T, %v", plain, err)
		}
		if _, err := w.userGet(ctx, core.Operator{}, userRequest{ID: string(storetest.NewUserID(t)), Key: true}); core.KindOf(err) != core.KindNotFound {
			t.Errorf("an unknown user: %v", err)
		}
	})
}
