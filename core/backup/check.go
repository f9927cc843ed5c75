package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/store/sqlite"
)

// Content is what a whole control plane in a file holds.
type Content struct {
	Schema int                `json:"schema"`
	Tables []core.BackupTable `json:"tables"`
	Signed *Signature         `json:"signed"` // nil: it has no signature
}

// Same is true where two files hold the same rows, whatever their bytes are.
func (c Content) Same(d Content) bool { return slices.Equal(c.Tables, d.Tables) }

// String is the content in a line: 200 users, 50 rooms, …
func (c Content) String() string {
	names := map[core.Table][2]string{
		core.TableUsers: {"user", "users"}, core.TableRooms: {"room", "rooms"}, core.TableMembers: {"member", "members"},
		core.TableRoomKeys: {"sealed key or epoch record", "sealed keys and epoch records"},
	}
	var words []string
	for _, t := range c.Tables {
		name := names[t.Table][1]
		if t.Count == 1 {
			name = names[t.Table][0]
		}
		words = append(words, fmt.Sprint(t.Count, " ", name))
	}
	return strings.Join(words, ", ")
}

// Tables returns what a file holds; the index of rooms by member is derived from members.
func Tables() []core.Table {
	return []core.Table{core.TableUsers, core.TableRooms, core.TableMembers, core.TableRoomKeys}
}

// Check reads a whole file and describes it: its pages, the references of its rows,
// whether each row can be converted, and the signer. KindNotFound, KindInvalid for what
// is no control plane of unibus, not a whole one, or not what was signed, KindRefused
// where it is fenced, KindFailed where it is damaged.
func Check(ctx context.Context, path string) (Content, error) {
	ctx, cancel := withReadTimeout(ctx, path)
	defer cancel()
	s, err := open(ctx, path)
	if err != nil {
		return Content{}, err
	}
	content, err := read(ctx, s)
	return content, errors.Join(err, s.Close())
}

// withReadTimeout gives the reading of a file an end: a minute, and a second for each
// megabyte, which is many times what it takes.
func withReadTimeout(ctx context.Context, path string) (context.Context, context.CancelFunc) {
	within := time.Minute
	if info, err := os.Stat(path); err == nil {
		within += time.Duration(info.Size()>>20) * time.Second
	}
	return context.WithTimeout(ctx, within)
}

func open(ctx context.Context, path string) (*sqlite.Store, error) {
	s := sqlite.New(sqlite.Config{Path: path, Backup: true})
	if err := s.Open(ctx); err != nil {
		return nil, unusable(ctx, path, err)
	}
	return s, nil
}

// unusable says what to do about a file that is to be restored: the store's own
// advice is for one that is served.
func unusable(ctx context.Context, path string, err error) error {
	e := core.AsError(err)
	switch e.Kind {
	case core.KindRefused:
		if !fenced(ctx, path) {
			return e
		}
		return core.Errorf(core.KindRefused, "%s is fenced: it is the old side of a move, as it was before the cutover; restoring it would bring revoked users back", path).
			WithNext("give a file that `unibusd backup` or a rollback has written")
	case core.KindNotFound:
		return core.Errorf(core.KindNotFound, "the file %s does not exist", path).WithNext("give a file that `unibusd backup` has written")
	case core.KindUnavailable:
		return e
	}
	return e.WithNext("keep the file, and try an older backup")
}

// fenced tells a fenced file from one that may not be read.
func fenced(ctx context.Context, path string) bool {
	s := sqlite.New(sqlite.Config{Path: path, ReadOnly: true, AllowFenced: true}) // a migration has left its log in it
	return s.Open(ctx) == nil && s.Close() == nil
}

// checkWhole looks at pages and indexes, and for rows that cannot be converted or refer to nothing.
func checkWhole(ctx context.Context, s *sqlite.Store) error {
	if err := s.Integrity(ctx); err != nil {
		return unusable(ctx, s.Path(), err)
	}
	problems, err := s.Problems(ctx, maxProblems)
	if err != nil {
		return unusable(ctx, s.Path(), err)
	}
	if len(problems) == 0 {
		return nil
	}
	p := problems[0]
	return core.Errorf(core.KindInvalid, "%s is not a whole control plane: the row %s of %s: %s (problems found: %s)",
		s.Path(), p.Key, p.Table, p.Text, atLeast(len(problems))).WithNext("%s", p.Next)
}

func read(ctx context.Context, s *sqlite.Store) (Content, error) {
	if err := checkWhole(ctx, s); err != nil {
		return Content{}, err
	}
	content, err := readRows(ctx, s, func(core.Row) error { return nil })
	if err == nil {
		content.Signed, err = signedBy(ctx, s, content)
	}
	return content, err
}

// readRows gives every row to each, table by table, and returns their digests.
func readRows(ctx context.Context, s *sqlite.Store, each func(core.Row) error) (Content, error) {
	content := Content{Schema: s.SchemaVersion()}
	for _, t := range Tables() {
		d := core.NewDigester()
		for r, err := range s.Rows(ctx, t) {
			if err != nil {
				return Content{}, unusable(ctx, s.Path(), err)
			}
			d.Add(r.Key, r.Value)
			if err := each(r); err != nil {
				return Content{}, err
			}
		}
		sum, err := d.Sum()
		if err != nil {
			return Content{}, err
		}
		content.Tables = append(content.Tables, core.BackupTable{Table: t, Digest: sum})
	}
	return content, nil
}

const maxProblems = 100

func atLeast(n int) string {
	if n < maxProblems {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d or more", n)
}

// fileSHA256 is the SHA-256 of a file's bytes in hex, and how many they are.
func fileSHA256(path string) (string, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, core.Errorf(core.KindFailed, "%s cannot be read: %w", path, err)
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", 0, core.Errorf(core.KindFailed, "%s cannot be read: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), n, nil
}
