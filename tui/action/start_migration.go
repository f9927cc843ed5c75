package action

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/widget"
)

func askStart(s State) Question {
	all := Sources(s.Snap)
	what := "the file"
	var lines []string
	if len(all) == 1 {
		what = fmt.Sprintf("%s on %s", all[0].File, all[0].Node)
	} else {
		lines = append(lines, severalFiles(all))
	}
	lines = append(lines,
		fmt.Sprintf("A backup of %s is taken first, every row is copied from it, and every bucket is compared on every node.", what),
		"SQLite goes on serving, nothing changes for users. The move then waits for your cutover; until then it can be given up.")
	if names := s.drifted(); names != nil {
		than, other := "this one", "; or stop here, and start from the other file"
		if len(all) > 1 {
			than, other = "the one of "+s.Snap.Migration.Value.Node, ""
		}
		lines = append(lines, fmt.Sprintf("%s %s rows that %s lacks. Type the name to leave them behind%s.",
			and(names), plural(len(names), "has a SQLite file with", "have SQLite files with"), than, other))
	}
	return Question{
		Title: fmt.Sprintf("Move the control plane of %s to KV?", s.Snap.Status.Value.Cluster), Confirm: "Start", Lines: lines, Fields: startFields(s),
		Whole: func(v []string) error {
			if node, o := chosen(s, v); slices.Contains(o.Discard, node) {
				return core.Errorf(core.KindInvalid, "The file of %s is the one that is moved: it cannot be left behind.", node)
			}
			return nil
		},
	}
}

// severalFiles says that there is a choice, and between what.
func severalFiles(all []Source) string {
	var files []string
	for _, x := range all {
		files = append(files, fmt.Sprintf("%s on %s", x.File, x.Node))
	}
	return fmt.Sprintf("%s nodes serve SQLite files of their own: %s. One of them is moved; name the node whose file counts.", capital(Words(len(all))), and(files))
}

// sourceField asks for the node whose file counts.
func sourceField(s State) widget.Field {
	return widget.Field{Label: fieldSource, Hint: "the node whose file counts", Check: func(v string) error {
		_, err := sourceOf(s, []string{v})
		return err
	}}
}

func startFields(s State) []widget.Field {
	o := s.Snap.Migration.Value.Options
	var out []widget.Field
	if len(Sources(s.Snap)) > 1 {
		out = append(out, sourceField(s))
	}
	out = append(out, replicas(s, min(3, maxReplicas(s))), rateField(o.Rate), widget.Field{Label: fieldBackup, Value: "yes", Hint: "yes or no", Check: func(v string) error {
		if v == "yes" || v == "no" {
			return nil
		}
		return core.Errorf(core.KindInvalid, "Say yes or no. Without a backup a temporary copy is used and removed.")
	}})
	if left := s.leavable(); left != nil {
		out = append(out, widget.Field{Label: fieldDiscard, Hint: "nobody", Check: func(v string) error {
			for _, n := range split(v) {
				if !slices.Contains(left, n) {
					return core.Errorf(core.KindInvalid, "Only %s can be left behind.", and(left))
				}
			}
			return nil
		}})
	}
	return out
}

// sourceOf is the only source, or the one whose node was typed first.
func sourceOf(s State, v []string) (Source, error) {
	all := Sources(s.Snap)
	if len(all) == 1 {
		return all[0], nil
	}
	var names []string
	for _, x := range all {
		if len(v) > 0 && v[0] == x.Node {
			return x, nil
		}
		names = append(names, x.Node)
	}
	return Source{}, core.Errorf(core.KindInvalid, "Several nodes serve SQLite files. Name the one that counts: %s.", and(names))
}

// fromSource names the file to the command line, and its node where the file alone may be that of several.
func fromSource(s State, v []string) string {
	from, err := sourceOf(s, v)
	if err != nil { // nothing is typed yet
		from = Source{"NODE", "FILE"}
	}
	line := " --db " + Quoted(from.File)
	if len(Sources(s.Snap)) > 1 {
		line += " --node " + Quoted(from.Node)
	}
	return line
}

// leavable are the nodes whose files may be left behind: those that differ and,
// where another file may be chosen than the one they were compared with, that one's node.
func (s State) leavable() []string {
	out := s.drifted()
	if node := s.Snap.Migration.Value.Node; out != nil && len(Sources(s.Snap)) > 1 && !slices.Contains(out, node) {
		out = append([]string{node}, out...)
	}
	return out
}

// drifted are the nodes whose own files hold what the source lacks, or could not be compared.
func (s State) drifted() []string {
	var out []string
	for _, d := range s.Snap.Migration.Value.Drifted() {
		out = append(out, d.Node)
	}
	return out
}

func split(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
}

// chosen is what the fields of the question say, and the node to ask; "" where none is named.
func chosen(s State, v []string) (string, migrate.Options) {
	from, _ := sourceOf(s, v) // the field was checked
	o := migrate.Options{DB: from.File, Replicas: 3}
	for i, f := range startFields(s) {
		if i >= len(v) {
			break
		}
		switch f.Label {
		case fieldReplicas:
			o.Replicas, _ = strconv.Atoi(v[i]) // the field was checked
		case fieldRate:
			o.Rate, _ = rateOf(v[i])
		case fieldBackup:
			o.NoBackup = v[i] == "no"
		case fieldDiscard:
			o.Discard = split(v[i])
		}
	}
	return from.Node, o
}

func sameStart(s State, v []string) string {
	_, o := chosen(s, v)
	line := fmt.Sprintf("unibusd migrate-to-kv%s --replicas %d", fromSource(s, v), o.Replicas)
	if o.Rate > 0 {
		line += fmt.Sprintf(" --rate %d", o.Rate)
	}
	if o.NoBackup {
		line += " --no-backup"
	}
	if len(o.Discard) > 0 {
		line += " --discard " + Quoted(strings.Join(o.Discard, ","))
	}
	return line
}

func runStart(ctx context.Context, c Client, s State, v []string) (string, error) {
	node, o := chosen(s, v)
	if _, err := c.MigrateStart(ctx, node, o); err != nil {
		return "", err
	}
	return "The move has begun on " + node, nil
}

// The fields of the question before a start.
const (
	fieldSource   = "source"
	fieldReplicas = "replicas"
	fieldRate     = "rows a second"
	fieldBackup   = "keep backup"
	fieldDiscard  = "leave behind"
)
