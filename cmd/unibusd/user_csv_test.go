package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/keys"
)

func newKey(t testing.TB) core.UserID {
	t.Helper()
	_, public, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return core.UserID(public)
}

var importNow = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// TestImportRefuses: each fault is told with file and line, and no row of the file counts.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	a, b := string(newKey(t)), string(newKey(t))
	for text, want := range map[string]string{
		"":                       "f.csv:1: it has no row",
		"name\nana\n":            "f.csv:1: it has no column user",
		"user,nmae\n":            "f.csv:1: \"nmae\" is no column of users; the columns are",
		"user,name,name\n":       "f.csv:1: it has the column name twice",
		"user\nUX\n" + a + "\n":  `f.csv:2: "UX" is not a user's public nkey`,
		"user,name\n" + a + "\n": "f.csv:2: it has 1 cells, and 2 columns are named",
		"user\n" + a + "\n" + b + "\n" + strings.ToLower(a) + "\n": "f.csv:4: " + a + " is in line 2 already",
		"user,role\n" + a + ",king\n":                              `f.csv:2: "king" is not a role`,
		"user,status\n" + a + ",asleep\n":                          "f.csv:2: \"asleep\" is no",
		"user,ends\n" + a + ",90d\n":                               "f.csv:2: \"90d\" is no end",
		"user,ends\n" + a + ",2026-12-30\n":                        "f.csv:2: the end 2026-12-31T00:00:00Z is over already",
		"user,name\n" + a + ",\"an\"a\"\n":                         "f.csv:2: extraneous or missing \" in quoted-field",
		"user,name\n\n\"" + a + "\",\"ana\nbe\n":                   "f.csv:", // a quote that never ends
		"user,name\n" + a + ",\xff\xfe\n":                          "f.csv:2: the column name is not UTF-8",
		"\xff\xfeu\x00s\x00e\x00r\x00":                             "f.csv is not a text in UTF-8",
		"user\x00\n":                                               "f.csv is not a text in UTF-8",
		"user\tname\n" + a + "\tana\n":                             "is no column of users",
		"user\n" + strings.Repeat("x", 100_000) + "\n":             "f.csv:2:",
	} {
		rows, err := readUsers("f.csv", strings.NewReader(text), importNow)
		whole := fmt.Sprint(err)
		if e := core.AsError(err); e != nil {
			whole = strings.Join([]string{e.Text, e.Next}, "; ")
		}
		if core.KindOf(err) != core.KindInvalid || !strings.Contains(whole, want) || rows != nil || len(whole) > 2000 {
			t.Errorf("%.80q: %d rows, %.600s", text, len(rows), whole)
		}
	}
}

// TestImportReads what export and spreadsheets write: a BOM, CRLF, semicolons, quotes, empty
// rows, other orders of columns, keys in lower case.
func TestImportReads(t *testing.T) {
	t.Parallel()
	a, b := newKey(t), newKey(t)
	text := "\xef\xbb\xbfName;USER ; Ends;role\r\n\"ana; \"\"of\"\"\";" + strings.ToLower(string(a)) + ";2027-01-31;\r\n;;;\r\n'=1+1;" + string(b) + ";2027-05-01T10:00:00.123Z;admin\r\n"
	rows, err := readUsers("f.csv", strings.NewReader(text), importNow)
	if err != nil || len(rows) != 2 {
		t.Fatalf("%+v, %v", rows, err)
	}
	first, second := rows[0], rows[1]
	if first.user.ID != a || *first.user.Name != `ana; "of"` || first.user.Role != core.RoleMember || first.user.Expires != core.MillisOf(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)) || first.line != 2 {
		t.Errorf("%+v", first)
	}
	if second.user.ID != b || *second.user.Name != "=1+1" || second.user.Role != core.RoleAdmin || second.user.Expires != core.MillisOf(time.Date(2027, 5, 1, 10, 0, 0, 123e6, time.UTC)) || second.line != 4 {
		t.Errorf("%+v", second)
	}
}

// TestExportIsImported: whatever a name is, it comes back, and no cell is a formula.
func TestExportIsImported(t *testing.T) {
	t.Parallel()
	id := newKey(t)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.StringMatching(`'{0,3}[=+\-@]?.{0,12}`), rapid.String()).Draw(t, "name")
		name = strings.ReplaceAll(strings.ToValidUTF8(name, ""), "\r", "") // a reader of CSV takes a CRLF for LF
		name = strings.ReplaceAll(name, "\x00", "")
		u := core.User{ID: id, Role: core.RoleMember, Status: core.UserActive, Created: 1}
		if name != "" {
			u.Name = &name
		}
		var out bytes.Buffer
		n, err := exportUsers(&out, func(yield func(core.UserPage, error) bool) { yield(core.UserPage{Users: []core.User{u}}, nil) })
		if err != nil || n != 1 {
			t.Fatal(n, err)
		}
		rows, err := readUsers("f.csv", bytes.NewReader(out.Bytes()), importNow)
		if err != nil || len(rows) != 1 || differs(u, rows[0]) != "" {
			t.Fatalf("%q: %+v, %v", out.String(), rows, err)
		}
		if cell := csvCell(name); cell != "" && strings.ContainsRune("=+-@\t", rune(cell[0])) || plainCell(cell) != name {
			t.Fatalf("%q is the cell %q", name, cell)
		}
	})
}

