package core

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Generators of every value that a row can carry: NULL, empty, NUL, control
// characters, line separators, what HTML escapes, beyond the basic plane.

func genText(t *rapid.T, label string) *string {
	odd := rapid.SampledFrom([]string{"", "\x00", "a\x00b", "\u2028\u2029", "<&>\"\\", "\U0001F511", "e\u0301\u202e", "\uFFFD", "\r\n\t\x7f"})
	return rapid.Ptr(rapid.OneOf(odd, rapid.String()), true).Draw(t, label)
}

func genBytes(t *rapid.T, label string) []byte {
	if rapid.Bool().Draw(t, label+" is NULL") {
		return nil
	}
	return append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, label)...)
}

func genMillis(t *rapid.T, label string) Millis { return Millis(rapid.Int64().Draw(t, label)) }

func genRoomID(t *rapid.T) RoomID {
	return RoomID(rapid.StringMatching(`[A-Za-z0-9-][A-Za-z0-9_-]{0,4}`).Draw(t, "room"))
}

func genEpoch(t *rapid.T) Epoch {
	return Epoch(rapid.OneOf(rapid.Uint64Range(0, 12), rapid.Uint64()).Draw(t, "epoch"))
}

func genRec(t *rapid.T) string { return rapid.StringMatching(`0|[A-Za-z0-9]{8}`).Draw(t, "rec") }

func genUser(t *rapid.T) User {
	return User{
		ID: UserID(genUserID(t)), Name: genText(t, "name"), Role: rapid.SampledFrom([]UserRole{RoleMember, RoleAdmin}).Draw(t, "role"),
		Status: rapid.SampledFrom([]UserStatus{UserActive, UserRevoked}).Draw(t, "status"),
		KEMKey: genBytes(t, "kem"), Created: genMillis(t, "created"), Updated: genMillis(t, "updated"), Expires: genMillis(t, "expires"),
	}
}

func genRoom(t *rapid.T) Room {
	return Room{
		ID: genRoomID(t), Name: genText(t, "name"), Owner: UserID(genUserID(t)), Encrypted: rapid.Bool().Draw(t, "encrypted"),
		Epoch: genEpoch(t), Rec: genRec(t), State: rapid.SampledFrom([]RoomState{RoomActive, RoomArchived}).Draw(t, "state"), Created: genMillis(t, "created"),
	}
}

func genMember(t *rapid.T) Member {
	return Member{
		Room: genRoomID(t), User: UserID(genUserID(t)), Role: rapid.SampledFrom([]MemberRole{MemberOwner, MemberAdmin, MemberMember}).Draw(t, "role"),
		State:     rapid.SampledFrom([]MemberState{MemberActive, MemberRemoved}).Draw(t, "state"),
		InvitedBy: genText(t, "invited"), Proof: genBytes(t, "proof"), Joined: genMillis(t, "joined"),
	}
}

func genKey(t *rapid.T) SealedKey {
	return SealedKey{
		Room: genRoomID(t), Epoch: genEpoch(t), Rec: genRec(t), User: UserID(genUserID(t)),
		Box: genBytes(t, "box"), SealedBy: genText(t, "sealed"), Created: genMillis(t, "created"),
	}
}

func genRecord(t *rapid.T) EpochRecord {
	return EpochRecord{Room: genRoomID(t), Epoch: genEpoch(t), Rec: genRec(t), Prev: genRec(t), Record: genBytes(t, "record")}
}

func same(t *rapid.T, want, got any, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("decoding what was encoded: %v", err)
	}
	if d := gocmp.Diff(want, got); d != "" { // distinguishes nil from empty
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestRowsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		u := genUser(t)
		gotUser, err := DecodeUser(UserRow(u))
		same(t, u, gotUser, err)

		r := genRoom(t)
		gotRoom, err := DecodeRoom(RoomRow(r))
		same(t, r, gotRoom, err)

		m := genMember(t)
		gotMember, err := DecodeMember(MemberRow(m))
		same(t, m, gotMember, err)
		user, room, state, err := decodeIndex(IndexRow(m))
		same(t, []any{m.User, m.Room, m.State}, []any{user, room, state}, err)

		k := genKey(t)
		gotKey, none, err := DecodeKey(KeyRow(k))
		same(t, &k, gotKey, err)
		e := genRecord(t)
		noKey, gotRecord, err := DecodeKey(RecordRow(e))
		same(t, &e, gotRecord, err)
		if none != nil || noKey != nil {
			t.Error("a row is both a key and a record")
		}
	})
}

