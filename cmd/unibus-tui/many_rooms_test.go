package main

import (
	"fmt"
	"testing"

	"unibus/core"
	"unibus/core/nodetest"
)

// sampleRooms are encrypted rooms of three members each; two of them have the key. The first
// user owns ten of the rooms.
func sampleRooms(t *testing.T, n int) core.Snapshot {
	t.Helper()
	s := nodetest.SampleRows(t, 1000)
	s.Rooms, s.Members, s.Keys = nil, nil, nil
	s.Users[0].Name = new("the-owner")
	for i := range n {
		at := func(k int) core.UserID { return s.Users[1+(i+k)%(len(s.Users)-1)].ID }
		r := core.Room{
			ID: core.RoomID(fmt.Sprintf("room-%05d", i)), Name: new(fmt.Sprintf("topic-%05d", n-1-i)), Owner: at(0), Encrypted: true,
			Epoch: 1, Rec: core.LegacyRec, State: core.RoomActive, Created: core.Millis(1 + i),
		}
		if i%1000 == 500 {
			r.Owner = s.Users[0].ID
		}
		s.Rooms = append(s.Rooms, r)
		for k := range 3 {
			s.Members = append(s.Members, core.Member{Room: r.ID, User: at(k), Role: core.MemberMember, State: core.MemberActive, Joined: 1})
			if k < 2 {
				s.Keys = append(s.Keys, core.SealedKey{Room: r.ID, Epoch: 1, Rec: r.Rec, User: at(k), Box: []byte{1}, Created: core.Millis(1 + i)})
			}
		}
	}
	return s
}

// TestPageOfTenThousandRooms: page 5 of a real node shows any part of the list at once, a user's
// page that user's rooms, and a poll costs what the window holds.
func TestPageOfTenThousandRooms(t *testing.T) {
	nodetest.SkipShort(t)
	term, cl := startMeasured(t, sampleRooms(t, 10_000))
	assertSteps(t, term, cl, []step{
		{"5", "10 000 rooms with 30 000 memberships, 10 000 of them encrypted."},
		{"G", "> room-09999"},
		{"g", "> room-00000"},
		{"S", "> room-00000"}, // the order turns around it
		{"g", "> room-09999"},
		{"/", "/"},
		{"topic-0012", "10 match /topic-0012."},
	})
	term.Press("enter", "g")
	waitFor(t, term, "▲ 1 without a key", "> room-09879")
	term.Press("enter")
	waitFor(t, term, "room-09879", "topic-00120", "A member with the key must seal it to them.")
	term.Press("4")
	term.Press("/", "the-owner", "enter")
	waitFor(t, term, "1 match /the-owner.")
	term.Press("enter")
	waitFor(t, term, "room-00500, room-01500, room-02500", "room-09500")
	cl.lock.Lock()
	defer cl.lock.Unlock()
	if cl.bytes > 60_000 {
		t.Errorf("an answer has %d bytes", cl.bytes)
	}
}