// userMap is users in memory, where one more may fail.
type userMap struct {
	users
	mu     sync.Mutex
	there  map[core.UserID]core.User
	failAt int // the call of UserAdd that fails; 0: none
	calls  int
}

func (f *userMap) UserAdd(_ context.Context, u core.User) (core.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls++; f.calls == f.failAt {
		return core.User{}, core.Errorf(core.KindUnavailable, "no quorum")
	}
	if _, there := f.there[u.ID]; there {
		return core.User{}, core.Errorf(core.KindExists, "is there")
	}
	u.Status = core.UserActive
	f.there[u.ID] = u
	return u, nil
}

func (f *userMap) UserSeen(_ context.Context, id string) (admin.UserSeen, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return admin.UserSeen{User: f.there[core.UserID(id)]}, nil
}

func (f *userMap) all() (out []core.User) {
	for _, u := range f.there {
		out = append(out, u)
	}
	return out
}

// TestImportOfTwentyThousand: one that is cut short is completed by the same command, and a third
// one has nothing to do.
func TestImportOfTwentyThousand(t *testing.T) {
	t.Parallel()
	const many = 20_000
	var text strings.Builder
	text.WriteString("user,name\n")
	for i := range many {
		_, _ = fmt.Fprintf(&text, "%s,user %d\n", newKey(t), i)
	}
	rows, err := readUsers("f.csv", strings.NewReader(text.String()), importNow)
	if err != nil || len(rows) != many {
		t.Fatal(len(rows), err)
	}
	f := &userMap{there: map[core.UserID]core.User{}, failAt: 7000}
	for i, want := range []struct{ add, there int }{{many, 0}, {0, 0}, {0, many}} {
		plan, err := planImport("f.csv", rows, f.all())
		if err != nil || len(plan.Add)+plan.There != many || i != 1 && (len(plan.Add) != want.add || plan.There != want.there) || i == 1 && plan.There < 6000 {
			t.Fatalf("%d: %d to add, %d there, %v", i, len(plan.Add), plan.There, err)
		}
		added, err := importAll(t.Context(), f, plan.Add, nil, func(int) {})
		if (err != nil) != (i == 0) || i > 0 && added != len(plan.Add) || i == 0 && (added < 6000 || core.KindOf(err) != core.KindUnavailable) {
			t.Fatalf("%d: %d added, %v", i, added, err)
		}
	}
	if len(f.there) != many {
		t.Errorf("%d users", len(f.there))
	}
}

// TestImportConflicts: a user who is there otherwise stops the import before anything is added.
func TestImportConflicts(t *testing.T) {
	t.Parallel()
	name, other := "ana", "ben"
	is := core.User{ID: newKey(t), Name: &name, Role: core.RoleMember, Status: core.UserActive}
	gone := core.User{ID: newKey(t), Role: core.RoleMember, Status: core.UserRevoked}
	row := func(u core.User, status core.UserStatus) userRow { return userRow{line: 7, user: u, status: status} }
	for what, c := range map[string]struct {
		row  userRow
		want string
	}{
		"the same":                     {row(is, ""), ""},
		"another name":                 {row(core.User{ID: is.ID, Name: &other, Role: is.Role}, ""), "f.csv:7: " + string(is.ID) + " is there with the name"},
		"no name":                      {row(core.User{ID: is.ID, Role: is.Role}, ""), "is there with the name"},
		"another role":                 {row(core.User{ID: is.ID, Name: &name, Role: core.RoleAdmin}, ""), "is there with the role member"},
		"another end":                  {row(core.User{ID: is.ID, Name: &name, Role: is.Role, Expires: 5}, ""), "is there with the end never"},
		"revoked there":                {row(gone, core.UserActive), "is there with the status revoked"},
		"revoked there, not said":      {row(gone, ""), ""},
		"revoked in the file":          {row(is, core.UserRevoked), "is there with the status active"},
		"a name that nobody may get":   {row(core.User{ID: newKey(t), Name: new(" ana"), Role: is.Role}, ""), "blanks around it"},
		"missing, and denied as it is": {row(core.User{ID: newKey(t), Role: is.Role}, core.UserRevoked), ""},
	} {
		plan, err := planImport("f.csv", []userRow{c.row}, []core.User{is, gone})
		if (err == nil) != (c.want == "") || err != nil && (core.KindOf(err) != core.KindConflict || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %+v, %v", what, plan, err)
		}
		if what == "missing, and denied as it is" && (plan.Skipped != 1 || len(plan.Add) != 0) {
			t.Errorf("%s: %+v", what, plan)
		}
	}
}

// TestImportPace stays below what one key may ask of a cluster, whatever three minutes are looked at.
func TestImportPace(t *testing.T) {
	t.Parallel()
	const window = 3 * time.Minute
	if most := paceBurst + int(window/paceEvery) + 1; most > 9500 {
		t.Errorf("%d requests in %s", most, window)
	}
	p := newImportPace(true)
	ctx, cancel := context.WithCancel(t.Context())
	for range paceBurst {
		if err := p.wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := p.wait(ctx); err == nil {
		t.Error("one more was let through")
	}
	if newImportPace(false).wait(t.Context()) != nil {
		t.Error("a file has no limit")
	}
	if !slices.Equal([]string{plainCell("'Neill"), plainCell("''=x"), plainCell("'=x")}, []string{"'Neill", "'=x", "=x"}) {
		t.Error("apostrophes")
	}
}