// TestRowsAreCanonical: the value is the same JSON after a trip through another JSON library's eyes, and of one line.
func TestRowsAreCanonical(t *testing.T) {
	t.Parallel()
	name := "<&>\x00\u2028"
	got := UserRow(User{ID: realUserID, Name: &name, Role: RoleAdmin, Status: UserRevoked, KEMKey: []byte{}, Created: -1, Updated: math.MaxInt64})
	want := Row{TableUsers, realUserID, []byte(`{"v":1,"name":"<&>\u0000\u2028","role":"admin","status":"revoked","kem_key":"","created":-1,"updated":9223372036854775807}`)}
	if d := gocmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for want, got := range map[string]Row{
		`{"v":1,"role":"member","status":"active","created":1,"updated":2}`: UserRow( // as releases without ends wrote it: digests stay
			User{ID: "U", Role: RoleMember, Status: UserActive, Created: 1, Updated: 2}),
		`{"v":2,"role":"member","status":"active","created":1,"updated":2,"expires":3}`: UserRow(
			User{ID: "U", Role: RoleMember, Status: UserActive, Created: 1, Updated: 2, Expires: 3}),
		`{"v":1,"owner":"U","encrypted":false,"epoch":18446744073709551615,"rec":"0","state":"active","created":0}`: RoomRow(
			Room{ID: "r", Owner: "U", Epoch: math.MaxUint64, Rec: LegacyRec, State: RoomActive}),
		`{"v":1,"role":"owner","state":"removed","invited_by":"","proof":"AA==","joined":0}`: MemberRow(
			Member{Room: "r", User: "U", Role: MemberOwner, State: MemberRemoved, InvitedBy: new(string), Proof: []byte{0}}),
		`{"v":1,"state":"active"}`: IndexRow(Member{Room: "r", User: "U", State: MemberActive}),
		`{"v":1,"box":"","created":0}`: KeyRow(
			SealedKey{Room: "r", Rec: LegacyRec, User: "U", Box: []byte{}}),
		`{"v":1,"prev":"0"}`: RecordRow(EpochRecord{Room: "r", Rec: "x", Prev: "0"}),
	} {
		if string(got.Value) != want || !json.Valid(got.Value) {
			t.Errorf("%s %s\n got %s\nwant %s", got.Table, got.Key, got.Value, want)
		}
	}
}

