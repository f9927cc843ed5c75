package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
)

// csvTime is how moments are written: to the millisecond, so that an import finds the same.
const csvTime = "2006-01-02T15:04:05.000Z07:00"

func userColumns() []string {
	return []string{"user", "name", "role", "status", "ends", "created", "last_seen"}
}

func userExportCommand() *cobra.Command {
	var t userTarget
	path := ""
	c := t.add(&cobra.Command{
		Use: "export", Short: "Write all users as CSV, for spreadsheets and for unibusd user import", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			us, end, err := t.open(c.Context(), false)
			if err != nil {
				return err
			}
			defer end()
			count := 0
			err = writeNewFile(path, c.OutOrStdout(), func(out io.Writer) (err error) {
				count, err = exportUsers(out, admin.UserPages(c.Context(), us.UserPage, core.UserPageRequest{UserQuery: core.UserQuery{}, NoKeys: true}))
				return err
			})
			if err != nil || path == "-" {
				return err
			}
			return t.print(c, map[string]any{"file": path, "users": count}, func() { c.Printf("Saved %s in %s; only you can read it.\n", counted(count, "user", "users"), path) })
		},
	})
	c.Flags().StringVar(&path, "csv", "", "write the new FILE, or - for the output; an existing file is not overwritten")
	cli.Require(c, "csv")
	return c
}

// exportUsers writes users as CSV, and returns how many.
func exportUsers(out io.Writer, pages iter.Seq2[core.UserPage, error]) (count int, err error) {
	table := csv.NewWriter(out)
	for p, pageErr := range pages {
		if pageErr != nil {
			err = pageErr
			break
		}
		if count == 0 && p.Offset == 0 {
			_ = table.Write(userColumns()) // Flush says what failed
		}
		for _, u := range p.Users {
			_ = table.Write(userCells(u, p.Seen[u.ID]))
			count++
		}
		table.Flush()
		if err = table.Error(); err != nil {
			break
		}
	}
	return count, err
}

func userCells(u core.User, seen core.Millis) []string {
	name := ""
	if u.Name != nil {
		name = *u.Name
	}
	cells := []string{string(u.ID), name, string(u.Role), string(u.StatusAt(core.MillisOf(time.Now()))), csvMoment(u.Expires), csvMoment(u.Created), csvMoment(seen)}
	for i, cell := range cells {
		cells[i] = csvCell(cell)
	}
	return cells
}

func csvMoment(at core.Millis) string {
	if at == 0 {
		return ""
	}
	return at.Time().UTC().Format(csvTime)
}

// writeNewFile has f write a new file that only its owner may read, or the output for "-". After an
// error there is no file.
func writeNewFile(path string, output io.Writer, f func(io.Writer) error) error {
	if path == "-" {
		return f(output)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return core.Errorf(core.KindExists, "%s is there already and is not written over", path).WithNext("give another name")
	case err != nil:
		return core.Errorf(core.KindFailed, "%s cannot be written: %w", path, err).WithNext("see that its directory is there, is yours and has free space")
	}
	err = f(file)
	if closed := cmp.Or(file.Sync(), file.Close()); err == nil && closed != nil {
		err = core.Errorf(core.KindFailed, "%s cannot be written: %w", path, closed)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
