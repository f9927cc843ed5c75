package seal

import (
	"bytes"
	"errors"
	"testing"

	"unibus/core"
)

// sampleKeyRequest is of a room whose second epoch was followed.
func sampleKeyRequest(by person) KeyRequest {
	return KeyRequest{
		Room: "lobby", User: by.user, Time: start + 9000, Kind: RequestKey,
		Epoch: 2, Record: hashOf("record-hash", []byte("2")), KEMTime: start, KEMHash: hashOf("kem-hash", []byte("pk")),
	}
}

// TestEveryBitOfAKeyRequestIsSigned: no bit can be changed, and no byte added or left out.
func TestEveryBitOfAKeyRequestIsSigned(t *testing.T) {
	t.Parallel()
	ann := roster(t, "ann")[0]
	want := sampleKeyRequest(ann)
	b, err := want.Sign(ann)
	ok(t, err)
	if got, err := VerifyKeyRequest("lobby", ann.user, b); err != nil || got != want || len(b) != KeyRequestSize+len("lobby") {
		t.Fatalf("%+v, %v, %d bytes", got, err, len(b))
	}
	for bit := range len(b) * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := VerifyKeyRequest("lobby", ann.user, b); !errors.Is(err, ErrFormat) && !errors.Is(err, ErrSignature) {
			t.Fatalf("bit %d: %v", bit, err)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	for _, other := range [][]byte{b[:len(b)-1], append(bytes.Clone(b), 0), nil} {
		if _, err := VerifyKeyRequest("lobby", ann.user, other); !errors.Is(err, ErrFormat) {
			t.Errorf("%d bytes: %v", len(other), err)
		}
	}
	if _, err := VerifyKeyRequest("attic", ann.user, b); !errors.Is(err, ErrSignature) {
		t.Errorf("in another room: %v", err)
	}
}

func TestKeyRequestsThatAreNotSigned(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob")
	for why, change := range map[string]func(*KeyRequest){
		"another's":              func(q *KeyRequest) { q.User = p[1].user },
		"no room":                func(q *KeyRequest) { q.Room = "a.b" },
		"no kind":                func(q *KeyRequest) { q.Kind = 3 },
		"a record of no epoch":   func(q *KeyRequest) { q.Epoch = 0 },
		"an epoch and no record": func(q *KeyRequest) { q.Record = Hash{} },
	} {
		q := sampleKeyRequest(p[0])
		change(&q)
		if _, err := q.Sign(p[0]); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", why, err)
		}
	}
}
