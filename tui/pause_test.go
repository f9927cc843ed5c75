package tui_test

import (
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/tui/tuitest"
)

func TestHeldPictureDoesNotGrowOld(t *testing.T) {
	t.Parallel()
	s, _, at := turned(t, tuitest.Healthy())
	s.Press("space")
	before := s.Screen()
	at.on(time.Minute)
	s.Tick()
	shows(t, s, "picture held 1 m 0 s", "12:05:31", "● healthy")
	hides(t, s, "No answer", "not known")
	body := func(screen string) string { return strings.Join(strings.Split(screen, "\n")[1:], "\n") }
	if got := s.Screen(); body(got) != body(before) {
		t.Errorf("the picture changed from\n%s\nto\n%s", before, got)
	}
}

func TestHeldPictureIsNoBetterThanItWas(t *testing.T) {
	t.Parallel()
	s, f, at := turned(t, tuitest.Healthy())
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers"))
	at.on(5 * time.Minute)
	s.Tick()
	shows(t, s, "? not known, was healthy")
	s.Press("space")
	shows(t, s, "? not known, was healthy", "picture held 0 s")
}

func TestPictureGoesOnForWhatWasNotInIt(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press("space", "2", "7")
	shows(t, s, "picture held")
	s.Press("4")
	shows(t, s, "The picture goes on", "live from n1", "191 active")
	hides(t, s, "Waiting for")
	s.Press("5", "space", "down", "enter")
	shows(t, s, "live from n1")
	hides(t, s, "Waiting for")
}

func TestActionsAreAskedOfWhatIs(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]string{{"r"}, {":", "user revoke", "enter"}} {
		s, f := still(t, tuitest.Healthy())
		s.Press("4", "down", "space")
		f.Change(func(w *tuitest.World) {
			w.Users = append([]core.User(nil), w.Users...)
			for i := range w.Users {
				w.Users[i].Status = core.UserRevoked
			}
		})
		s.Tick()
		shows(t, s, "191 active")
		s.Press(keys...)
		shows(t, s, "live from n1", "is revoked already.")
	}
}

func TestPauseHoldsThePicture(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Healthy())
	s.Press("space")
	shows(t, s, "picture held 0 s", "space go on")
	f.Set(tuitest.Lost())
	s.Tick()
	shows(t, s, "● healthy")
	s.Press("space")
	shows(t, s, "✖ critical", "live from n1")
}
