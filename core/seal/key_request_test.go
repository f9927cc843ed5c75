package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
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

const keyRequestFile = "key_requests.json"

// keyRequestVectors are frozen; testdata/key_request_reader.py reads them, too.
type keyRequestVectors struct {
	Signer   signerVector       `json:"signer"`
	Requests []keyRequestVector `json:"requests"`
	Refused  []keyRequestVector `json:"refused"`
}

type keyRequestVector struct {
	Why     string      `json:"why,omitempty"`
	Fault   Fault       `json:"fault,omitempty"`
	Room    core.RoomID `json:"room"`
	Time    core.Millis `json:"time"`
	Kind    RequestKind `json:"kind"`
	Epoch   core.Epoch  `json:"epoch"`
	Record  Hash        `json:"record"`
	KEMTime core.Millis `json:"kem_time"`
	KEMHash Hash        `json:"kem_hash"`
	Request []byte      `json:"request"`
}

func (v keyRequestVector) of(user core.UserID) KeyRequest {
	return KeyRequest{v.Room, user, v.Time, v.Kind, v.Epoch, v.Record, v.KEMTime, v.KEMHash}
}

func TestKeyRequestVectors(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("testdata", keyRequestFile))
	ok(t, err)
	v := &keyRequestVectors{}
	ok(t, json.Unmarshal(data, v))
	if len(v.Requests) < 2 || len(v.Refused) < 6 {
		t.Fatal("there are too few vectors")
	}
	by := personOf(t, []byte(v.Signer.Seed), make([]byte, 32))
	for _, want := range v.Requests {
		b, err := want.of(by.user).Sign(by)
		ok(t, err)
		if !bytes.Equal(b, want.Request) {
			t.Errorf("the request in %s is signed in another way than before", want.Room)
		}
		got, err := VerifyKeyRequest(want.Room, by.user, want.Request)
		ok(t, err)
		if got != want.of(by.user) {
			t.Errorf("read: %+v", got)
		}
	}
	for _, r := range v.Refused {
		if _, err := VerifyKeyRequest(r.Room, by.user, r.Request); !errors.Is(err, r.Fault) {
			t.Errorf("%s: %v, want %q", r.Why, err, r.Fault)
		}
	}
}

// TestSecondReaderOfKeyRequests has a reader made from DESIGN.md alone read the vectors.
func TestSecondReaderOfKeyRequests(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 here: the second reader of the key request vectors was not run")
	}
	out, err := exec.CommandContext(t.Context(), python, "-I", "-B", filepath.Join("testdata", "key_request_reader.py"), filepath.Join("testdata", keyRequestFile)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// TestWriteKeyRequestVectors writes the file anew: go test -run WriteKeyRequestVectors -update-vectors.
func TestWriteKeyRequestVectors(t *testing.T) {
	if !*update {
		t.Skip("the vectors are frozen")
	}
	ann := roster(t, "ann")[0]
	seed, err := ann.Seed()
	ok(t, err)
	v := &keyRequestVectors{Signer: signerVector{string(seed), ann.user}}
	first := sampleKeyRequest(ann)
	first.Room, first.Kind, first.Epoch, first.Record = "r0123456789abcdef0123", RequestHeard, 0, Hash{}
	for _, q := range []KeyRequest{sampleKeyRequest(ann), first} {
		b, err := q.Sign(ann)
		ok(t, err)
		v.Requests = append(v.Requests, keyRequestVector{Room: q.Room, Time: q.Time, Kind: q.Kind, Epoch: q.Epoch, Record: q.Record, KEMTime: q.KEMTime, KEMHash: q.KEMHash, Request: b})
	}
	good := v.Requests[0]
	refuse := func(why string, fault Fault, change func(b []byte) []byte) {
		r := good
		r.Why, r.Fault, r.Request = why, fault, change(bytes.Clone(good.Request))
		v.Refused = append(v.Refused, r)
	}
	refuse("another version", ErrFormat, func(b []byte) []byte { b[0] = 2; return b })
	refuse("a byte more", ErrFormat, func(b []byte) []byte { return append(b, 0) })
	refuse("another kind", ErrFormat, func(b []byte) []byte { b[2+2+5+8] = 3; return b })
	refuse("another room", ErrSignature, func([]byte) []byte { return v.Requests[1].Request })
	refuse("another time", ErrSignature, func(b []byte) []byte { b[2+2+5+7]++; return b })
	refuse("another signature", ErrSignature, func(b []byte) []byte { b[len(b)-40] ^= 1; return b })
	data, err := json.MarshalIndent(v, "", "  ")
	ok(t, err)
	ok(t, os.WriteFile(filepath.Join("testdata", keyRequestFile), append(data, '\n'), 0o644))
}
