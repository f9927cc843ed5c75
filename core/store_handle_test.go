package core

import (
	"context"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// fakeStore answers the two questions of admission; every other method panics.
type fakeStore struct {
	Store
	yes bool
	err error
}

func (s fakeStore) Admit(context.Context, UserID) (Admission, error) {
	if !s.yes {
		return Admission{}, s.err
	}
	return Admission{Status: UserActive, Rooms: []RoomID{"r"}}, s.err
}

func (s fakeStore) User(_ context.Context, id UserID) (User, error) {
	if !s.yes {
		return User{}, s.err
	}
	return User{ID: id, Role: RoleAdmin, Status: UserActive}, s.err
}

// admitted asks a handle whether it admits; an answer beside an error has to be empty.
func admitted(h *StoreHandle) func(context.Context, UserID) (bool, error) {
	return func(ctx context.Context, id UserID) (bool, error) {
		a, err := h.Admit(ctx, id)
		return a.Status != "" || len(a.Rooms) > 0, err
	}
}

func hasAdmin(h *StoreHandle) func(context.Context, UserID) (bool, error) {
	return func(ctx context.Context, id UserID) (bool, error) {
		s, err := h.Store()
		if err != nil {
			return false, err
		}
		return HasAdmin(ctx, s, id, 1)
	}
}

// TestStoreHolderFailClosed: the holder says yes only while a store is there that says yes without an error.
func TestStoreHolderFailClosed(t *testing.T) {
	t.Parallel()
	lost := Errorf(KindUnavailable, "no quorum")
	var h StoreHandle
	denies := func(when string, want Kind) {
		t.Helper()
		for name, ask := range map[string]func(context.Context, UserID) (bool, error){"Admit": admitted(&h), "HasAdmin": hasAdmin(&h)} {
			yes, err := ask(t.Context(), realUserID)
			if yes || KindOf(err) != want {
				t.Errorf("%s %s: %v, %v", name, when, yes, err)
			}
		}
	}
	allows := func(when string) {
		t.Helper()
		for name, ask := range map[string]func(context.Context, UserID) (bool, error){"Admit": admitted(&h), "HasAdmin": hasAdmin(&h)} {
			if yes, err := ask(t.Context(), realUserID); !yes || err != nil {
				t.Errorf("%s %s: %v, %v", name, when, yes, err)
			}
		}
	}
	denies("before any store", KindUnavailable)
	h.Publish(fakeStore{yes: true})
	allows("with a store that says yes")
	h.Publish(fakeStore{yes: false})
	denies("with a store that says no", "")
	h.Publish(fakeStore{yes: true, err: lost}) // a backend with a bug: yes and an error
	denies("with a store that failed", KindUnavailable)
	h.Publish(fakeStore{yes: true})
	allows("again")
	h.Empty(Errorf(KindRefused, "n1 serves"))
	denies("after Empty", KindRefused)
	if s, err := h.Store(); s != nil || err == nil || err.Error() != "n1 serves" {
		t.Errorf("Store after Empty: %v, %v", s, err)
	}
}

// TestHolderEmptyWithoutReason: a caller that forgets the reason must not open the door.
func TestHolderEmptyWithoutReason(t *testing.T) {
	t.Parallel()
	var h StoreHandle
	h.Publish(fakeStore{yes: true})
	h.Empty(nil)
	s, err := h.Store()
	if s != nil || err == nil {
		t.Fatalf("%v, %v", s, err)
	}
	if yes, err := admitted(&h)(t.Context(), realUserID); yes || KindOf(err) != KindUnavailable {
		t.Errorf("%v, %v", yes, err)
	}
}

func TestHolderPublishNil(t *testing.T) {
	t.Parallel()
	var h StoreHandle
	h.Publish(nil)
	if s, err := h.Store(); s != nil || KindOf(err) != KindUnavailable {
		t.Errorf("%v, %v", s, err)
	}
}

func TestHolderWatch(t *testing.T) {
	t.Parallel()
	var h StoreHandle
	var got []bool
	h.Watch(func(full bool) { got = append(got, full) })
	h.Publish(fakeStore{})
	h.Publish(fakeStore{})
	h.Empty(Errorf(KindUnavailable, "moving"))
	h.Watch(func(full bool) { got = append(got, full) })
	if d := gocmp.Diff([]bool{false, true, true, false, false}, got); d != "" {
		t.Error(d)
	}
}

// TestHolderConcurrently is for the race detector, and that no reader sees half a swap.
func TestHolderConcurrently(t *testing.T) {
	t.Parallel()
	var h StoreHandle
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				if s, err := h.Store(); (s == nil) == (err == nil) {
					t.Errorf("%v, %v", s, err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 500 {
			h.Publish(fakeStore{yes: true})
			h.Empty(Errorf(KindUnavailable, "moving"))
		}
	})
	wg.Wait()
}
