package core

import (
	"encoding/base32"
	"strings"
)

// UserID is the public nkey of a user: 56 characters of base32, the first a
// "U", always in upper case. Only ParseUserID makes one out of foreign text.
type UserID string

// RoomID names a room: 1 to 64 of A-Z a-z 0-9 _ -, the first not "_".
type RoomID string

// Short is the id as it is shown in tables: the first and last four characters.
func (u UserID) Short() string {
	if len(u) <= 10 {
		return string(u)
	}
	return string(u[:4]) + "…" + string(u[len(u)-4:])
}

// nkeys are base32 of a prefix byte, 32 bytes of Ed25519 public key and a
// CRC-16 (github.com/nats-io/nkeys, strkey.go); 20<<3 is the user prefix.
const (
	userIDLen    = 56
	userIDPrefix = 20 << 3
)

// ParseUserID reads a user's public nkey, in any case, and returns it in upper
// case. Other text gives KindInvalid.
func ParseUserID(s string) (UserID, error) {
	up := strings.ToUpper(s)
	bad := func(why string) (UserID, error) {
		return "", Errorf(KindInvalid, "%q is not a user's public nkey: %s", s, why).
			WithNext("give the 56 characters beginning with U that `unibusd keygen user` printed")
	}
	if len(s) != userIDLen { // of s: ToUpper makes ASCII of ſ and ı
		return bad("it must have 56 characters")
	}
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(up)
	if err != nil {
		return bad("it is not base32")
	}
	if raw[0] != userIDPrefix {
		return bad("it does not begin with U")
	}
	n := len(raw) - 2
	if crc16(raw[:n]) != uint16(raw[n])|uint16(raw[n+1])<<8 {
		return bad("its checksum is wrong")
	}
	return UserID(up), nil
}

// crc16 is CRC-16/XMODEM, the checksum of nkeys. Every message of a room names a
// key, so it goes a byte at a time without a table: x is what the byte divides to.
func crc16(data []byte) uint16 {
	var crc uint16
	for _, b := range data {
		x := crc>>8 ^ uint16(b)
		x ^= x >> 4
		crc = crc<<8 ^ x<<12 ^ x<<5 ^ x
	}
	return crc
}

// ParseRoomID checks a room's id. Other text gives KindInvalid.
func ParseRoomID(s string) (RoomID, error) {
	if len(s) == 0 || len(s) > 64 || s[0] == '_' || !wordChars(s) {
		return "", Errorf(KindInvalid, "%q is not a room's id", s).
			WithNext("use 1 to 64 of A-Z a-z 0-9 _ -, the first not _")
	}
	return RoomID(s), nil
}

// ParseRec checks the name of an epoch's record that a client chose: 16 to 64 of
// a-z 0-9, which LegacyRec is not. KindInvalid.
func ParseRec(s string) (string, error) {
	bad := len(s) < 16 || len(s) > 64
	for _, c := range []byte(s) {
		bad = bad || (c < 'a' || c > 'z') && (c < '0' || c > '9')
	}
	if bad {
		return "", Errorf(KindInvalid, "%.80q is not the name of an epoch's record", s).WithNext("use 16 to 64 of a-z 0-9, made at random")
	}
	return s, nil
}

// ParseNodeName checks a node's name: 1 to 32 of A-Z a-z 0-9 _ -.
func ParseNodeName(s string) (string, error) {
	if len(s) == 0 || len(s) > 32 || !wordChars(s) {
		return "", Errorf(KindInvalid, "%q is not a node's name", s).WithNext("use 1 to 32 of A-Z a-z 0-9 _ -")
	}
	return s, nil
}

func wordChars(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
