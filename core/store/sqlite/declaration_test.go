package sqlite

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestDeclarationsAreReadAsSQLiteDoes: a declaration that both SQLite and the parser accept means the same to
// both: the same columns, of which none is hidden or computed, and the same primary key.
func TestDeclarationsAreReadAsSQLiteDoes(t *testing.T) {
	t.Parallel()
	db := sqlOpen("file::memory:")
	db.SetMaxOpenConns(1)
	defer func() { _ = db.Close() }()
	pieces := strings.Fields(`a b id ID "a" "b ""c""" 'd' [e] ` + "`f`" + ` TEXT INTEGER BLOB int varchar (10) (10,2) , , , PRIMARY KEY PRIMARY_KEY NOT_NULL NULL UNIQUE
		DEFAULT DEFAULT_1 DEFAULT_'x' DEFAULT_-1.5 DEFAULT_x DEFAULT_(1) DEFAULT_NULL CHECK_(1) COLLATE_NOCASE REFERENCES_t AS_(1) GENERATED_ALWAYS_AS_(1)
		AUTOINCREMENT , ( ) PRIMARY_KEY(a) UNIQUE(a,b) FOREIGN_KEY(a)_REFERENCES_t /*x*/ --x CONSTRAINT_c ON_CONFLICT_IGNORE rowid oid é ASC DESC STORED`)
	both := 0
	rapid.Check(t, func(rt *rapid.T) {
		body := strings.ReplaceAll(strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 9).Draw(rt, "pieces"), " "), "_", " ")
		sql := "CREATE TABLE t(" + body + ")" + rapid.SampledFrom([]string{"", "", "", " WITHOUT ROWID", " STRICT"}).Draw(rt, "tail")
		d, ok := parseTable(sql)
		if _, err := db.Exec(sql); err != nil {
			return
		}
		defer func() { _, _ = db.Exec("DROP TABLE t") }()
		if !ok {
			return
		}
		both++
		rows, err := db.Query("SELECT name, \"notnull\", pk, hidden FROM pragma_table_xinfo('t')")
		if err != nil {
			rt.Fatal(err)
		}
		var want, got []string
		primary := map[int]string{}
		for rows.Next() {
			var name string
			var required, pk, hidden int
			if err := rows.Scan(&name, &required, &pk, &hidden); err != nil {
				rt.Fatal(err)
			}
			if want = append(want, name); hidden != 0 {
				rt.Errorf("%s: the column %s is hidden or computed", sql, name)
			}
			if primary[pk] = foldName(name); pk == 0 {
				delete(primary, 0)
			}
			if c, _ := d.column(name); c.required && required == 0 && !d.modified {
				rt.Errorf("%s: %s is not required", sql, name)
			}
		}
		_ = rows.Close()
		for _, c := range d.columns {
			got = append(got, c.name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Errorf("%s\n%s", sql, diff)
		}
		keys := map[int]string{}
		for i, name := range d.primary {
			keys[i+1] = foldName(name)
		}
		if diff := cmp.Diff(primary, keys); diff != "" {
			rt.Errorf("%s: primary key\n%s", sql, diff)
		}
	})
	if both == 0 && !testing.Short() { // a short run has 20 declarations, and few are right
		t.Error("no declaration was taken by both")
	}
}
