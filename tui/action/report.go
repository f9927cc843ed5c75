package action

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/widget"
)

// saveReport writes the move as JSON and as text beside each other; it never writes over a file.
func saveReport(s State) (string, error) {
	m := s.Snap.Migration.Value
	base := filepath.Join(s.Dir, "unibus-migration-"+s.Now.Format("20060102-150405"))
	doc, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", core.Errorf(core.KindFailed, "the report could not be made: %w", err)
	}
	for _, f := range []struct {
		name string
		body []byte
	}{{base + ".json", append(doc, '\n')}, {base + ".txt", []byte(Report(m))}} {
		if err := writeNew(f.name, f.body); err != nil {
			return "", err
		}
	}
	abs, err := filepath.Abs(base)
	if err != nil {
		abs = base
	}
	return "Saved " + abs + ".txt and .json", nil
}

func writeNew(name string, body []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(body)
		if e := f.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "the report could not be written to %s: %w", name, err).
			WithNext("start the console in a directory that you may write to")
	}
	return nil
}

// Report is a move as text, for people.
func Report(m migrate.Status) string {
	var b strings.Builder
	p := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	p("Move of the control plane from SQLite to KV")
	p("state     %s", m.State)
	if m.Result != "" {
		p("          %s", m.Result)
	}
	p("source    %s on %s, %s", m.Source.Path, m.Node, widget.Size(m.Source.Bytes))
	if m.Backup.Path != "" {
		p("backup    %s, sha256 %s", m.Backup.Path, m.Backup.SHA256)
	}
	p("by        %s, started %s", m.By, m.Started.Time().Format("2006-01-02 15:04:05 MST"))
	for _, x := range m.Buckets {
		verdict := "equal on every node"
		if !x.Equal() {
			verdict = "NOT equal"
		}
		p("\n%s: %s", x.Name, verdict)
		p("  source  %8d  %s", x.Source.Count, x.Source.SHA256)
		for _, n := range sortedKeys(x.Nodes) {
			p("  %-6s  %8d  %s", n, x.Nodes[n].Count, x.Nodes[n].SHA256)
		}
		list(p, "missing", x.Missing)
		list(p, "different", x.Different)
		list(p, "extra", x.Extra)
	}
	for _, x := range m.Problems {
		p("\nproblem: %s %s: %s", x.Table, x.Key, x.Text)
		if x.Next != "" {
			p("  do: %s", x.Next)
		}
	}
	return b.String()
}

func list(p func(string, ...any), what string, keys []string) {
	for _, k := range keys {
		p("  %s %s", what, k)
	}
}
