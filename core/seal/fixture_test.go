package seal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"pgregory.net/rapid"

	"unibus/core"
)

const start core.Millis = 1_700_000_000_000

// person is a user with an identity and a published KEM key.
type person struct {
	nkeys.KeyPair
	user core.UserID
	kem  *KEM
	key  KEMKey
}

// Public makes a person a Signer.
func (p person) Public() string { return string(p.user) }

// newPerson is the same for the same name.
func newPerson(t testing.TB, name string) person {
	t.Helper()
	raw, private := sha256.Sum256([]byte("identity "+name)), sha256.Sum256([]byte("kem "+name))
	kp, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, raw[:])
	ok(t, err)
	seed, err := kp.Seed()
	ok(t, err)
	p := personOf(t, seed, private[:])
	p.key = p.publish(t, start)
	return p
}

// personOf has not published a key yet.
func personOf(t testing.TB, seed, private []byte) person {
	t.Helper()
	kp, err := nkeys.FromSeed(seed)
	ok(t, err)
	pub, err := kp.PublicKey()
	ok(t, err)
	k, err := ParseKEM(private)
	ok(t, err)
	return person{KeyPair: kp, user: core.UserID(pub), kem: k}
}

func (p person) publish(t testing.TB, at core.Millis) KEMKey {
	t.Helper()
	b, err := p.kem.Publish(p, at)
	ok(t, err)
	k, err := ParseKEMKey(p.user, b)
	ok(t, err)
	return k
}

// roster makes several persons, by their names.
func roster(t testing.TB, names ...string) []person {
	t.Helper()
	out := make([]person, len(names))
	for i, n := range names {
		out[i] = newPerson(t, n)
	}
	return out
}

func keysOf(people ...person) []KEMKey {
	out := make([]KEMKey, len(people))
	for i, p := range people {
		out[i] = p.key
	}
	return out
}

// rekey makes the record after prev, or the room's first one.
func rekey(t testing.TB, prev *EpochKey, by person, members ...person) Rekeyed {
	t.Helper()
	cfg := RecordConfig{
		Room: "lobby", Epoch: 1, Rec: NewRec(), Key: NewRoomKey(), Members: keysOf(members...),
		By: by, At: start, Reason: ReasonFirst, PrevKey: prev,
	}
	if prev != nil {
		cfg.Epoch, cfg.Reason = prev.record.Epoch+1, ReasonRemoved
	}
	out, err := MakeRecord(cfg)
	ok(t, err)
	return out
}

// boxOf is a member's row.
func boxOf(t testing.TB, r Rekeyed, p person) core.SealedKey {
	t.Helper()
	for _, k := range r.Keys {
		if k.User == p.user {
			return k
		}
	}
	t.Fatalf("%s has no box", p.user)
	return core.SealedKey{}
}

func opened(t testing.TB, r Rekeyed, p person) *EpochKey {
	t.Helper()
	o, err := OpenBox(r.Key.record, boxOf(t, r, p), p.user, p.kem)
	ok(t, err)
	return o.Key
}

func ok(t rapid.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks that an error is one of the wanted faults, and fit for people.
func refused(t testing.TB, err error, want ...Fault) {
	t.Helper()
	for _, f := range want {
		if !errors.Is(err, f) {
			continue
		}
		var e *core.Error
		if !errors.As(err, &e) || e.Kind != f.kind() || e.Next == "" || strings.Contains(e.Text, "%!") {
			t.Fatalf("not an error for people: %#v", err)
		}
		return
	}
	t.Fatalf("got %v, want %q", err, want)
}

// invalid checks that an error is the caller's own mistake.
func invalid(t testing.TB, err error) {
	t.Helper()
	var f Fault
	if core.KindOf(err) != core.KindInvalid || errors.As(err, &f) {
		t.Fatalf("got %v, want a mistake of the caller", err)
	}
}

// eachBit calls f with every bit of b flipped in turn.
func eachBit(b []byte, f func(what string, flipped []byte)) {
	c := append([]byte(nil), b...)
	for i := range 8 * len(c) {
		c[i/8] ^= 1 << (i % 8)
		f(fmt.Sprintf("byte %d, bit %d", i/8, i%8), c)
		c[i/8] ^= 1 << (i % 8)
	}
}

// cuts calls f with every shorter form of b, and some longer ones.
func cuts(b []byte, f func(what string, cut []byte)) {
	for i := range b {
		f(fmt.Sprintf("the first %d bytes", i), b[:i:i])
	}
	f("a byte more", append(b[:len(b):len(b)], 0))
	f("twice", append(b[:len(b):len(b)], b...))
}

func clockAt(now *time.Time) func() time.Time { return func() time.Time { return *now } }
