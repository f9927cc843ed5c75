package action

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/tui/widget"
)

// The fields of the question before a start.
const (
	fieldSource   = "source"
	fieldReplicas = "replicas"
	fieldRate     = "rows a second"
	fieldBackup   = "keep backup"
	fieldDiscard  = "leave behind"
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
			if node, o := chosen(s, v); slices.Contains(o.IgnoredNodes, node) {
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

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

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

func rateField(rate int) widget.Field {
	f := widget.Field{Label: fieldRate, Hint: "as fast as it goes", Check: func(v string) error {
		if _, err := rateOf(v); err != nil {
			return core.Errorf(core.KindInvalid, "Give a number of rows a second; 0 or nothing is no limit.")
		}
		return nil
	}}
	if rate > 0 {
		f.Value = strconv.Itoa(rate)
	}
	return f
}

// rateOf reads a limit; nothing is none.
func rateOf(v string) (int, error) {
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, core.Errorf(core.KindInvalid, "%q is not a number of rows a second", v)
	}
	return n, nil
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
	for _, d := range s.Snap.Migration.Value.DivergentFiles() {
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
			o.IgnoredNodes = split(v[i])
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
	if len(o.IgnoredNodes) > 0 {
		line += " --ignore-node " + Quoted(strings.Join(o.IgnoredNodes, ","))
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

func askLimit(s State) Question {
	return Question{
		Title: "How fast may the copy write?", Confirm: "Set",
		Lines:  []string{"A limit holds at once, and leaves disks and network to the users. Without one the copy goes as fast as it can. Users see nothing of either."},
		Fields: []widget.Field{rateField(s.Snap.Migration.Value.Options.Rate)},
	}
}

func sameLimit(_ State, v []string) string {
	rate := "0"
	if len(v) > 0 && v[0] != "" {
		rate = v[0]
	}
	return "unibusd migration limit --rate " + Quoted(rate)
}

func runLimit(ctx context.Context, c Client, s State, v []string) (string, error) {
	rate, err := rateOf(v[0])
	if err != nil {
		return "", err
	}
	if _, err := c.MigrateLimit(ctx, s.Snap.Migration.Value.Node, rate); err != nil {
		return "", err
	}
	if rate == 0 {
		return "The copy goes as fast as it can", nil
	}
	return fmt.Sprintf("The copy writes at most %s rows a second", widget.Count(rate)), nil
}

func askAbort(s State) Question {
	m := s.Snap.Migration.Value
	if m.State == migrate.StateRollback {
		return Question{
			Title: "Give up the rollback?", Confirm: "Give up",
			Lines: []string{
				"KV is opened again on all nodes and serves as it did; the SQLite file that was being written is removed. Nothing is lost.",
				"Where the authority has moved back already, it goes to KV again as long as nobody has served the new file; once it was served, that stays, and the page says so.",
			},
		}
	}
	backup := "The backup is kept."
	if m.Options.NoBackup {
		backup = "The copy that it works from is removed."
	}
	return Question{
		Title: "Give up the move?", Confirm: "Give up",
		Lines: []string{
			fmt.Sprintf("Exactly what was is restored: SQLite on %s goes on serving, and what was copied is removed from KV. %s", m.Node, backup),
			"Users see nothing of it. The move can be started again at any time.",
		},
	}
}

func askCutover(s State) Question {
	v, m := s.Snap.Status.Value, s.Snap.Migration.Value
	lines := []string{
		fmt.Sprintf("SQLite on %s refuses writes while the last changes are copied and compared; then all %s nodes swap, without a restart.", m.Node, Words(max(1, v.Expected))),
		`Users keep their sessions and their messages. Whoever changes something is told "the control plane is moving" and tries again, for a second or two.`,
		fmt.Sprintf("If it fails, the fence lifts by itself within 30 s and SQLite on %s serves as before.", m.Node),
	}
	if away := absent(v.Nodes); away != "" {
		lines = append(lines, away+" not there, and the cutover is refused until every node answers: the last changes are compared on each.")
	}
	lines = append(lines, "You can roll back until you finish; what is written until then is carried back.")
	return Question{Title: fmt.Sprintf("Move the control plane of %s to KV?", v.Cluster), Lines: lines, Confirm: "Move"}
}

func askRollback(s State) Question {
	v, m := s.Snap.Status.Value, s.Snap.Migration.Value
	lines := []string{
		fmt.Sprintf("KV is shut on all nodes, all that it holds is written to a new SQLite file on %s and read back, and that file serves. Nothing written since the cutover is lost.", m.Node),
		fmt.Sprintf(`Whoever changes something or connects is told "the control plane is moving" and tries again, for about %s. Then users' sessions on the other nodes end, and come back on %s.`, widget.Span(backTime(m)), m.Node),
		fmt.Sprintf("If it fails before the authority has moved, KV serves again. %s must stay up: where it stops in the middle nothing serves until it is back.", m.Node),
		fmt.Sprintf("Afterwards %s serves alone: were its disk lost, so were users and rooms. The move can be started again.", m.Node),
	}
	if away := absent(v.Nodes); away != "" {
		lines = append(lines, away+" not there, and will follow once back.")
	}
	return Question{Title: fmt.Sprintf("Bring the control plane of %s back to SQLite?", v.Cluster), Lines: lines, Confirm: "Roll back"}
}

// backTime is a guess of how long a rollback lasts: proofs that nodes hold run
// out after 3 s, beside which the export writes some 20,000 rows a second.
func backTime(m migrate.Status) time.Duration {
	rows := 0
	for _, b := range m.Buckets {
		rows += b.Source.Count
	}
	return 4*time.Second + time.Duration(rows/20)*time.Millisecond
}

func askFinish(s State) Question {
	m := s.Snap.Migration.Value
	return Question{
		Title: fmt.Sprintf("Finish the move of %s?", s.Snap.Status.Value.Cluster), Confirm: "Finish",
		Lines: []string{
			"KV stays the control plane, and the way back ends here: afterwards `unibusd backup` writes a SQLite file of what there is.",
			fmt.Sprintf("The old file on %s and the backup are kept, and no node serves them. Users see nothing of it.", m.Node),
			"There is no hurry: until you finish, everything works, and can be rolled back.",
		},
	}
}

func absent(nodes []cluster.Node) string {
	var away []string
	for _, x := range nodes {
		if !x.Online {
			away = append(away, x.Name)
		}
	}
	if away == nil {
		return ""
	}
	return and(away) + plural(len(away), " is", " are")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// and joins names: n1, n2 and n3.
func and(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}

// Words writes small numbers as words.
func Words(n int) string {
	w := []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
	if n >= 0 && n < len(w) {
		return w[n]
	}
	return strconv.Itoa(n)
}
