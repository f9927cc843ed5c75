package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/client"
	"unibus/core/control"
	"unibus/core/migrate"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// TestMovedRoomStory is the rest of the story of the rooms in docs/go-client.md, with the real
// programs: an encrypted room comes with a migration from a legacy database. Nothing is sent in
// it. Its owner founds it anew with the members whom the owner knows, one member compares the
// founder's safety number and names the founder, and both talk. The other one is out.
func TestMovedRoomStory(t *testing.T) {
	t.Parallel()
	ann, bob, cem := seededPerson(t, "ann"), seededPerson(t, "bob"), seededPerson(t, "cem")
	var before core.Snapshot
	for i, u := range []*person{ann, bob, cem} {
		role := core.MemberMember
		if i == 0 {
			role = core.MemberOwner
		}
		before.Users = append(before.Users, core.User{ID: u.id, Name: &u.name, Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1})
		before.Members = append(before.Members, core.Member{Room: "moved", User: u.id, Role: role, State: core.MemberActive, Joined: 1})
		before.Keys = append(before.Keys, core.SealedKey{Room: "moved", Epoch: 4, Rec: core.LegacyRec, User: u.id, Box: []byte("of the legacy protocol"), Created: 1})
	}
	before.Rooms = []core.Room{{ID: "moved", Owner: ann.id, Encrypted: true, Epoch: 4, Rec: core.LegacyRec, State: core.RoomActive, Created: 1}}
	before.Sort()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Seed: before})
	waitServing(t, p, 0, core.BackendSQLite)
	move(t, p.Client(1), "n1", migrate.Options{DB: realPath(t, p.Configs[0].DB), Replicas: 3, Cutover: true})
	p.WaitServing(core.BackendKV, 0, 1, 2)
	s := &story{t, p}
	for _, u := range []*person{ann, bob, cem} {
		s.open(u)
		s.listen(u, must[*client.Room](t)(u.Room(t.Context(), "moved")))
	}
	s.sendsNothing(client.ErrNotFounded, ann, bob, cem)
	if out := s.command("room", "get", "moved"); !strings.Contains(out, "No member has signed who the members are") {
		t.Errorf("the operator is told:\n%s", out)
	}

	shown := must[[]control.Member](t)(ann.in["moved"].Members(t.Context()))
	known := slices.DeleteFunc(slices.Clone(shown), func(m control.Member) bool { return m.User == cem.id })
	if len(shown) != 3 || len(known) != 2 {
		t.Fatalf("ann is shown %+v", shown)
	}
	if _, err := ann.FoundAnew(t.Context(), "moved", known); err != nil {
		t.Fatal(err)
	}
	t.Log("ann has founded the room anew, without cem")
	nodetest.Wait(t, 30*time.Second, func() error { // his program is shown a founding, and takes nobody's word for it
		if err := bob.in["moved"].Err(); !errors.Is(err, client.ErrFounder) {
			return core.Errorf(core.KindFailed, "bob's room says: %v", err)
		}
		return nil
	})
	s.sendsNothing(client.ErrFounder, bob)
	number := must[seal.SafetyNumber](t)(ann.SafetyNumber(bob.id))
	if mine := must[seal.SafetyNumber](t)(bob.SafetyNumber(ann.id)); mine != number {
		t.Fatalf("bob has the number %s, and ann has %s", mine, number)
	}
	if err := errors.Join(bob.Verify(t.Context(), ann.id, number), ann.Verify(t.Context(), bob.id, number)); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.TrustFounder(t.Context(), "moved", ann.id); err != nil {
		t.Fatal(err)
	}
	t.Logf("bob has compared %s with ann, and names her", number)
	s.talk("moved", ann, bob)
	s.talk("moved", bob, ann)
	s.sameNumber("moved", ann, bob)
	s.refused(cem, "moved")
	if out := s.command("room", "get", "moved"); !strings.Contains(out, "founded by "+string(ann.id)) || !strings.Contains(out, "it verifies") {
		t.Errorf("the operator is told:\n%s", out)
	}
}

// seededPerson is a user with a seed file, whom the nodes have from the start.
func seededPerson(t *testing.T, name string) *person {
	t.Helper()
	seed, id := nodetest.SeedFile(t, name)
	return &person{name: name, id: core.UserID(id.Public()), seed: seed, in: map[core.RoomID]*client.Room{}, heard: map[string]core.UserID{}}
}

// sendsNothing: Send says why, with a next step.
func (s *story) sendsNothing(why error, all ...*person) {
	s.t.Helper()
	for _, u := range all {
		ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
		err := u.in["moved"].Send(ctx, []byte("too early"))
		cancel()
		if !errors.Is(err, why) || core.AsError(err).Next == "" {
			s.t.Errorf("%s sends: %v", u.name, err)
		}
		s.t.Logf("%s cannot send: %v", u.name, err)
	}
}
