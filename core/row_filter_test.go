package core

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRowFilter(t *testing.T) {
	t.Parallel()
	rows := [][]string{ // name, id, role, status
		{"Ana María", "UBANA", "admin", "active"},
		{"Łukasz", "UBLUK", "member", "revoked"},
		{"Jo\u0301zef", "UBJOZ", "member", "active"}, // the accent is a character of its own
		{"room:7", "UBSEV", "member", "expired"},
		{"", "UBNON", "member", "active"},
	}
	for _, c := range []struct{ filter, want string }{
		{"", "UBANA UBLUK UBJOZ UBSEV UBNON"},
		{"   ", "UBANA UBLUK UBJOZ UBSEV UBNON"},
		{"ana maria", "UBANA"},
		{"MARIA ana", "UBANA"},
		{"maría", "UBANA"},
		{"lukasz", "UBLUK"},
		{"ŁUK", "UBLUK"},
		{"jozef", "UBJOZ"},
		{"józef", "UBJOZ"},
		{"ubl", "UBLUK"},
		{"!member", "UBANA"},
		{"!member !ana", ""},
		{"role:member !status:active", "UBLUK UBSEV"},
		{"ROLE:Member", "UBLUK UBJOZ UBSEV UBNON"},
		{"name:ub", ""},
		{"id:ub", "UBANA UBLUK UBJOZ UBSEV UBNON"},
		{"room:7", "UBSEV"}, // no field
		{"name:room:7", "UBSEV"},
		{"~lks", "UBLUK"},
		{"~sl", ""}, // the letters come in this order
		{"name:~jf", "UBJOZ"},
		{"!~aa", "UBLUK UBJOZ UBSEV UBNON"},
		{"r/^UB(ANA|LUK)$", "UBANA UBLUK"},
		{"member r/^ub[ln]", "UBLUK UBNON"},
		{"name:r/^$", "UBNON"},
		{"r/ana mar", "UBANA"}, // with its blank
		{"!r/^member$", "UBANA"},
		{"!", "UBANA UBLUK UBJOZ UBSEV UBNON"}, // being typed
		{"~", "UBANA UBLUK UBJOZ UBSEV UBNON"},
		{"role:", "UBANA UBLUK UBJOZ UBSEV UBNON"},
		{"r/", "UBANA UBLUK UBJOZ UBSEV UBNON"},
		{"!status:~", "UBANA UBLUK UBJOZ UBSEV UBNON"},
	} {
		f, err := ParseRowFilter(c.filter, "name", "id", "role", "status")
		if err != nil {
			t.Errorf("%q: %v", c.filter, err)
			continue
		}
		var got []string
		for _, r := range rows {
			if f.Selects(r...) {
				got = append(got, r[1])
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%q selects %q, want %q", c.filter, s, c.want)
		}
	}
}

func TestUnreadableRowFilters(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{"r/(", "!r/[", "active r/a**", "name:r/(?z)", "!name:r/("} {
		_, err := ParseRowFilter(filter, "name")
		if KindOf(err) != KindInvalid || AsError(err).Next == "" {
			t.Errorf("%q: %v", filter, err)
		}
		if err := CheckRowFilter(filter); KindOf(err) != KindInvalid {
			t.Errorf("%q passes the check of any list: %v", filter, err)
		}
	}
	bad := "r/("
	if err := (UserPageRequest{UserQuery: UserQuery{Filter: bad}}).Check(); KindOf(err) != KindInvalid {
		t.Errorf("users: %v", err)
	}
	if err := (RoomPageRequest{RoomQuery: RoomQuery{Filter: bad}}).Check(); KindOf(err) != KindInvalid {
		t.Errorf("rooms: %v", err)
	}
	if err := CheckRowFilter("room:7 a(b"); err != nil {
		t.Error(err)
	}
}

// FuzzRowFilter: any filter of any row is answered, and ! turns an answer over.
func FuzzRowFilter(f *testing.F) {
	for _, seed := range []string{"ana", "!x", "~y", "r/z", "name:q", "é", "\xff"} {
		f.Add(seed, "Ana")
	}
	f.Fuzz(func(t *testing.T, word, value string) {
		with, err := ParseRowFilter(word, "name")
		without, err2 := ParseRowFilter("!"+word, "name")
		if err != nil || err2 != nil {
			return
		}
		isOne := len(strings.Fields(word)) == 1 && !strings.HasPrefix(word, "!") && strings.TrimSpace(word) == word && utf8.ValidString(word) && len(with.terms) == 1
		if a, b := with.Selects(value), without.Selects(value); isOne && a == b {
			t.Errorf("%q and !%q both say %v of %q", word, word, a, value)
		}
	})
}
