package bus

import (
	"fmt"
	"testing"

	"unibus/core/auth"
)

// BenchmarkSeenOfAdmission is what the record of who was seen adds to one admission: an entry of a
// map. A connection takes hundreds of microseconds.
func BenchmarkSeenOfAdmission(b *testing.B) {
	t := newSessionTable(Limits{})
	keys := make([]string, 100_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("U%055d", i)
	}
	n := 0
	for b.Loop() {
		t.markSeen(auth.Grant{Kind: auth.KindUser, Identity: keys[n%len(keys)]})
		n++
	}
}
