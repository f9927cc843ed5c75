package demo

import (
	mathrand "math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	"unibus/core"
	"unibus/core/store/storetest"
)

func sampleOf(t *testing.T, users, rooms int) Sample {
	t.Helper()
	s, err := NewSample(SampleConfig{Users: users, Rooms: rooms, Identities: min(3, users), Now: time.UnixMilli(1_790_000_000_000), Keys: mathrand.NewChaCha8([32]byte{1})})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSampleLooksAsPromised(t *testing.T) {
	t.Parallel()
	s := sampleOf(t, 200, 50).Snapshot
	if len(s.Users) != 200 || len(s.Rooms) != 50 {
		t.Errorf("%d users and %d rooms", len(s.Users), len(s.Rooms))
	}
	if n := len(s.Members); n < 850 || n > 1150 {
		t.Errorf("%d members, want about 1,000", n)
	}
	var revoked, rekeyed int
	names := map[string]bool{}
	for _, u := range s.Users {
		names[*u.Name] = true
		if u.Status == core.UserRevoked {
			revoked++
		}
	}
	for _, r := range s.Rooms {
		if r.Epoch > 0 {
			rekeyed++
		}
	}
	if revoked < 5 || rekeyed < 5 || len(names) != 200 {
		t.Errorf("%d revoked, %d rekeyed, %d different names", revoked, rekeyed, len(names))
	}
	epochs := map[core.Epoch]bool{}
	for _, k := range s.Keys {
		epochs[k.Epoch] = true
	}
	if len(epochs) < 3 || len(s.Keys) <= len(s.Members) {
		t.Errorf("%d keys over %d epochs", len(s.Keys), len(epochs))
	}
}

// TestSampleCanBeMoved checks the rules of DESIGN section 6 that keep a row from being converted.
func TestSampleCanBeMoved(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{200, 50}, {1, 3}, {5, 0}, {3100, 60}} {
		s := sampleOf(t, size[0], size[1]).Snapshot
		users, rooms := map[core.UserID]core.User{}, map[core.RoomID]core.Room{}
		for _, u := range s.Users {
			if _, err := core.ParseUserID(string(u.ID)); err != nil {
				t.Fatal(err)
			}
			users[u.ID] = u
		}
		for _, r := range s.Rooms {
			if _, err := core.ParseRoomID(string(r.ID)); err != nil {
				t.Fatal(err)
			}
			if users[r.Owner].Status != core.UserActive {
				t.Errorf("%s is owned by %s, who is not an active user", r.ID, r.Owner)
			}
			rooms[r.ID] = r
		}
		for _, m := range s.Members {
			if rooms[m.Room].ID == "" || users[m.User].ID == "" {
				t.Errorf("member %s of %s is an orphan", m.User, m.Room)
			}
		}
		for _, k := range s.Keys {
			if k.Epoch > rooms[k.Room].Epoch || users[k.User].ID == "" || k.Rec != core.LegacyRec {
				t.Errorf("key %s %d %s is an orphan", k.Room, k.Epoch, k.User)
			}
		}
		for _, table := range core.Tables() {
			if _, err := storetest.DigestRows(s.Rows(table)); err != nil {
				t.Errorf("%s has a key twice: %v", table, err)
			}
		}
	}
}

func TestSampleIsTheSameForTheSameKeys(t *testing.T) {
	t.Parallel()
	if d := cmp.Diff(sampleOf(t, 30, 4), sampleOf(t, 30, 4)); d != "" {
		t.Error(d)
	}
}

func TestKeptSeedsBelongToActiveUsers(t *testing.T) {
	t.Parallel()
	s := sampleOf(t, 200, 2)
	if len(s.Seeds) != 3 {
		t.Fatalf("%d seeds", len(s.Seeds))
	}
	active := map[string]bool{}
	for _, u := range s.Snapshot.Users {
		active[string(u.ID)] = u.Status == core.UserActive
	}
	for _, seed := range s.Seeds {
		kp, err := nkeys.FromSeed(seed)
		if err != nil {
			t.Fatal(err)
		}
		if public, _ := kp.PublicKey(); !active[public] {
			t.Errorf("%s is not an active user", public)
		}
	}
}

func TestNoSample(t *testing.T) {
	t.Parallel()
	for _, cfg := range []SampleConfig{{}, {Users: 1, Rooms: -1}, {Users: 1, Identities: 2}, {Users: 1, Identities: -1}} {
		if _, err := NewSample(cfg); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
