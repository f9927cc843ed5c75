package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"unibus/core"
	"unibus/core/store/storetest"
)

// TestMembersAreReadOnce: a room's rows are read again once anybody has changed the file, this
// process or another one, and not before.
func TestMembersAreReadOnce(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{Path: filepath.Join(t.TempDir(), "unibus.db"), Create: true})
	other := opened(t, Config{Path: s.Path()})
	owner, guest := storetest.NewUser(t, "owner"), storetest.NewUser(t, "guest")
	for _, err := range []error{
		s.AddUser(t.Context(), owner), s.AddUser(t.Context(), guest), s.CreateRoom(t.Context(), storetest.NewRoom("r", owner.ID)),
		s.PutMember(t.Context(), storetest.NewMember("r", owner.ID)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	count := func(want int) {
		t.Helper()
		for range 3 {
			all, err := s.Members(t.Context(), "r")
			rows, e := s.RoomMembers(t.Context(), "r")
			if err := errors.Join(err, e); err != nil || len(all) != want || len(rows) < want {
				t.Fatalf("%d members in %d rows, want %d: %v", len(all), len(rows), want, err)
			}
			rows[0].Role, all[0].Role = "changed by its reader", "changed by its reader"
		}
	}
	count(1)
	for _, by := range []*Store{s, other, s, other} {
		if err := by.PutMember(t.Context(), storetest.NewMember("r", guest.ID)); err != nil {
			t.Fatal(err)
		}
		count(2)
		if _, err := by.RemoveMember(t.Context(), "r", guest.ID); err != nil {
			t.Fatal(err)
		}
		count(1)
	}
	if all, err := s.Members(t.Context(), "r"); err != nil || all[0].Role == "changed by its reader" {
		t.Errorf("a reader has changed what others are given: %v", err)
	}
	reads := 0
	for range 5 { // within one transaction, so of one connection
		err := s.view(t.Context(), 0, func(ctx context.Context, tx *sql.Tx) error {
			for range 5 {
				_, err := s.members.get(ctx, tx, "r", func() ([]core.Member, error) { reads++; return nil, nil })
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if reads > 5 {
		t.Errorf("25 looks at an unchanged file cost %d reads", reads)
	}
}

// TestMemberCacheIsBounded: at the bound what is kept is dropped.
func TestMemberCacheIsBounded(t *testing.T) {
	t.Parallel()
	var c memberCache
	for room, size := range map[core.RoomID]int{"a": maxCachedMembers / 2, "b": maxCachedMembers / 2, "c": 1} {
		c.keep(connectionRoom{1, room}, cachedMembers{bytes: size})
	}
	c.keep(connectionRoom{1, "c"}, cachedMembers{bytes: 1})
	sum := 0
	for _, k := range c.rooms {
		sum += k.bytes
	}
	if sum != c.bytes || c.bytes > maxCachedMembers {
		t.Errorf("%d bytes are kept, and %d are counted", sum, c.bytes)
	}
}
