package auth_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/auth"
)

// TestOneCallerFillsNoMemory: a caller that sends very many requests is refused for a
// while, and told so, and no other caller is. If the memory is full for all callers,
// the refusal says so, too.
func TestOneCallerFillsNoMemory(t *testing.T) {
	t.Parallel()
	c, greedy, other := newClocked("n1"), newKey(t), newKey(t)
	fill := func(key string, n int) (err error) {
		for i := 0; i < n && err == nil; i++ {
			err = c.Own.Create(t.Context(), fmt.Sprintf("%s.%d at %s", key, i, c.now))
		}
		return err
	}
	err := fill(pub(greedy), 1_000_000)
	if core.KindOf(err) != core.KindRefused {
		t.Fatalf("a million requests of one caller: %v", err)
	}
	ask := func() error { return send(t, c, greedy, c.now, true)() }
	err = ask()
	if core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), core.UserID(pub(greedy)).Short()) ||
		strings.Contains(err.Error()+core.AsError(err).Next, "majority") || len(c.asked) != 0 {
		t.Errorf("one more of theirs: %v (%s); the cluster was asked %d times", err, core.AsError(err).Next, len(c.asked))
	}
	if err := send(t, c, other, c.now, false)(); err != nil {
		t.Fatalf("another's request: %v", err)
	}
	c.now = c.now.Add(auth.NonceLife)
	if err := ask(); core.KindOf(err) != core.KindRefused {
		t.Errorf("before anything is forgotten: %v", err)
	}
	c.now = c.now.Add(time.Minute)
	if err := ask(); err != nil {
		t.Errorf("once it is forgotten: %v", err)
	}

	for i := range 1000 { // many together do fill it, and are told what it is
		if err = fill(fmt.Sprintf("U%d", i), 9000); err != nil {
			break
		}
	}
	err = send(t, c, other, c.now, false)()
	if core.KindOf(err) != core.KindUnavailable || strings.Contains(err.Error()+core.AsError(err).Next, "majority") {
		t.Errorf("with a full memory: %v (%s)", err, core.AsError(err).Next)
	}
}
