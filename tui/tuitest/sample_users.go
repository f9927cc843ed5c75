package tuitest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nkeys"

	"unibus/core"
)

var firstNames = []string{"ana", "bruno", "chidi", "dora", "emeka", "farah", "goran", "hana", "ines", "jonas", "kemal", "lucia", "mats", "nadia", "olek", "petra", "quinn", "rosa", "sami", "tove"}

// sampleUsers are 200 users. Some are revoked, and a few have names that are hard
// to draw.
func sampleUsers() []core.User {
	var out []core.User
	for i, id := range sampleUserIDs() {
		name := fmt.Sprintf("%s-%02d", firstNames[i%len(firstNames)], i/len(firstNames))
		u := core.User{ID: id, Name: &name, Role: core.RoleMember, Status: core.UserActive, Created: ago(time.Duration(i+40) * time.Hour), Updated: ago(time.Duration(i+3) * time.Hour)}
		switch {
		case i == 3:
			name = "日本語の名前"
		case i == 5:
			name = "evil\x1b[2J\x1b[31mred\u202egnp.exe"
		case i == 6:
			u.Name = nil
		case i%37 == 0:
			u.Role = core.RoleAdmin
		case i%23 == 4:
			u.Status = core.UserRevoked
		}
		out = append(out, u)
	}
	return out
}

// sampleUserIDs are in their order, which is that of a node's list.
func sampleUserIDs() []core.UserID {
	ids := make([]core.UserID, 200)
	for i := range ids {
		ids[i] = sampleUserID(i)
	}
	slices.Sort(ids)
	return ids
}

func sampleUserID(i int) core.UserID {
	seed := sha256.Sum256(fmt.Appendf(nil, "tuitest user %d", i))
	pair, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, seed[:])
	if err != nil {
		panic(err)
	}
	pub, err := pair.PublicKey()
	if err != nil {
		panic(err)
	}
	return core.UserID(pub)
}