func TestKeysOfRows(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]Row{
		"UNIBUS_users U":                 UserRow(User{ID: "U"}),
		"UNIBUS_rooms r":                 RoomRow(Room{ID: "r"}),
		"UNIBUS_members r.U":             MemberRow(Member{Room: "r", User: "U"}),
		"UNIBUS_rooms_by_member U.r":     IndexRow(Member{Room: "r", User: "U"}),
		"UNIBUS_room_keys r.10.0.U":      KeyRow(SealedKey{Room: "r", Epoch: 10, Rec: "0", User: "U"}),
		"UNIBUS_room_keys r.2.x._record": RecordRow(EpochRecord{Room: "r", Epoch: 2, Rec: "x"}),
	} {
		if s := got.Table.Bucket() + " " + got.Key; s != want {
			t.Errorf("%q, want %q", s, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	row := func(table Table, key, value string) Row { return Row{table, key, []byte(value)} }
	good := `{"v":1}`
	for name, r := range map[string]Row{
		"user: not JSON":          row(TableUsers, "U", `{`),
		"user: empty":             row(TableUsers, "U", ``),
		"user: trailing":          row(TableUsers, "U", good+good),
		"user: newer":             row(TableUsers, "U", `{"v":3}`),
		"user: half a value more": row(TableUsers, "U", good+"}"),
		"user: no version":        row(TableUsers, "U", `{}`),
		"user: null":              row(TableUsers, "U", `null`),
		"user: wrong type":        row(TableUsers, "U", `{"v":1,"role":3}`),
		"room: negative epoch":    row(TableRooms, "r", `{"v":1,"epoch":-1}`),
		"member: one part":        row(TableMembers, "r", good),
		"member: three parts":     row(TableMembers, "r.U.x", good),
		"member: bad base64":      row(TableMembers, "r.U", `{"v":1,"proof":"*"}`),
		"index: one part":         row(TableRoomsByMember, "U", good),
		"key: three parts":        row(TableRoomKeys, "r.0.U", good),
		"key: five parts":         row(TableRoomKeys, "r.0.0.U.x", good),
		"key: padded epoch":       row(TableRoomKeys, "r.01.0.U", good),
		"key: signed epoch":       row(TableRoomKeys, "r.+1.0.U", good),
		"key: epoch overflow":     row(TableRoomKeys, "r.18446744073709551616.0.U", good),
		"key: no epoch":           row(TableRoomKeys, "r..0.U", good),
		"key: newer":              row(TableRoomKeys, "r.0.0.U", `{"v":9}`),
		"record: newer":           row(TableRoomKeys, "r.0.0._record", `{"v":9}`),
		"record: prev no string":  row(TableRoomKeys, "r.0.0._record", `{"v":1,"prev":[]}`),
	} {
		err := decodeAny(r)
		if KindOf(err) != KindFailed {
			t.Errorf("%s: %v", name, err)
		} else if !strings.Contains(err.Error(), r.Table.Bucket()) || !strings.Contains(err.Error(), r.Key) {
			t.Errorf("%s: %v does not name the row", name, err)
		}
	}
}

func decodeAny(r Row) (err error) {
	switch r.Table {
	case TableUsers:
		_, err = DecodeUser(r)
	case TableRooms:
		_, err = DecodeRoom(r)
	case TableMembers:
		_, err = DecodeMember(r)
	case TableRoomsByMember:
		_, _, _, err = decodeIndex(r)
	case TableRoomKeys:
		_, _, err = DecodeKey(r)
	}
	return err
}

// TestNewerRowsAreRefused: a row with a field that this program does not know is refused,
// because the field would be lost with the next change. A user with an end is such a row
// for programs that know version 1 alone: they would admit the user for ever.
func TestNewerRowsAreRefused(t *testing.T) {
	t.Parallel()
	for _, r := range []Row{
		UserRow(User{ID: "U"}), RoomRow(Room{ID: "r"}), MemberRow(Member{Room: "r", User: "U"}),
		IndexRow(Member{Room: "r", User: "U"}), KeyRow(SealedKey{Room: "r", Rec: "0", User: "U"}), RecordRow(EpochRecord{Room: "r", Rec: "0"}),
	} {
		if err := decodeAny(r); err != nil {
			t.Fatal(err)
		}
		field := Row{r.Table, r.Key, bytes.Replace(r.Value, []byte("}"), []byte(`,"limit":3}`), 1)}
		version := Row{r.Table, r.Key, bytes.Replace(r.Value, []byte(`"v":1`), []byte(`"v":4,"limit":3`), 1)}
		for want, newer := range map[string]Row{`the field "limit"`: field, "its version is 4": version} {
			err := decodeAny(newer)
			if KindOf(err) != KindFailed || !strings.Contains(err.Error(), want) || !strings.Contains(AsError(err).Next, "newer release") {
				t.Errorf("%s: %v; %q", newer.Value, err, AsError(err).Next)
			}
		}
	}
	if ends := UserRow(User{ID: "U", Expires: 7}).Value; !bytes.HasPrefix(ends, []byte(`{"v":2,`)) {
		t.Errorf("a user with an end is %s, which older programs would read", ends)
	}
	signed := MemberRow(Member{Room: "r", User: "U", Proof: []byte(StatementsPrefix + "x")})
	if again, err := DecodeMember(signed); err != nil || !bytes.HasPrefix(signed.Value, []byte(`{"v":3,`)) || !HasStatements(again.Proof) {
		t.Errorf("a member with signed statements is %s, which older programs would write over: %v", signed.Value, err)
	}
}

// FuzzDecode: decoding any bytes of a bucket gives a value that encodes and decodes to itself, or KindFailed.
func FuzzDecode(f *testing.F) {
	name := "n"
	for _, r := range []Row{
		UserRow(User{ID: "U", Name: &name, KEMKey: []byte{1}}), RoomRow(Room{ID: "r"}), MemberRow(Member{Room: "r", User: "U"}),
		IndexRow(Member{Room: "r", User: "U"}), KeyRow(SealedKey{Room: "r", Rec: "0", User: "U"}), RecordRow(EpochRecord{Room: "r", Rec: "0"}),
	} {
		f.Add(uint8(slices.Index(Tables(), r.Table)), r.Key, r.Value)
	}
	f.Fuzz(func(t *testing.T, table uint8, key string, value []byte) {
		r := Row{Tables()[int(table)%len(Tables())], key, value}
		again, err := recode(r)
		if err != nil {
			if KindOf(err) != KindFailed {
				t.Errorf("kind %q", KindOf(err))
			}
			return
		}
		if again.Key != r.Key {
			t.Errorf("the key %q became %q", r.Key, again.Key)
		}
		third, err := recode(again)
		if err != nil || !bytes.Equal(third.Value, again.Value) || third.Key != again.Key {
			t.Errorf("%s is not stable: %s, %v", again.Value, third.Value, err)
		}
	})
}

func recode(r Row) (Row, error) {
	switch r.Table {
	case TableUsers:
		v, err := DecodeUser(r)
		return UserRow(v), err
	case TableRooms:
		v, err := DecodeRoom(r)
		return RoomRow(v), err
	case TableMembers:
		v, err := DecodeMember(r)
		return MemberRow(v), err
	case TableRoomsByMember:
		user, room, state, err := decodeIndex(r)
		return IndexRow(Member{Room: room, User: user, State: state}), err
	}
	key, record, err := DecodeKey(r)
	switch {
	case err != nil:
		return Row{}, err
	case record != nil:
		return RecordRow(*record), nil
	}
	return KeyRow(*key), nil
}

// TestSnapshotOrder: the rows of a snapshot are in bytewise key order whatever
// the order of its slices, and so are the slices after Sort.
func TestSnapshotOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		byKey := func(r Row) string { return r.Key }
		s := Snapshot{
			Users:   distinct(t, "users", genUser, func(v User) string { return byKey(UserRow(v)) }),
			Rooms:   distinct(t, "rooms", genRoom, func(v Room) string { return byKey(RoomRow(v)) }),
			Members: distinct(t, "members", genMember, func(v Member) string { return byKey(MemberRow(v)) }),
			Keys:    distinct(t, "keys", genKey, func(v SealedKey) string { return byKey(KeyRow(v)) }),
			Records: distinct(t, "records", genRecord, func(v EpochRecord) string { return byKey(RecordRow(v)) }),
		}
		before := map[Table]Digest{}
		for _, table := range Tables() {
			rows := s.Rows(table)
			if !slices.IsSortedFunc(rows, func(a, b Row) int { return cmp.Compare(a.Key, b.Key) }) {
				t.Errorf("%s is out of order", table)
			}
			d, err := digestRows(rows)
			if err != nil {
				t.Fatal(err)
			}
			before[table] = d
		}
		s.Sort()
		if !slices.IsSortedFunc(s.Members, func(a, b Member) int { return cmp.Compare(MemberRow(a).Key, MemberRow(b).Key) }) ||
			!slices.IsSortedFunc(s.Keys, func(a, b SealedKey) int { return cmp.Compare(KeyRow(a).Key, KeyRow(b).Key) }) {
			t.Error("Sort left a slice out of order")
		}
		for _, table := range Tables() {
			if d, err := digestRows(s.Rows(table)); err != nil || d != before[table] {
				t.Errorf("%s: another digest after Sort: %v, %v", table, d, err)
			}
		}
	})
}

