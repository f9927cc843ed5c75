package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"unibus/core"
)

// lookupsPerStatement is how many keys are looked up with one statement.
const lookupsPerStatement = 500

// RowsOf yields the rows of a table that have the keys, in bytewise key order; keys
// without a row are left out. It looks up the primary key in upper and lower case, and
// searches only the room of a key that it does not find so (of a user: all users). So a
// few keys cost little in a large file. All rows are of one moment; an error is the
// last thing that comes. ctx alone bounds it.
func (s *Store) RowsOf(ctx context.Context, t core.Table, keys []string) iter.Seq2[core.Row, error] {
	sorted := slices.Compact(slices.Sorted(slices.Values(keys)))
	return s.reading(ctx, t, func(ctx context.Context, tx *sql.Tx, sources []source) iter.Seq2[core.Row, error] {
		return func(yield func(core.Row, error) bool) {
			mixed, err := mixedCase(ctx, tx, t, sources[0].from.name)
			for chunk := range slices.Chunk(sorted, lookupsPerStatement) {
				f := rowFinder{tx: tx, mixed: mixed}
				for _, src := range sources {
					if err == nil {
						err = f.find(ctx, src, t, chunk)
					}
				}
				if err != nil {
					break
				}
				slices.SortFunc(f.found, func(a, b core.Row) int { return cmp.Compare(a.Key, b.Key) })
				for _, r := range f.found {
					if !yield(r, nil) {
						return
					}
				}
			}
			if err != nil {
				yield(core.Row{}, err)
			}
		}
	})
}

// mixedCase returns the keys for which the log of changes, where there is one, has a
// spelling that is neither upper nor lower case: the table may have such a row beside
// another one.
func mixedCase(ctx context.Context, tx *sql.Tx, t core.Table, name core.Table) (map[string]bool, error) {
	have, err := trackingIn(ctx, tx)
	if err != nil || have[changesTable] == "" {
		return nil, err
	}
	keys, err := texts(ctx, tx, fmt.Sprintf("SELECT DISTINCT key FROM %s WHERE name = '%s' AND odd AND key IS NOT NULL", changesTable, name))
	all := make(map[string]bool, len(keys))
	for _, key := range keys {
		if t == core.TableRoomsByMember {
			key = swapKeyParts(key)
		}
		all[key] = true
	}
	return all, err
}

// rowFinder looks up one chunk of keys.
type rowFinder struct {
	tx    *sql.Tx
	mixed map[string]bool
	found []core.Row
}

// find collects the rows of one source.
func (f *rowFinder) find(ctx context.Context, src source, t core.Table, keys []string) error {
	wanted, seen := map[string]bool{}, map[string]bool{} // keys, and whether found; rows by their primary key
	var exact [][]any
	var raw []any
	for _, key := range keys {
		if (src.from.name == tableRecords) != (t == core.TableRoomKeys && strings.HasSuffix(key, "."+core.RecordSuffix)) {
			continue
		}
		wanted[key] = false
		if spelled := src.spellings(t, key); spelled != nil {
			exact = append(exact, spelled...)
		} else {
			raw = append(raw, key)
		}
	}
	collect := func(c *rowDecoder) error {
		row, there := src.convert(c)
		_, asked := wanted[row.Key]
		if !asked && len(c.faults) == 0 || seen[c.where()] { // a collation found a neighbor, or the row was found before
			return nil
		}
		seen[c.where()] = true
		if err := c.err(); err != nil {
			return err
		}
		wanted[row.Key] = true
		if there {
			f.found = append(f.found, row)
		}
		return nil
	}
	if err := f.lookupExact(ctx, src, exact, collect); err != nil {
		return err
	}
	if err := f.lookupRaw(ctx, src, raw, collect); err != nil || src.user == "" {
		return err
	}
	return f.lookupFold(ctx, src, t, wanted, collect)
}

