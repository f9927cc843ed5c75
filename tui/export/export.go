package export

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/widget"
)

// Source is asked for the rows that the console has not loaded.
type Source interface {
	UserPage(ctx context.Context, r core.UserPageRequest) (core.UserPage, error)
	RoomPage(ctx context.Context, r core.RoomPageRequest) (admin.RoomPage, error)
	MemberPage(ctx context.Context, r admin.RoomRequest) (admin.RoomDetail, error)
	Audit(ctx context.Context, r admin.AuditRequest) (admin.Audit, error)
}

// List is a list as values: whole ids and times, and not what a screen has room for.
type List struct {
	Name   string // users: the file's name begins with it; "": the page's
	Filter string // that selected the rows; the page's, where Name is ""
	Fields []string
	Count  int                                                            // how many rows are expected
	IsMore bool                                                           // Count is of the loaded rows: the node has more
	Rows   func(ctx context.Context, from Source) iter.Seq2[[]any, error] // each has a value for every field: a text, a number, a bool, a core.Millis, or nil
	Note   string                                                         // what the list lacks, "" for nothing
}

// Paged are the rows of pages, each as the node answers with it.
func Paged[P any](pages iter.Seq2[P, error], rowsOf func(P) [][]any) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for p, err := range pages {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, row := range rowsOf(p) {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

// Loaded are rows that are there already.
func Loaded(rows [][]any) func(context.Context, Source) iter.Seq2[[]any, error] {
	return func(context.Context, Source) iter.Seq2[[]any, error] {
		return func(yield func([]any, error) bool) {
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// CheckName refuses a name whose end names no format. KindInvalid.
func CheckName(name string) error {
	switch ext := strings.ToLower(filepath.Ext(name)); {
	case strings.TrimSpace(strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))) == "":
		return core.Errorf(core.KindInvalid, "Enter the name of a file.")
	case ext == ".csv", ext == ".json":
		return nil
	}
	return core.Errorf(core.KindInvalid, "Let the name end in .csv or .json: that is the format.")
}

// ErrExists is the error for a file that exists and was not to be replaced.
var ErrExists = errors.New("the file exists")

// Write writes a list to a file that only its owner can read, and returns how many rows it has. The file
// appears when it is whole. Without overwrite it returns ErrExists for one that exists, and leaves it.
func Write(ctx context.Context, l List, from Source, path string, overwrite bool) (rows int, err error) {
	if err := checkTarget(path, overwrite); err != nil {
		return 0, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".unibus-export-*") // with the mode 0600
	if err != nil {
		return 0, notWritten(path, err)
	}
	defer os.Remove(f.Name()) // gone already where it was renamed
	if strings.EqualFold(filepath.Ext(path), ".json") {
		rows, err = writeJSON(ctx, f, l, from)
	} else {
		rows, err = writeCSV(ctx, f, l, from)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, notWritten(path, err)
	}
	if overwrite {
		err = os.Rename(f.Name(), path)
	} else {
		err = os.Link(f.Name(), path) // fails for one that came meanwhile
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return 0, ErrExists
	case err != nil:
		return 0, notWritten(path, err)
	}
	return rows, nil
}

// checkTarget refuses what is no file before a list is read for it.
func checkTarget(path string, overwrite bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return notWritten(path, err)
	case !info.Mode().IsRegular():
		return core.Errorf(core.KindInvalid, "%s is no file that could be replaced", path).WithNext("give another name")
	case !overwrite:
		return ErrExists
	}
	return nil
}

func notWritten(path string, err error) error {
	if e := core.AsError(err); e.Kind != core.KindFailed { // the cluster's own answer
		return e
	}
	return core.Errorf(core.KindFailed, "%s was not written: %w", path, err).WithNext("give another name, or make the place writable")
}

// writeCSV writes the fields as the first row.
func writeCSV(ctx context.Context, w io.Writer, l List, from Source) (n int, err error) {
	out := csv.NewWriter(w)
	if err := out.Write(l.Fields); err != nil {
		return 0, err
	}
	for row, err := range l.Rows(ctx, from) {
		if err != nil {
			return n, err
		}
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = csvText(v)
		}
		if err := out.Write(cells); err != nil {
			return n, err
		}
		n++
	}
	out.Flush()
	return n, out.Error()
}

// csvText is a value as text. A text that a spreadsheet would take for a formula begins with an
// apostrophe there: the person who chose it is not the one who opens the file.
func csvText(v any) string {
	switch v := plain(v).(type) {
	case nil:
		return ""
	case string:
		if v != "" && strings.ContainsRune("=+-@", rune(v[0])) {
			return "'" + v
		}
		return v
	default:
		return fmt.Sprint(v)
	}
}

// plain is a value that JSON has. Texts have no control characters: a terminal may show the file.
func plain(v any) any {
	switch v := v.(type) {
	case core.Millis:
		if v == 0 {
			return nil
		}
		return v.Time().UTC().Format("2006-01-02T15:04:05.000Z07:00")
	case string:
		return widget.Sanitize(v)
	}
	return v
}

// writeJSON writes an array of one object a row, with the fields in their order.
func writeJSON(ctx context.Context, w io.Writer, l List, from Source) (n int, err error) {
	between := "[\n"
	for row, err := range l.Rows(ctx, from) {
		if err != nil {
			return n, err
		}
		var line strings.Builder
		for i, v := range row {
			name, err := json.Marshal(l.Fields[i])
			if err != nil {
				return n, err
			}
			value, err := json.Marshal(plain(v))
			if err != nil {
				return n, err
			}
			fmt.Fprintf(&line, "%s%s:%s", map[bool]string{true: ","}[i > 0], name, value)
		}
		if _, err := io.WriteString(w, between+"{"+line.String()+"}"); err != nil {
			return n, err
		}
		n, between = n+1, ",\n"
	}
	end := "\n]\n"
	if n == 0 {
		end = "[]\n"
	}
	_, err = io.WriteString(w, end)
	return n, err
}