func distinct[T any](t *rapid.T, label string, gen func(*rapid.T) T, key func(T) string) []T {
	return rapid.SliceOfNDistinct(rapid.Custom(gen), 0, 4, key).Draw(t, label)
}

// TestRowsSortByWholeKey: '-' is before '.', so rooms "a" and "a-b" change places once a user follows.
func TestRowsSortByWholeKey(t *testing.T) {
	t.Parallel()
	s := Snapshot{
		Rooms:   []Room{{ID: "a-b"}, {ID: "a"}},
		Members: []Member{{Room: "a", User: "U"}, {Room: "a-b", User: "U"}},
		Keys:    []SealedKey{{Room: "a", Epoch: 9, Rec: "0", User: "U"}, {Room: "a", Epoch: 10, Rec: "0", User: "U"}},
	}
	s.Sort()
	if s.Rooms[0].ID != "a" || s.Members[0].Room != "a-b" || s.Keys[0].Epoch != 10 {
		t.Errorf("%+v", s)
	}
}

// decodeIndex decodes a row of TableRoomsByMember: the user, the room, and the
// state.
func decodeIndex(r Row) (UserID, RoomID, MemberState, error) {
	var v indexValue
	if err := decode(r, &v, &v.V); err != nil {
		return "", "", "", err
	}
	user, room, ok := strings.Cut(r.Key, ".")
	if !ok {
		return "", "", "", badRow(r, "its key has not the form user.room")
	}
	return UserID(user), RoomID(room), v.State, nil
}
