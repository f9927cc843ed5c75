package core

import (
	"encoding/base32"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// userID is the nkey of 32 bytes of public key, made here from the format and not by the code under test.
func userID(key []byte) string {
	raw := append([]byte{20 << 3}, key...)
	var crc uint16
	for _, b := range raw {
		crc ^= uint16(b) << 8
		for range 8 {
			carry := crc & 0x8000
			crc <<= 1
			if carry != 0 {
				crc ^= 0x1021
			}
		}
	}
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(append(raw, byte(crc), byte(crc>>8)))
}

// The example key of the NATS documentation, to tie userID to the world.
const realUserID = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"

func genUserID(t *rapid.T) string {
	return userID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
}

func TestParseUserIDReal(t *testing.T) {
	t.Parallel()
	if id, err := ParseUserID(realUserID); err != nil || string(id) != realUserID {
		t.Errorf("%q, %v", id, err)
	}
}

func TestParseUserIDAnyCase(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := genUserID(t)
		mixed := []byte(want)
		for i, lower := range rapid.SliceOfN(rapid.Bool(), len(mixed), len(mixed)).Draw(t, "lower") {
			if lower {
				mixed[i] = strings.ToLower(want)[i]
			}
		}
		if got, err := ParseUserID(string(mixed)); err != nil || string(got) != want {
			t.Errorf("%q gives %q, %v", mixed, got, err)
		}
	})
}

// TestParseUserIDOneWrong: no key with one character changed is a key; that is what the checksum is for.
func TestParseUserIDOneWrong(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := []byte(genUserID(t))
		at := rapid.IntRange(0, len(id)-1).Draw(t, "at")
		was := id[at]
		id[at] = rapid.Byte().Filter(func(b byte) bool { return strings.ToUpper(string(rune(b))) != string(rune(was)) }).Draw(t, "byte")
		if got, err := ParseUserID(string(id)); err == nil {
			t.Errorf("%q gives %q", id, got)
		}
	})
}

func TestParseUserIDRefuses(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]string{
		"empty":          "",
		"short":          realUserID[:55],
		"long":           realUserID + "A",
		"account":        "ADXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
		"seed":           "SUAMLMZNYYU6BYT7WYQ7YWJ5LDFWW2QZ6D5WVQPO5QMVVDU6ZJ5CQ3RU4",
		"space":          " " + realUserID[1:],
		"newline":        realUserID + "\n",
		"padding":        realUserID[:55] + "=",
		"checksum":       realUserID[:55] + "5",
		"long s":         strings.Replace(realUserID, "S", "ſ", 1), // strings.ToUpper makes these two ASCII,
		"dotless i":      strings.Replace(realUserID, "I", "ı", 1), // SQLite's upper does not
		"two characters": "UU",
	} {
		id, err := ParseUserID(s)
		if KindOf(err) != KindInvalid || id != "" {
			t.Errorf("%s: %q, %v", name, id, err)
		} else if AsError(err).Next == "" {
			t.Errorf("%s: the error does not say what to do", name)
		}
	}
}

func TestUserIDShort(t *testing.T) {
	t.Parallel()
	for id, want := range map[UserID]string{realUserID: "UDXU…CNF4", "": "", "U123456789": "U123456789"} {
		if got := id.Short(); got != want {
			t.Errorf("%q is %q, want %q", id, got, want)
		}
	}
}

func TestParseRoomIDAndNodeName(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]struct{ room, node bool }{
		"a":                     {true, true},
		"-":                     {true, true},
		"Kitchen_2-b":           {true, true},
		"_a":                    {false, true},
		"":                      {},
		"a.b":                   {},
		"a b":                   {},
		"a*":                    {},
		">":                     {},
		"é":                     {},
		"a\x00":                 {},
		"a\n":                   {},
		strings.Repeat("x", 32): {true, true},
		strings.Repeat("x", 33): {true, false},
		strings.Repeat("x", 64): {true, false},
		strings.Repeat("x", 65): {},
	} {
		room, err := ParseRoomID(s)
		if want.room != (err == nil) || want.room && string(room) != s || !want.room && KindOf(err) != KindInvalid {
			t.Errorf("ParseRoomID(%q): %q, %v", s, room, err)
		}
		node, err := ParseNodeName(s)
		if want.node != (err == nil) || want.node && node != s || !want.node && KindOf(err) != KindInvalid {
			t.Errorf("ParseNodeName(%q): %q, %v", s, node, err)
		}
	}
}

func FuzzParseUserID(f *testing.F) {
	for _, s := range []string{"", realUserID, strings.ToLower(realUserID), "U", "ſ", strings.Repeat("ı", 56)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseUserID(s)
		if err != nil {
			if KindOf(err) != KindInvalid || id != "" {
				t.Errorf("%q: %q, %v", s, id, err)
			}
			return
		}
		if len(s) != len(id) || !strings.EqualFold(s, string(id)) || string(id) != strings.ToUpper(s) {
			t.Errorf("%q gives %q", s, id)
		}
		if again, err := ParseUserID(string(id)); err != nil || again != id {
			t.Errorf("%q is no longer an id: %v", id, err)
		}
	})
}

func FuzzParseRoomID(f *testing.F) {
	for _, s := range []string{"", "a", "_", "a.b", "é", strings.Repeat("x", 65)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseRoomID(s)
		if err != nil {
			if KindOf(err) != KindInvalid || id != "" {
				t.Errorf("%q: %q, %v", s, id, err)
			}
			return
		}
		if string(id) != s || len(s) > 64 || strings.ContainsAny(s, ".*> \t\r\n") {
			t.Errorf("%q gives %q", s, id)
		}
	})
}
