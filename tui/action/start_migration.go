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

// The labels of the fields in the start dialog.
const (
	fieldSource       = "source"
	fieldReplicas     = "replicas"
	fieldRate         = "rows per second"
	fieldBackup       = "keep backup"
	fieldIgnoredNodes = "ignore files of"
	fieldIgnored      = "leave behind"
)

func startQuestion(s Input) Question {
	sources := Sources(s.Snapshot)
	source := "The file"
	var lines []string
	if len(sources) == 1 {
		source = fmt.Sprintf("%s on %s", sources[0].File, sources[0].Node)
	} else {
		lines = append(lines, sourcesText(sources))
	}
	lines = append(lines,
		fmt.Sprintf("%s is backed up first. Every row is copied from the backup, and every bucket is compared on every node.", source),
		"SQLite keeps serving, and users notice nothing. Without a backup to keep, a temporary copy is used and then removed. The migration then waits for your cutover; until then you can abort it.")
	if names := s.divergedNodes(); names != nil {
		reference, alternative := "this one", "; or cancel and start from the other file"
		if len(sources) > 1 {
			reference, alternative = "the file of "+s.Snapshot.Migration.Value.Node, ""
		}
		lines = append(lines, fmt.Sprintf("%s %s rows that %s lacks. Enter the node's name to ignore its file%s.",
			widget.JoinNames(names), pluralize(len(names), "has a SQLite file with", "have SQLite files with"), reference, alternative))
	}
	if names := s.leftovers(); names != nil {
		lines = append(lines, fmt.Sprintf("The file also holds %s, which unibus does not keep. Enter the names of what to leave behind.", widget.JoinNames(names)))
	}
	return Question{
		Title: fmt.Sprintf("Move the control plane of %s to KV?", s.Snapshot.Status.Value.Cluster), ConfirmLabel: "Start", Lines: lines, Fields: startFields(s),
		Validate: func(v []string) error {
			if node, o := parseStartFields(s, v); slices.Contains(o.IgnoredNodes, node) {
				return core.Errorf(core.KindInvalid, "The file of %s is the source: it cannot be ignored.", node)
			}
			return nil
		},
	}
}

// sourcesText lists the sources that the operator must choose from.
func sourcesText(sources []SQLiteFile) string {
	var files []string
	for _, x := range sources {
		files = append(files, fmt.Sprintf("%s on %s", x.File, x.Node))
	}
	return fmt.Sprintf("%s nodes serve their own SQLite files: %s. Only one can be migrated. Enter the node of that file.", widget.Capitalize(NumberWord(len(sources))), widget.JoinNames(files))
}

// sourceField asks for the node whose file is migrated.
func sourceField(s Input) widget.Field {
	return widget.Field{Label: fieldSource, Hint: "the node of the file to migrate", Check: func(v string) error {
		_, err := parseSource(s, []string{v})
		return err
	}}
}

func startFields(s Input) []widget.Field {
	rate := 0
	if st := s.Snapshot.Migration.Value; st.Active() { // the limit of one that has ended was meant for that
		rate = st.Options.Rate
	}
	var out []widget.Field
	if len(Sources(s.Snapshot)) > 1 {
		out = append(out, sourceField(s))
	}
	out = append(out, replicasField(s, min(3, maxReplicas(s))), rateField(rate), widget.Field{Label: fieldBackup, Value: "yes", Choices: []string{"yes", "no"}})
	if ignorable := s.ignorableNodes(); ignorable != nil {
		out = append(out, widget.Field{Label: fieldIgnoredNodes, Hint: "no node", TakesList: true, Check: func(v string) error {
			for _, n := range splitNames(v) {
				if !slices.Contains(ignorable, n) {
					return core.Errorf(core.KindInvalid, "Only the files of %s can be ignored.", widget.JoinNames(ignorable))
				}
			}
			return nil
		}})
	}
	if s.leftovers() != nil {
		out = append(out, widget.Field{Label: fieldIgnored, Hint: "nothing", Check: func(v string) error {
			return core.CheckIgnored(s.Snapshot.Migration.Value.Leftovers, splitTexts(v))
		}})
	}
	return out
}

