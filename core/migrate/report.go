package migrate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// Report is a status as text that an operator can save: what was moved, from
// where, what was compared and what differed.
func Report(s Status) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	b.WriteString("unibus: report of a move from SQLite to KV\n\n")
	line("state", "%s", s.State)
	if s.ID != "" {
		line("move", "%s, started %s by %s on %s", s.ID, moment(s.Started), s.By, s.Node)
		line("updated", "%s", moment(s.Updated))
		line("source", "%s, %d bytes, schema %d", s.Source.Path, s.Source.Bytes, s.Source.Schema)
	}
	if s.Backup.Path != "" {
		line("backup", "%s, %d bytes", s.Backup.Path, s.Backup.Bytes)
		line("", "sha256 %s", s.Backup.SHA256)
	}
	line("written", "%s put or removed by the last run", count(s.Written, "key"))
	if s.Result != "" {
		line("result", "%s", s.Result)
	}
	if s.Error != nil {
		line("error", "%s", s.Error.Text)
		if s.Error.Next != "" {
			line("do", "%s", s.Error.Next)
		}
	}
	reportProblems(&b, s.Problems)
	for _, p := range s.Buckets {
		reportParity(&b, p)
	}
	return b.String()
}

func reportProblems(b *strings.Builder, problems []core.Problem) {
	if len(problems) == 0 {
		return
	}
	fmt.Fprintf(b, "\nproblems (%d)\n", len(problems))
	for _, p := range problems {
		where := ""
		if p.Table != "" {
			where = string(p.Table) + " " + p.Key + ": "
		}
		fmt.Fprintf(b, "  %s%s\n", where, p.Text)
		if p.Next != "" {
			fmt.Fprintf(b, "    do: %s\n", p.Next)
		}
	}
}

func reportParity(b *strings.Builder, p Parity) {
	fmt.Fprintf(b, "\n%s\n", p.Name)
	fmt.Fprintf(b, "  %-12s %8d  %s\n", "source", p.Source.Count, p.Source.SHA256)
	names := make([]string, 0, len(p.Nodes))
	for n := range p.Nodes {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		word := "equal"
		if p.Nodes[n] != p.Source {
			word = "differs"
		}
		fmt.Fprintf(b, "  %-12s %8d  %s  %s\n", n, p.Nodes[n].Count, p.Nodes[n].SHA256, word)
	}
	for _, l := range []struct {
		name string
		keys []string
	}{{"missing", p.Missing}, {"different", p.Different}, {"extra", p.Extra}} {
		for _, k := range l.keys {
			fmt.Fprintf(b, "  %-12s %s\n", l.name, k)
		}
	}
}

func moment(m core.Millis) string {
	if m == 0 {
		return "never"
	}
	return m.Time().Format(time.DateTime) + " UTC"
}
