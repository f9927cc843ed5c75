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

const heartbeatFile = "heartbeats.json"

// heartbeatVectors are frozen; testdata/heartbeat_reader.py reads them, too.
type heartbeatVectors struct {
	Signer     signerVector      `json:"signer"`
	Heartbeats []heartbeatVector `json:"heartbeats"`
	Refused    []heartbeatVector `json:"refused"`
}

type heartbeatVector struct {
	Why       string         `json:"why,omitempty"`
	Fault     Fault          `json:"fault,omitempty"`
	Room      core.RoomID    `json:"room"`
	Time      core.Millis    `json:"time"`
	Members   MembershipHead `json:"members"`
	Epoch     core.Epoch     `json:"epoch"`
	Record    Hash           `json:"record"`
	KEMTime   core.Millis    `json:"kem_time"`
	KEMHash   Hash           `json:"kem_hash"`
	Heartbeat []byte         `json:"heartbeat"`
}

func (v heartbeatVector) of(user core.UserID) Heartbeat {
	return Heartbeat{v.Room, user, v.Time, v.Members, v.Epoch, v.Record, v.KEMTime, v.KEMHash}
}

// sampleHeartbeat is of a room whose second epoch was followed.
func sampleHeartbeat(by person) Heartbeat {
	return Heartbeat{
		Room: "lobby", User: by.user, Time: start + 9000, Members: MembershipHead{Seq: 7, Hash: hashOf("statement-hash", []byte("7"))},
		Epoch: 2, Record: hashOf("record-hash", []byte("2")), KEMTime: start, KEMHash: hashOf("kem-hash", []byte("pk")),
	}
}

func TestHeartbeatVectors(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("testdata", heartbeatFile))
	ok(t, err)
	v := &heartbeatVectors{}
	ok(t, json.Unmarshal(data, v))
	if len(v.Heartbeats) < 2 || len(v.Refused) < 5 {
		t.Fatal("there are too few vectors")
	}
	by := personOf(t, []byte(v.Signer.Seed), make([]byte, 32))
	for _, want := range v.Heartbeats {
		b, err := want.of(by.user).Sign(by)
		ok(t, err)
		if !bytes.Equal(b, want.Heartbeat) || len(b) != HeartbeatSize+len(want.Room) {
			t.Errorf("the heartbeat in %s is signed in another way than before", want.Room)
		}
		got, err := VerifyHeartbeat(want.Room, by.user, want.Heartbeat)
		ok(t, err)
		if got != want.of(by.user) {
			t.Errorf("read: %+v", got)
		}
	}
	for _, r := range v.Refused {
		if _, err := VerifyHeartbeat(r.Room, by.user, r.Heartbeat); !errors.Is(err, r.Fault) {
			t.Errorf("%s: %v, want %q", r.Why, err, r.Fault)
		}
	}
}

// TestSecondReaderOfHeartbeats has a reader made from DESIGN.md alone read the vectors.
func TestSecondReaderOfHeartbeats(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 here: the second reader of the heartbeat vectors was not run")
	}
	out, err := exec.CommandContext(t.Context(), python, "-I", "-B", filepath.Join("testdata", "heartbeat_reader.py"), filepath.Join("testdata", heartbeatFile)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// TestEveryBitOfAHeartbeatIsSigned: no bit can be changed, and no byte added or left out.
func TestEveryBitOfAHeartbeatIsSigned(t *testing.T) {
	t.Parallel()
	ann := roster(t, "ann")[0]
	b, err := sampleHeartbeat(ann).Sign(ann)
	ok(t, err)
	for bit := range len(b) * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := VerifyHeartbeat("lobby", ann.user, b); !errors.Is(err, ErrFormat) && !errors.Is(err, ErrSignature) {
			t.Fatalf("bit %d: %v", bit, err)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	for _, other := range [][]byte{b[:len(b)-1], append(bytes.Clone(b), 0), nil} {
		if _, err := VerifyHeartbeat("lobby", ann.user, other); !errors.Is(err, ErrFormat) {
			t.Errorf("%d bytes: %v", len(other), err)
		}
	}
}

func TestHeartbeatsThatAreNotSigned(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob")
	for why, change := range map[string]func(*Heartbeat){
		"another's":              func(h *Heartbeat) { h.User = p[1].user },
		"no room":                func(h *Heartbeat) { h.Room = "a.b" },
		"no statement":           func(h *Heartbeat) { h.Members.Hash = Hash{} },
		"a record of no epoch":   func(h *Heartbeat) { h.Epoch = 0 },
		"an epoch and no record": func(h *Heartbeat) { h.Record = Hash{} },
	} {
		h := sampleHeartbeat(p[0])
		change(&h)
		if _, err := h.Sign(p[0]); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", why, err)
		}
	}
}

// TestWriteHeartbeatVectors writes the file anew: go test -run WriteHeartbeatVectors -update-vectors.
func TestWriteHeartbeatVectors(t *testing.T) {
	if !*update {
		t.Skip("the vectors are frozen")
	}
	ann := roster(t, "ann")[0]
	seed, err := ann.Seed()
	ok(t, err)
	v := &heartbeatVectors{Signer: signerVector{string(seed), ann.user}}
	vector := func(h Heartbeat, b []byte) heartbeatVector {
		return heartbeatVector{Room: h.Room, Time: h.Time, Members: h.Members, Epoch: h.Epoch, Record: h.Record, KEMTime: h.KEMTime, KEMHash: h.KEMHash, Heartbeat: b}
	}
	first := sampleHeartbeat(ann)
	first.Room, first.Epoch, first.Record = "r0123456789abcdef0123", 0, Hash{}
	for _, h := range []Heartbeat{sampleHeartbeat(ann), first} {
		b, err := h.Sign(ann)
		ok(t, err)
		v.Heartbeats = append(v.Heartbeats, vector(h, b))
	}
	good := v.Heartbeats[0]
	refuse := func(why string, fault Fault, change func(b []byte) []byte) {
		r := good
		r.Why, r.Fault, r.Heartbeat = why, fault, change(bytes.Clone(good.Heartbeat))
		v.Refused = append(v.Refused, r)
	}
	refuse("another version", ErrFormat, func(b []byte) []byte { b[0] = 2; return b })
	refuse("a byte more", ErrFormat, func(b []byte) []byte { return append(b, 0) })
	refuse("a byte less", ErrFormat, func(b []byte) []byte { return b[1:] })
	refuse("another room", ErrSignature, func([]byte) []byte { return v.Heartbeats[1].Heartbeat })
	refuse("another time", ErrSignature, func(b []byte) []byte { b[2+2+5+7]++; return b })
	refuse("another signature", ErrSignature, func(b []byte) []byte { b[len(b)-40] ^= 1; return b })
	data, err := json.MarshalIndent(v, "", "  ")
	ok(t, err)
	ok(t, os.WriteFile(filepath.Join("testdata", heartbeatFile), append(data, '\n'), 0o644))
}
