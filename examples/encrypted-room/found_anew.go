package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"unibus/core"
	"unibus/core/client"
)

// foundAnew is for a room that came with a migration: no member has signed who is in it, and
// nothing is sent there. Ann, its owner, is shown the members whom the nodes name, and founds
// the room anew with those whom she knows. Bob compares her safety number by another way than
// this cluster, and names her to his program. Without known, the members are shown alone.
func foundAnew(ctx context.Context, annConfig, bobConfig client.Config, id core.RoomID, known []core.UserID) error {
	ann, bob := client.New(annConfig), client.New(bobConfig)
	if err := errors.Join(ann.Open(ctx), bob.Open(ctx)); err != nil {
		return err
	}
	defer func() { _ = errors.Join(ann.Close(), bob.Close()) }()
	room, err := ann.Room(ctx, id)
	if err != nil {
		return err
	}
	members, err := room.Members(ctx)
	if err != nil {
		return err
	}
	confirmed := members[:0:0]
	for _, m := range members {
		if err := show(ann, m.User, m.Role); err != nil {
			return err
		}
		if m.User == ann.User() || slices.Contains(known, m.User) {
			confirmed = append(confirmed, m)
		}
	}
	if len(known) == 0 {
		return nil
	}
	if room, err = ann.FoundAnew(ctx, id, confirmed); err != nil {
		return err
	}
	fmt.Printf("ann has founded the room anew, with %d members\n", len(confirmed))

	hers, err := ann.SafetyNumber(bob.User())
	if err != nil {
		return err
	}
	if err := bob.Verify(ctx, ann.User(), hers); err != nil { // people compare it by voice
		return err
	}
	bobs, err := bob.TrustFounder(ctx, id, ann.User())
	if err != nil {
		return err
	}
	messages := bobs.Messages(ctx)
	if err := room.Send(ctx, []byte("just us now")); err != nil {
		return err
	}
	for m, err := range messages {
		if err != nil {
			return err
		}
		fmt.Printf("bob reads %q, encrypted: %v, from ann: %v\n", m.Data, m.Encrypted, m.Sender == ann.User())
		break
	}
	return nil
}

// show prints a member whom the nodes name, with the number that ann compares with them.
func show(ann *client.Client, user core.UserID, role core.MemberRole) error {
	if user == ann.User() {
		return nil
	}
	number, err := ann.SafetyNumber(user)
	if err == nil {
		fmt.Printf("the nodes name %s as %s; safety number %s\n", user, role, number)
	}
	return err
}
