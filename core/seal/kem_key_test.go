package seal

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"unibus/core"
)

func TestPublishedKeyIsItsUsers(t *testing.T) {
	t.Parallel()
	ann, bob := newPerson(t, "ann"), newPerson(t, "bob")
	b, err := ann.kem.Publish(ann, start)
	ok(t, err)
	if len(b) != KEMKeySize {
		t.Errorf("%d bytes, not %d", len(b), KEMKeySize)
	}
	k, err := ParseKEMKey(core.UserID(strings.ToLower(string(ann.user))), b)
	ok(t, err)
	if k.User != ann.user || k.Time != start || k.Hash != ann.kem.Hash() {
		t.Errorf("%+v", k)
	}
	_, err = ParseKEMKey(bob.user, b)
	refused(t, err, ErrKey)
	swapped, err := bob.kem.Publish(bob, start)
	ok(t, err)
	_, err = ParseKEMKey(ann.user, swapped)
	refused(t, err, ErrKey)
}

func TestEveryBitOfAPublishedKeyIsSigned(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	b, err := ann.kem.Publish(ann, start)
	ok(t, err)
	eachBit(b, func(what string, flipped []byte) {
		if _, err := ParseKEMKey(ann.user, flipped); !errors.Is(err, ErrKey) && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	})
	cuts(b, func(what string, cut []byte) {
		if _, err := ParseKEMKey(ann.user, cut); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	})
}

func TestAnOlderPublishedKeyIsARollback(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	older := ann.key
	fresh, err := NewKEM()
	ok(t, err)
	other := ann
	other.kem = fresh
	same, newer := other.publish(t, start), other.publish(t, start+1)
	ok(t, newer.Follows(older))
	ok(t, older.Follows(older))
	refused(t, older.Follows(newer), ErrRollback)
	refused(t, same.Follows(older), ErrKey)
	invalid(t, newer.Follows(newPerson(t, "bob").key))
}

func TestPrivateKEMKeyIsKept(t *testing.T) {
	t.Parallel()
	k, err := NewKEM()
	ok(t, err)
	b, err := k.Bytes()
	ok(t, err)
	again, err := ParseKEM(b)
	ok(t, err)
	if again.Hash() != k.Hash() || len(b) != 32 {
		t.Errorf("%d bytes make another key", len(b))
	}
	_, err = ParseKEM(b[1:])
	invalid(t, err)
}

func TestRoomKeyDoesNotPrint(t *testing.T) {
	t.Parallel()
	k := NewRoomKey()
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		if got := fmt.Sprintf(format, struct{ Key RoomKey }{k}); !strings.Contains(got, "room key") || len(got) > 60 {
			t.Errorf("%s prints %q", format, got)
		}
	}
	again, err := parseRoomKey(k.Bytes())
	ok(t, err)
	if again != k || k == NewRoomKey() || k == (RoomKey{}) {
		t.Error("keys do not come back, or are not random")
	}
	_, err = parseRoomKey(k.Bytes()[1:])
	invalid(t, err)
}

// broken is an identity that fails in a way of its own.
type broken struct {
	person
	sign func([]byte) ([]byte, error)
}

func (b broken) Sign(data []byte) ([]byte, error) { return b.sign(data) }

func TestIdentitiesThatCannotSign(t *testing.T) {
	t.Parallel()
	ann, bob := newPerson(t, "ann"), newPerson(t, "bob")
	for name, c := range map[string]struct {
		by   Signer
		kind core.Kind
	}{
		"none":         {nil, core.KindInvalid},
		"no user":      {person{user: "operator"}, core.KindInvalid},
		"failing":      {broken{ann, func([]byte) ([]byte, error) { return nil, errors.New("gone") }}, core.KindFailed},
		"short":        {broken{ann, func([]byte) ([]byte, error) { return make([]byte, 63), nil }}, core.KindFailed},
		"another hand": {broken{ann, bob.Sign}, core.KindRefused},
	} {
		_, err := MakeRecord(RecordConfig{
			Room: "lobby", Epoch: 1, Rec: NewRec(), Key: NewRoomKey(), Members: keysOf(ann, bob), By: c.by, At: start, Reason: ReasonFirst,
		})
		if core.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryFaultIsForPeople(t *testing.T) {
	t.Parallel()
	for _, f := range []Fault{
		ErrFormat, ErrKey, ErrBox, ErrCommitment, ErrRecord, ErrChain, ErrLink, ErrGap, ErrRollback, ErrFork,
		ErrSignature, ErrCiphertext, ErrReplay, ErrTooOld, ErrFutureEpoch, ErrOldEpoch, ErrLimit,
	} {
		err := errFault(f, "the room %s", "lobby")
		refused(t, err, f)
		if err.Error() != "the room lobby" || f.Error() == "" {
			t.Errorf("%q reads %q", f, err)
		}
	}
}

// parseRoomKey reads a key of 32 bytes. KindInvalid.
func parseRoomKey(b []byte) (k RoomKey, err error) {
	if len(b) != RoomKeySize {
		return k, errInvalid("a room's key has %d bytes, not %d", RoomKeySize, len(b))
	}
	copy(k.b[:], b)
	return k, nil
}

// Bytes is the key itself.
func (k RoomKey) Bytes() []byte { return append([]byte(nil), k.b[:]...) }
