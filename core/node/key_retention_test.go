package node_test

import (
	"fmt"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/nodetest"
)

// TestOldKeysAreDeleted: a node deletes the boxes of epochs that were over for 30 days, on
// either store, and on a cluster so that every node sees it. Younger boxes stay.
func TestOldKeysAreDeleted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		cfg     nodetest.Config
		backend core.Backend
	}{
		{"a node alone", nodetest.Config{Nodes: 1}, core.BackendSQLite},
		{"a cluster", nodetest.Config{Store: core.BackendKV}, core.BackendKV},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.cfg.OldKeys = 200 * time.Millisecond
			cluster := nodetest.Start(t, c.cfg)
			serving := []int{0}
			if c.backend == core.BackendKV {
				serving = []int{0, 1, 2}
			}
			cluster.WaitServing(c.backend, serving...)
			user := people(t, cluster, 1)[0].user()
			st := fine[core.Store](t)(cluster.Nodes[0].Store())
			now := core.MillisOf(time.Now())
			const day = core.Millis(24 * 60 * 60 * 1000)
			wantKind(t, "the room", st.CreateRoom(t.Context(), core.Room{ID: "plans", Owner: user, Encrypted: true, State: core.RoomActive, Rec: core.LegacyRec, Created: now}), "")
			for e, age := range []core.Millis{80, 31, 29, 0} { // when the epoch began, in days ago
				rec := fmt.Sprintf("%016x", 0xa0+e)
				box := core.SealedKey{User: user, Box: []byte("box"), Created: now - age*day}
				wantKind(t, "staging", st.StageKeys(t.Context(), "plans", core.Epoch(e), rec, []core.SealedKey{box}), "")
				fine[core.Room](t)(st.CommitRekey(t.Context(), "plans", core.Epoch(e), rec, []byte{1}))
			}
			for _, i := range serving {
				st := fine[core.Store](t)(cluster.Nodes[i].Store())
				waitFor(t, "the oldest box to be gone", func() bool {
					_, err := st.Key(t.Context(), "plans", 1, user)
					return core.KindOf(err) == core.KindNotFound
				})
				for e := core.Epoch(2); e <= 4; e++ {
					fine[core.SealedKey](t)(st.Key(t.Context(), "plans", e, user))
				}
				if all := fine[[]core.EpochRecord](t)(st.Epochs(t.Context(), "plans", 4, 9)); len(all) != 4 {
					t.Errorf("%d records are left, want 4", len(all))
				}
			}
		})
	}
}