// leftovers are the columns and tables that hold rows and are not migrated.
func (s Input) leftovers() []string {
	var out []string
	for _, l := range core.Unignored(s.Snapshot.Migration.Value.Leftovers, nil) {
		out = append(out, l.Name())
	}
	return out
}

// splitTexts splits at commas: the name of a column may hold blanks.
func splitTexts(v string) []string {
	var out []string
	for _, text := range strings.Split(v, ",") {
		if text = strings.TrimSpace(text); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// parseSource returns the only source, or the one whose node was typed first.
func parseSource(s Input, v []string) (SQLiteFile, error) {
	sources := Sources(s.Snapshot)
	if len(sources) == 1 {
		return sources[0], nil
	}
	var names []string
	for _, x := range sources {
		if len(v) > 0 && v[0] == x.Node {
			return x, nil
		}
		names = append(names, x.Node)
	}
	return SQLiteFile{}, core.Errorf(core.KindInvalid, "Several nodes serve SQLite files. Enter one of %s.", widget.JoinNames(names))
}

// sourceFlags name the file, and its node if several nodes may have the same
// path.
func sourceFlags(s Input, v []string) string {
	source, err := parseSource(s, v)
	if err != nil { // the operator has typed nothing yet
		source = SQLiteFile{"NODE", "FILE"}
	}
	line := " --db " + core.ShellQuote(source.File)
	if len(Sources(s.Snapshot)) > 1 {
		line += " --node " + core.ShellQuote(source.Node)
	}
	return line
}

// ignorableNodes are the nodes whose files may be ignored: those that differ and,
// if another source may be chosen, the node of the compared file.
func (s Input) ignorableNodes() []string {
	out := s.divergedNodes()
	if node := s.Snapshot.Migration.Value.Node; out != nil && len(Sources(s.Snapshot)) > 1 && !slices.Contains(out, node) {
		out = append([]string{node}, out...)
	}
	return out
}

// divergedNodes are the nodes whose files hold rows that the source lacks, or
// could not be compared.
func (s Input) divergedNodes() []string {
	var out []string
	for _, d := range s.Snapshot.Migration.Value.DivergentFiles() {
		out = append(out, d.Node)
	}
	return out
}

func splitNames(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
}

// parseStartFields returns the node to ask and the options, from the fields of
// the start dialog. The node is "" if none is named.
func parseStartFields(s Input, v []string) (string, migrate.Options) {
	source, _ := parseSource(s, v) // the field was checked
	o := migrate.Options{DB: source.File, Replicas: 3}
	for i, f := range startFields(s) {
		if i >= len(v) {
			break
		}
		switch f.Label {
		case fieldReplicas:
			o.Replicas, _ = strconv.Atoi(v[i]) // the field was checked
		case fieldRate:
			o.Rate, _ = parseRate(v[i])
		case fieldBackup:
			o.NoBackup = v[i] == "no"
		case fieldIgnoredNodes:
			o.IgnoredNodes = splitNames(v[i])
		case fieldIgnored:
			o.Ignored = splitTexts(v[i])
		}
	}
	return source.Node, o
}

func startCommand(s Input, v []string) string {
	_, o := parseStartFields(s, v)
	line := fmt.Sprintf("unibusd migrate-to-kv%s --replicas %d", sourceFlags(s, v), o.Replicas)
	if o.Rate > 0 {
		line += fmt.Sprintf(" --rate %d", o.Rate)
	}
	if o.NoBackup {
		line += " --no-backup"
	}
	if len(o.IgnoredNodes) > 0 {
		line += " --ignore-node " + core.ShellQuote(strings.Join(o.IgnoredNodes, ","))
	}
	for _, name := range o.Ignored {
		line += " --ignore " + core.ShellQuote(name)
	}
	return line
}

func runStart(ctx context.Context, c Client, s Input, v []string) (string, error) {
	node, o := parseStartFields(s, v)
	if _, err := c.MigrateStart(ctx, node, o); err != nil {
		return "", err
	}
	return "The migration has started on " + node, nil
}