// lookupExact finds rows by their primary keys.
func (f *rowFinder) lookupExact(ctx context.Context, src source, primary [][]any, collect func(*rowDecoder) error) error {
	if len(primary) == 0 {
		return nil
	}
	columns := src.from.primary
	on, args := make([]string, len(columns)), []any{}
	for i, c := range columns {
		on[i] = fmt.Sprintf("%s.%s = j.%s", src.from.name, c, c)
	}
	for _, p := range primary {
		args = append(args, p...)
	}
	one := "(?" + strings.Repeat(", ?", len(columns)-1) + ")"
	query := fmt.Sprintf("WITH j(%s) AS (VALUES %s%s) SELECT %s FROM j CROSS JOIN %s ON %s",
		strings.Join(columns, ", "), one, strings.Repeat(", "+one, len(primary)-1),
		src.from.selected(string(src.from.name)+"."), src.from.name, strings.Join(on, " AND "))
	return scan(ctx, f.tx, src.from, query, args, collect)
}

// lookupRaw finds rows by their whole keys as they are stored, for keys that no
// valid row has: the caller has to see what is wrong with such a row.
func (f *rowFinder) lookupRaw(ctx context.Context, src source, keys []any, collect func(*rowDecoder) error) error {
	if len(keys) == 0 {
		return nil
	}
	return scan(ctx, f.tx, src.from, src.from.all(fmt.Sprintf("WHERE %s IN (%s)", src.key, placeholders(len(keys)))), keys, collect)
}

// lookupFold searches, in any case, the groups of those keys that were not found,
// and of those that are known to have been spelled in mixed case.
func (f *rowFinder) lookupFold(ctx context.Context, src source, t core.Table, wanted map[string]bool, collect func(*rowDecoder) error) error {
	groups := map[string][]any{}
	users := map[string][]any{}
	for key, found := range wanted {
		spelled := src.spellings(t, key)
		if spelled == nil || found && !f.mixed[key] {
			continue
		}
		p := spelled[0]
		group := fmt.Sprintf("%q", p[:src.groups])
		groups[group] = p[:src.groups]
		users[group] = append(users[group], p[src.groups])
	}
	where := ""
	for _, c := range src.from.primary[:src.groups] {
		where += c + " = ? AND "
	}
	for group, args := range groups {
		tail := fmt.Sprintf("WHERE %supper(%s) IN (%s)", where, src.user, placeholders(len(users[group])))
		if err := scan(ctx, f.tx, src.from, src.from.all(tail), slices.Concat(args, users[group]), collect); err != nil {
			return err
		}
	}
	return nil
}

func placeholders(n int) string { return "?" + strings.Repeat(", ?", n-1) }

// spellings are the primary keys under which a row of the key may be stored, the
// upper case first; nil for a key that no valid row has.
func (src source) spellings(t core.Table, key string) [][]any {
	parts := strings.Split(key, ".")
	if t == core.TableRoomsByMember && len(parts) == 2 {
		parts[0], parts[1] = parts[1], parts[0]
	}
	if t == core.TableRoomKeys && len(parts) == 4 {
		parts = []string{parts[0], parts[1], parts[3]} // any rec: the row that is found says which it has
	}
	if src.from.name == tableRecords && len(parts) == 3 {
		parts = parts[:2]
	}
	if len(parts) != len(src.from.primary) {
		return nil
	}
	var upper []any
	for i, column := range src.from.primary {
		switch part := parts[i]; column {
		case "epoch":
			n, err := strconv.ParseInt(part, 10, 64)
			if err != nil || n < 0 || strconv.FormatInt(n, 10) != part {
				return nil
			}
			upper = append(upper, n)
		case src.user:
			if id, err := core.ParseUserID(part); err != nil || string(id) != part {
				return nil
			}
			upper = append(upper, part)
		default:
			if _, err := core.ParseRoomID(part); err != nil {
				return nil
			}
			upper = append(upper, part)
		}
	}
	if src.user == "" {
		return [][]any{upper}
	}
	lower := slices.Clone(upper)
	lower[len(lower)-1] = strings.ToLower(parts[len(parts)-1])
	return [][]any{upper, lower}
}
