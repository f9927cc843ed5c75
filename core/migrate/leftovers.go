package migrate

import (
	"context"
	"fmt"
	"strings"

	"unibus/core"
)

// findLeftovers looks for what the file holds and a migration does not take along, and
// for times that are probably not in milliseconds. A table that holds rows stops the migration
// until the operator names it with --ignore; the rest is a note. kind is KindInvalid if
// --ignore names a table or column that is not there.
func (j *Job) findLeftovers(ctx context.Context) (out []core.Problem, kind core.Kind, err error) {
	src, ignored := j.source(), j.Status().Options.Ignored
	left, err := src.Leftovers(ctx)
	if err != nil {
		return nil, "", err
	}
	odd, err := src.OddTimes(ctx)
	if err != nil {
		return nil, "", err
	}
	j.updateStatus(func(s *Status) { s.Leftovers, s.Notes = left, notesOf(left, ignored, odd, s.Source.Path) })
	kind = core.KindRefused
	if err := core.CheckIgnored(left, ignored); err != nil {
		e := core.AsError(err)
		out, kind = append(out, core.Problem{Text: e.Text, Next: e.Next}), core.KindInvalid
	}
	for _, l := range core.Unignored(left, ignored) {
		out = append(out, core.Problem{
			Table: core.Table(l.Table),
			Text:  fmt.Sprintf("%s of %s is not a part of a control plane, and %s in it; a migration leaves it behind", l, src.Path(), hold(l.Rows)),
			Next:  "keep what you need of it elsewhere; then start again with --ignore " + core.ShellQuote(l.Name()),
		})
	}
	return out, kind, nil
}

// checkLeftovers is preflight's check once more: the file was served since then, and
// its owner may have written to a column or a table that unibus does not keep. KindRefused.
func (j *Job) checkLeftovers(ctx context.Context) error {
	left, err := j.source().Leftovers(ctx)
	if err != nil {
		return err
	}
	j.updateStatus(func(s *Status) { s.Leftovers = left })
	more := core.Unignored(left, j.Status().Options.Ignored)
	if len(more) == 0 {
		return nil
	}
	names := make([]string, len(more))
	for i, l := range more {
		names[i] = "--ignore " + core.ShellQuote(l.Name())
	}
	return core.Errorf(core.KindRefused, "%s of %s was written to since preflight: %s in it, and a migration leaves it behind; nothing was moved",
		more[0], j.source().Path(), hold(more[0].Rows)).
		WithNext("keep what you need of it elsewhere; then `unibusd migration abort`, and start again with %s", strings.Join(names, " "))
}

func hold(rows int) string {
	if rows == 1 {
		return "1 row holds something"
	}
	return fmt.Sprintf("%d rows hold something", rows)
}

// notesOf is information for the operator that stops nothing.
func notesOf(left []core.Leftover, ignored []string, odd []core.OddTimes, path string) []core.Problem {
	var out []core.Problem
	for _, l := range left {
		n := core.Problem{Table: core.Table(l.Table)}
		switch {
		case l.Rows == 0:
			n.Text = fmt.Sprintf("%s of %s is empty; it is left behind", l, path)
		case l.IsIgnored(ignored):
			n.Text = fmt.Sprintf("%s of %s is left behind, as the operator chose: %s in it", l, path, hold(l.Rows))
			n.Next = "keep " + path + ": a rollback writes a new file without it"
		default:
			continue
		}
		out = append(out, n)
	}
	for _, o := range odd {
		out = append(out, core.Problem{
			Table: o.Table, Text: o.String(), Next: "if that is wrong, correct it with the node stopped, then start again; as it is, it is migrated unchanged",
		})
	}
	return out
}
