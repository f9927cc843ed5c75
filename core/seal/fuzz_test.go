package seal

import (
	"bytes"
	"testing"

	"unibus/core"
)

// Bytes from a server or another member reach these parsers as they are. None may
// panic, and each accepted text has exactly one form.

func FuzzKEMKey(f *testing.F) {
	ann := newPerson(f, "ann")
	b, err := ann.kem.Publish(ann, start)
	ok(f, err)
	f.Add(string(ann.user), b)
	f.Add("", []byte{version, suite1})
	f.Fuzz(func(t *testing.T, user string, b []byte) {
		k, err := ParseKEMKey(core.UserID(user), b)
		if (err == nil) != (k.key != nil) {
			t.Errorf("%v beside a key", err)
		}
	})
}

func FuzzPrivateKeys(f *testing.F) {
	f.Add(make([]byte, 32))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := ParseKEM(b); err == nil {
			again, err := k.Bytes()
			ok(t, err)
			if !bytes.Equal(again, b) {
				t.Errorf("%x came back as %x", b, again)
			}
		}
		if _, err := parseRoomKey(b); (err == nil) != (len(b) == RoomKeySize) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	})
}

func FuzzBox(f *testing.F) {
	ann, bob := newPerson(f, "ann"), newPerson(f, "bob")
	r := rekey(f, nil, ann, ann, bob)
	good := boxOf(f, r, bob)
	f.Add(good.Box)
	f.Add(lateBy(f, r.Key, ann, bob).Box)
	f.Add(good.Box[:boxCore])
	f.Fuzz(func(t *testing.T, b []byte) {
		x, fits := parseBox(b)
		if fits {
			if x.kind == boxOfRecord && !bytes.Equal(recordBox(x.coreBytes, x.index, x.path), b) {
				t.Error("two forms of one box")
			}
		}
		row := good
		row.Box = b
		if o, err := OpenBox(r.Key.record, row, bob.user, bob.kem); err == nil && (!fits || o.Key.key != r.Key.key) {
			t.Error("another key than the record's")
		}
	})
}

func FuzzRecord(f *testing.F) {
	ann := newPerson(f, "ann")
	first := rekey(f, nil, ann, ann)
	good := rekey(f, first.Key, ann, ann).Record
	head := headOf(first.Key.record)
	f.Add(good.Record)
	f.Add(first.Record.Record)
	f.Add(good.Record[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, sig, fits := parseRecord(b)
		if fits && !bytes.Equal(append(append(r.appendBody(nil), r.tag[:]...), sig...), b) {
			t.Error("two forms of one record")
		}
		row := good
		row.Record = b
		if _, err := ResumeChain(head).Advance(row, first.Key); (err == nil) != bytes.Equal(b, good.Record) {
			t.Errorf("%v", err)
		}
	})
}

func FuzzMessage(f *testing.F) {
	ann := newPerson(f, "ann")
	r := rekey(f, nil, ann, ann)
	good := sealed(f, r.Key, ann, "text")
	f.Add(string(ann.user), good)
	f.Add(string(ann.user), good[:Overhead])
	f.Add("", []byte{})
	f.Fuzz(func(t *testing.T, from string, b []byte) {
		m, fits := parseMessage(b)
		if fits && !bytes.Equal(append(append(m.header.appendTo(nil), m.sealed...), m.sig...), b) {
			t.Error("two forms of one message")
		}
		in := NewReceiver(ReceiverConfig{Room: "lobby"})
		ok(t, in.Advance(r.Key))
		if _, err := in.Open(core.UserID(from), b); err == nil && !bytes.Equal(b, good) {
			t.Error("another message than the one that was sent")
		}
	})
}
