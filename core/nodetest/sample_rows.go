package nodetest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/nats-io/nkeys"

	"unibus/core"
)

// SampleRows creates 50 rows for each room.
const (
	roomUsers   = 10
	roomMembers = 20 // half of them are the next room's users
	roomKeys    = 19 // one member has none
	roomRows    = roomUsers + 1 + roomMembers + roomKeys
)

// SampleRows creates about n consistent rows of all tables, at least 100, in no
// order, the same for the same n. No one can connect as one of their users.
func SampleRows(t testing.TB, n int) core.Snapshot {
	t.Helper()
	random := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	rooms := max(2, n/roomRows)
	var s core.Snapshot
	for i := range rooms * roomUsers {
		name := fmt.Sprintf("user %d", i)
		s.Users = append(s.Users, core.User{
			ID: publicKey(t, random), Name: &name, KEMKey: opaque(random, 32),
			Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: core.Millis(i),
		})
	}
	for i := range rooms {
		addRoom(&s, random, i)
	}
	return s
}

func addRoom(s *core.Snapshot, random *rand.ChaCha8, i int) {
	at := func(k int) core.UserID { return s.Users[(i*roomUsers+k)%len(s.Users)].ID }
	room := core.Room{
		ID: core.RoomID(fmt.Sprintf("room-%06d", i)), Owner: at(0), Encrypted: true, Epoch: 1,
		Rec: core.LegacyRec, State: core.RoomActive, Created: core.Millis(i),
	}
	s.Rooms = append(s.Rooms, room)
	owner := string(at(0))
	for k := range roomMembers {
		m := core.Member{Room: room.ID, User: at(k), Role: core.MemberMember, State: core.MemberActive, InvitedBy: &owner, Joined: core.Millis(k)}
		if k == 0 {
			m.Role, m.InvitedBy = core.MemberOwner, nil
		}
		s.Members = append(s.Members, m)
	}
	for k := range roomKeys {
		s.Keys = append(s.Keys, core.SealedKey{
			Room: room.ID, Epoch: 1, Rec: room.Rec, User: at(k), Box: opaque(random, 80), SealedBy: &owner, Created: core.Millis(k),
		})
	}
}

// publicKey looks like a user's key and has no seed. Creating real keys takes
// minutes for a hundred thousand.
func publicKey(t testing.TB, random *rand.ChaCha8) core.UserID {
	t.Helper()
	id, err := nkeys.Encode(nkeys.PrefixByteUser, opaque(random, 32))
	if err != nil {
		t.Fatal(err)
	}
	return core.UserID(id)
}

func opaque(random *rand.ChaCha8, n int) []byte {
	b := make([]byte, n)
	_, _ = random.Read(b) // never fails
	return b
}

// copyFile copies a closed database to a new path.
func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
