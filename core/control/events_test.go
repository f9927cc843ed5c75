package control

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

// events subscribes to what the service announces in a room.
func (w *world) events(t *testing.T, room string) func() []Event {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(w.server))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	sub, err := nc.SubscribeSync(EventSubject(core.RoomID(room)))
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() []Event {
		t.Helper()
		if err := w.cfg.Conn.Flush(); err != nil {
			t.Fatal(err)
		}
		var all []Event
		for {
			msg, err := sub.NextMsg(200 * time.Millisecond)
			if err != nil {
				return all
			}
			e, err := ParseEvent(msg)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
	}
}

// acceptedMeanwhile is a store in which an invitation is accepted just before it is taken back.
type acceptedMeanwhile struct{ core.Store }

func (s acceptedMeanwhile) RemoveMember(ctx context.Context, room core.RoomID, user core.UserID) (core.Member, error) {
	if _, err := s.AcceptInvitation(ctx, room, user, 1); err != nil {
		return core.Member{}, err
	}
	return s.Store.RemoveMember(ctx, room, user)
}

// TestRemovalIsAnnounced: a removed member is announced, also one who accepted an
// invitation while it was taken back. An invitation that is taken back is not.
func TestRemovalIsAnnounced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room := w.room(t, true)
	w.must(t, w.owner, methodInvite, inviteRequest{Room: room, User: string(w.other)})
	announced := w.events(t, room)
	w.must(t, w.owner, methodRemove, memberRequest{room, string(w.other)})
	if all := announced(); len(all) != 0 {
		t.Errorf("the room hears of an invitation that was taken back: %+v", all)
	}
	w.must(t, w.owner, methodRemove, memberRequest{room, string(w.member)})
	if all := announced(); len(all) != 1 || all[0].Kind != EventMember || all[0].User != w.member {
		t.Errorf("announced for a member who was removed: %+v", all)
	}
	w.must(t, w.owner, methodInvite, inviteRequest{Room: room, User: string(w.other)})
	w.holder.Publish(acceptedMeanwhile{w.store})
	w.must(t, w.owner, methodRemove, memberRequest{room, string(w.other)})
	if all := announced(); len(all) != 1 || all[0].User != w.other {
		t.Errorf("announced for somebody who accepted meanwhile: %+v", all)
	}
}

// TestOnlyAcceptingJoins: an event says that somebody joined where they accepted an
// invitation, and not where only their role is another one.
func TestOnlyAcceptingJoins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room := w.room(t, false)
	announced := w.events(t, room)
	w.join(t, w.owner, room, w.member)
	if all := announced(); len(all) != 1 || all[0].User != w.member || !all[0].Joined {
		t.Errorf("announced for somebody who accepted: %+v", all)
	}
	w.must(t, w.owner, methodRole, roleRequest{room, string(w.member), core.MemberAdmin})
	w.must(t, w.admin, methodUserActivate, userRequest{string(w.member)})
	w.must(t, w.owner, methodRemove, memberRequest{room, string(w.member)})
	all := announced()
	for _, e := range all {
		if e.Kind != EventMember || e.Joined {
			t.Errorf("announced for a member who was in the room already: %+v", e)
		}
	}
	if len(all) != 3 {
		t.Errorf("announced: %+v", all)
	}
}
