package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
)

// scanUser is what whereUser means, by reading every user.
const scanUser = "WHERE upper(id) = ?"

// respelled is an id with some letters in the other case.
func respelled(r *rand.Rand, id string) string {
	b := []byte(id)
	for i := range b {
		if r.IntN(2) == 0 {
			b[i] = strings.ToLower(string(b[i]))[0]
		}
	}
	return string(b)
}

// TestUserIsFoundInAnySpelling: among users whose ids begin alike, as a scan of all would find
// them, and whatever the column's collation is.
func TestUserIsFoundInAnySpelling(t *testing.T) {
	t.Parallel()
	for _, column := range []string{"TEXT PRIMARY KEY", "TEXT COLLATE NOCASE PRIMARY KEY", "PRIMARY KEY", "TEXT COLLATE RTRIM NOT NULL PRIMARY KEY"} {
		r := rand.New(rand.NewPCG(3, 4))
		db, err := sql.Open("sqlite", dbPath(t))
		must(t, err)
		t.Cleanup(func() { _ = db.Close() })
		_, err = db.ExecContext(t.Context(), "CREATE TABLE users (id "+column+")")
		must(t, err)
		ids := []string{"", "U", "U~", "'", "é"}
		for _, id := range ids {
			_, err := db.ExecContext(t.Context(), "INSERT INTO users VALUES (?)", id)
			must(t, err)
		}
		for range 400 {
			id := "U" + string("AB"[r.IntN(2)]) + string("A7"[r.IntN(2)]) + string("AZ27"[r.IntN(4)]) + fmt.Sprint(r.IntN(20)) + "XYZ"
			ids = append(ids, id)
			value := any(respelled(r, id))
			if r.IntN(10) == 0 {
				value = []byte(value.(string))
			}
			_, err := db.ExecContext(t.Context(), "INSERT OR IGNORE INTO users VALUES (?)", value)
			must(t, err)
		}
		for _, id := range ids {
			found, want := idsOf(t, db, whereUser(id), id), idsOf(t, db, scanUser, id)
			if d := cmp.Diff(want, found); d != "" {
				t.Fatalf("%s, %q (- of all, + found):\n%s", column, id, d)
			}
		}
	}
}

func idsOf(t *testing.T, db *sql.DB, where, id string) (found []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT typeof(id) || id FROM users "+where, id)
	must(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var x string
		must(t, rows.Scan(&x))
		found = append(found, x)
	}
	must(t, rows.Err())
	slices.Sort(found)
	return found
}

// TestUserIsFoundByAnIndex: `user add` and `user get` do not read every user.
func TestUserIsFoundByAnIndex(t *testing.T) {
	t.Parallel()
	const id = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
	s := create(t, dbPath(t))
	must(t, s.AddUser(t.Context(), core.User{ID: id, Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1}))
	err := s.view(t.Context(), s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		for _, query := range []string{"SELECT EXISTS (SELECT 1 FROM users " + whereUser(id) + ")", s.layout().users.all(whereUser(id)), "UPDATE users SET name = '' " + whereUser(id)} {
			text, err := queryPlan(ctx, tx, query, id)
			if err != nil {
				return err
			}
			if strings.Contains(text, "SCAN users") || strings.Contains(text, "SCAN u ") || !strings.Contains(text, "SEARCH u USING") {
				t.Errorf("%s:\n%s", query, text)
			}
		}
		return nil
	})
	must(t, err)
}

// queryPlan is what SQLite says of how it answers a query.
func queryPlan(ctx context.Context, tx *sql.Tx, query string, args ...any) (string, error) {
	rows, err := tx.QueryContext(ctx, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }()
	var plan []string
	for rows.Next() {
		var node, parent, unused int
		var detail string
		if err := rows.Scan(&node, &parent, &unused, &detail); err != nil {
			return "", err
		}
		plan = append(plan, detail)
	}
	return strings.Join(plan, "\n"), rows.Err()
}

// TestMembersAreCountedByAnIndex: a page of rooms reads its own members alone, by the index of
// the members' primary key.
func TestMembersAreCountedByAnIndex(t *testing.T) {
	t.Parallel()
	s := create(t, dbPath(t))
	must(t, s.view(t.Context(), s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		plan, err := queryPlan(ctx, tx, fmt.Sprintf(countMembers, s.layout().active), "[]")
		if !strings.Contains(plan, "SEARCH members USING") || !strings.Contains(plan, "sqlite_autoindex_members_1 (room_id=?)") {
			t.Errorf("%s", plan)
		}
		return err
	}))
}
