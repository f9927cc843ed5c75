package seal

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core"
)

const safetyFile = "safety_numbers.json"

// safetyVectors are frozen, as the others are. testdata/safety_number_reader.py computes
// all of them, too.
type safetyVectors struct {
	People []peopleNumber   `json:"people"`
	Rooms  []roomNumberCase `json:"rooms"`
}

type peopleNumber struct {
	A      core.UserID  `json:"a"`
	B      core.UserID  `json:"b"`
	Number SafetyNumber `json:"number"`
}

type roomNumberCase struct {
	Room     core.RoomID    `json:"room"`
	Founding Hash           `json:"founding"`
	Head     MembershipHead `json:"head"`
	Number   SafetyNumber   `json:"number"`
}

func readSafetyVectors(t *testing.T) (v safetyVectors) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", safetyFile))
	ok(t, err)
	ok(t, json.Unmarshal(data, &v))
	if len(v.People) < 6 || len(v.Rooms) < 20 {
		t.Fatal("there are too few vectors")
	}
	return v
}

func TestSafetyNumberVectors(t *testing.T) {
	t.Parallel()
	v := readSafetyVectors(t)
	for _, p := range v.People {
		for _, both := range [][2]core.UserID{{p.A, p.B}, {p.B, p.A}} {
			n, err := SafetyNumberOf(both[0], both[1])
			ok(t, err)
			if n != p.Number {
				t.Errorf("%s and %s have the number %s, and %s before", both[0].Short(), both[1].Short(), n, p.Number)
			}
		}
	}
	for _, r := range v.Rooms {
		if n := roomNumber(r.Room, r.Founding, r.Head); n != r.Number {
			t.Errorf("the room %s has the number %s at %d, and %s before", r.Room, n, r.Head.Seq, r.Number)
		}
	}
}

// TestSecondReaderOfSafetyNumbers: another language, from DESIGN.md section 12 alone.
func TestSecondReaderOfSafetyNumbers(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 here: the second reader of the safety numbers was not run")
	}
	out, err := exec.CommandContext(t.Context(), python, "-I", filepath.Join("testdata", "safety_number_reader.py"), filepath.Join("testdata", safetyFile)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// TestSafetyNumbersDiffer: a person who sees a false identity has another number than the
// other person, in the half of that identity alone.
func TestSafetyNumbersDiffer(t *testing.T) {
	t.Parallel()
	ann, bob, false1 := userID(t, 1), userID(t, 2), userID(t, 3)
	honest, err := SafetyNumberOf(ann, bob)
	ok(t, err)
	swapped, err := SafetyNumberOf(ann, false1)
	ok(t, err)
	if honest == swapped || len(honest) != safetyDigits {
		t.Errorf("%s, %s", honest, swapped)
	}
	for _, n := range []SafetyNumber{honest, swapped} {
		if !strings.Contains(string(n), halfOf(ann)) {
			t.Errorf("%s has not ann's half", n)
		}
	}
	if strings.Contains(string(swapped), halfOf(bob)) {
		t.Error("a false identity has bob's half")
	}
	for what, ids := range map[string][2]core.UserID{
		"twice the same": {ann, ann}, "no id": {ann, ""}, "lower case": {ann, core.UserID(strings.ToLower(string(bob)))}, "another kind": {"ANN", bob},
	} {
		if _, err := SafetyNumberOf(ids[0], ids[1]); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestRoomNumbers: a room has another number after each statement, and two histories
// that part have different ones from there on.
func TestRoomNumbers(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "cid")
	m := founded(t, p[0])
	seen := map[SafetyNumber]bool{m.Number().Number: true}
	fork := copyOf(t, m)
	step(t, m, StatementInvite, p[0], p[1], core.MemberMember)
	step(t, fork, StatementInvite, p[0], p[2], core.MemberMember)
	for _, n := range []RoomNumber{m.Number(), fork.Number()} {
		if seen[n.Number] || n.Seq != 1 || len(n.Number) != safetyDigits {
			t.Errorf("%+v", n)
		}
		seen[n.Number] = true
	}
	if n, err := m.NumberAt(1); err != nil || n != m.Number() {
		t.Errorf("%+v, %v", n, err)
	}
	before, err := m.NumberAt(0)
	same, e := fork.NumberAt(0)
	if err != nil || e != nil || before != same || !seen[before.Number] {
		t.Errorf("%+v, %+v", before, same)
	}
	_, err = m.NumberAt(2)
	refused(t, err, ErrGap)
	if roomNumber("attic", m.founding, m.head) == m.Number().Number || roomNumber(m.room, Hash{}, m.head) == m.Number().Number {
		t.Error("the number does not name the room or its founding")
	}
}

func TestParseSafetyNumber(t *testing.T) {
	t.Parallel()
	n, err := SafetyNumberOf(userID(t, 1), userID(t, 2))
	ok(t, err)
	for _, text := range []string{string(n), n.String(), "\n " + strings.ReplaceAll(n.String(), " ", "\t\r\n") + " "} {
		if got, err := ParseSafetyNumber(text); got != n || err != nil {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	if groups := strings.Split(n.String(), " "); len(groups) != 12 || len(groups[11]) != 5 {
		t.Errorf("%q", n)
	}
	for _, text := range []string{"", string(n)[1:], string(n) + "1", strings.Replace(string(n), string(n[3]), "x", 1), string(n)[:59] + "١"} {
		_, err := ParseSafetyNumber(text)
		invalid(t, err)
	}
}

// TestWriteSafetyVectors writes them anew: go test -run WriteSafetyVectors -update-vectors.
func TestWriteSafetyVectors(t *testing.T) {
	if !*update {
		t.Skip("the vectors are frozen")
	}
	members := readMembershipVectors(t, membershipFile, 20, 2, 15)
	var v safetyVectors
	for i, a := range members.People {
		for _, b := range members.People[i+1:] {
			n, err := SafetyNumberOf(a.User, b.User)
			ok(t, err)
			v.People = append(v.People, peopleNumber{a.User, b.User, n})
		}
	}
	for i, s := range members.Statements {
		head := MembershipHead{uint64(i), s.Hash}
		v.Rooms = append(v.Rooms, roomNumberCase{members.Room, members.Statements[0].Hash, head, roomNumber(members.Room, members.Statements[0].Hash, head)})
	}
	data, err := json.MarshalIndent(v, "", "  ")
	ok(t, err)
	ok(t, os.WriteFile(filepath.Join("testdata", safetyFile), append(data, '\n'), 0o644))
}

func BenchmarkSafetyNumber(b *testing.B) {
	x, y := userID(b, 1), userID(b, 2)
	for b.Loop() {
		if _, err := SafetyNumberOf(x, y); err != nil {
			b.Fatal(err)
		}
	}
}
