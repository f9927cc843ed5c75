// Package audit is the page of what operators did: who, what, to whom, and how
// it ended, the newest first.
package audit

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Model is the page.
type Model struct {
	table  *widget.Table
	open   string
	before uint64 // of the page of older records that the cursor has come to
	memo   page.Memo
}

// New makes the page.
func New() *Model {
	return &Model{table: widget.NewTable("No operator has changed anything yet. What is done from this console, or with unibusd, is recorded here before it is done, and then how it ended.",
		widget.Column{Title: "TIME"}, widget.Column{Title: "OPERATOR", Max: 16}, widget.Column{Title: "NODE", Max: 16},
		widget.Column{Title: "VERB"}, widget.Column{Title: "OUTCOME"}, widget.Column{Title: "TOOK", Right: true}, widget.Column{Title: "TARGET", Min: 10})}
}

// Name is audit.
func (m *Model) Name() string { return "audit" }

func key(r admin.AuditRecord) string { return strconv.FormatUint(r.Seq, 10) }

func (m *Model) load(s page.Scene) {
	if m.memo.Fresh(s, time.Minute, "", s.Snap.Audit.N) {
		return
	}
	rs := s.Snap.Audit.Value.Records
	rows := make([]widget.Row, 0, len(rs))
	for _, r := range rs {
		rows = append(rows, row(s, r))
	}
	m.table.Load(rows, s.Filter)
}

func row(s page.Scene, r admin.AuditRecord) widget.Row {
	word, tone := outcome(s, r)
	return widget.Row{Key: key(r), Cells: []widget.Cell{
		widget.Num(float64(r.At), s.Clock(r.At), "").In(theme.Dim),
		{Text: r.Name},
		{Text: r.Node, Tone: theme.Dim},
		{Text: r.Verb},
		widget.Num(rank(r), word, "").In(tone), took(r),
		{Text: target(s, r.Args)},
	}}
}

const (
	ok      = "ok"      // it was done
	unknown = "unknown" // no outcome was recorded
)

// outcome is how an action ended, in a glyph and a word.
func outcome(s page.Scene, r admin.AuditRecord) (string, theme.Tone) {
	g := s.Theme.Glyphs
	switch r.Outcome {
	case ok:
		return g.Healthy + " ok", theme.Good
	case unknown, "":
		return g.Unknown + " unknown", theme.Warn
	case string(core.KindFailed), string(core.KindUnavailable):
		return g.Critical + " " + r.Outcome, theme.Bad
	}
	return g.Degraded + " " + strings.ReplaceAll(r.Outcome, "_", " "), theme.Warn
}

// rank sorts outcomes: what wants a look comes first.
func rank(r admin.AuditRecord) float64 {
	switch r.Outcome {
	case unknown, "":
		return 0
	case string(core.KindFailed), string(core.KindUnavailable):
		return 1
	case ok:
		return 3
	}
	return 2
}

func took(r admin.AuditRecord) widget.Cell {
	if r.Outcome == unknown || r.Outcome == "" {
		return widget.Num(-1, "-", "").In(theme.Faint)
	}
	if r.TookMS < 1000 {
		return widget.Num(float64(r.TookMS), strconv.FormatInt(r.TookMS, 10), "ms")
	}
	f, u := widget.AgeParts(time.Duration(r.TookMS) * time.Millisecond)
	return widget.Num(float64(r.TookMS), f, u)
}

// target shortens the ids and paths in what an action was done to; the record's own view has them whole.
func target(s page.Scene, args string) string {
	words := strings.Split(args, " ")
	for i, w := range words {
		w = strings.TrimPrefix(w, "id=")
		if id, err := core.ParseUserID(w); err == nil {
			w = widget.Middle(s.Theme, string(id), 11)
		} else if name, value, ok := strings.Cut(w, "="); ok && strings.HasPrefix(value, "/") {
			w = name + "=" + path.Base(value)
		}
		words[i] = w
	}
	return strings.Join(words, " ")
}

// View draws the table, or the open record.
func (m *Model) View(s page.Scene) string {
	if wait := page.Await(s, "the audit", s.Snap.Audit); wait != nil {
		return s.Keep(wait)
	}
	m.load(s)
	lines := page.Stale(s, s.Snap.Audit, page.FreshList)
	if m.open != "" {
		return s.Keep(append(lines, m.detail(s)...))
	}
	lines = append(lines, s.Prose(theme.Plain, m.summary(s))...)
	lines = append(lines, "")
	return s.Keep(append(lines, m.table.View(s.Theme, s.W, s.H-len(lines))))
}

func (m *Model) summary(s page.Scene) string {
	log := s.Snap.Audit.Value
	text := widget.Plural(len(log.Records), "action", "actions") + ", the newest first"
	switch {
	case len(log.Records) >= feed.MaxAudit:
		text += "; `unibusd audit` lists older ones"
	case log.Next != 0:
		text += "; older ones are fetched at the end of the list"
	}
	text += "."
	if st := s.Snap.Status; st.Known() && !st.Value.Clustered {
		text += " This is " + log.Node + "'s own record."
	}
	if s.Filter != "" {
		text += fmt.Sprintf(" %s match /%s.", widget.Count(m.table.Len()), s.Filter)
	}
	return text
}

func (m *Model) detail(s page.Scene) []string {
	for _, r := range s.Snap.Audit.Value.Records {
		if key(r) == m.open {
			return detail(s, r)
		}
	}
	return s.Prose(theme.Plain, "This record is not listed any more. Esc goes back.")
}

func detail(s page.Scene, r admin.AuditRecord) []string {
	word, tone := outcome(s, r)
	lines := []string{" " + s.P(tone, word) + "  " + s.P(theme.Strong, widget.Clean(r.Verb)), ""}
	f := page.Facts{Scene: s, Label: 8}
	f.Add("when", fmt.Sprintf("%s, %s ago", r.At.Time().In(s.Now.Location()).Format("2 Jan 2006 15:04:05.000"), widget.Age(s.Since(r.At))))
	f.Add("operator", widget.Clean(fmt.Sprintf("%s (%s)", r.Name, r.Role)))
	f.Add("key", widget.Clean(r.Key))
	f.Add("node", widget.Clean(r.Node))
	f.Add("target", widget.Clean(r.Args))
	f.Add("outcome", ended(r))
	f.Add("record", fmt.Sprintf("%s, number %d", widget.Clean(r.ID), r.Seq))
	lines = append(lines, f.Lines...)
	if r.Late {
		lines = append(lines, "")
		lines = append(lines, s.Prose(theme.Dim, r.Node+" recorded this alone, as there was no quorum, and added it here afterwards.")...)
	}
	return lines
}

// ended says how an action ended, in words.
func ended(r admin.AuditRecord) string {
	if r.Outcome == unknown || r.Outcome == "" {
		if r.Text != "" {
			return widget.Clean(r.Text)
		}
		return "none is recorded: the action is under way, or its node died. Look whether it took effect."
	}
	c := took(r)
	text := fmt.Sprintf("%s, took %s %s", strings.ReplaceAll(r.Outcome, "_", " "), c.Text, c.Unit)
	if r.Text != "" {
		text += ": " + widget.Grouped(r.Text)
	}
	return widget.Clean(text)
}

// Key moves and opens. Moving on at the end of the list asks for older records.
func (m *Model) Key(s page.Scene, k string) page.Effect {
	m.load(s)
	if m.open != "" {
		return page.Effect{}
	}
	if k == "enter" {
		m.open = m.table.Selected()
		return page.Effect{Handled: true}
	}
	handled := m.table.Key(k, s.H-3, false)
	switch k {
	case "down", "j", "pgdown", "ctrl+f", "end", "G":
		if m.table.AtEnd() {
			m.before = s.Snap.Audit.Value.Next
		}
	}
	return page.Effect{Handled: handled}
}

// Open does nothing: records have no names.
func (m *Model) Open(page.Scene, string) {}

// Back closes the open record.
func (m *Model) Back() bool {
	was := m.open != ""
	m.open = ""
	return was
}

// Hints are the page's own keys.
func (m *Model) Hints(page.Scene) []page.Hint {
	if m.open != "" {
		return []page.Hint{{Key: "esc", Does: "back"}, {Key: "y", Does: "copy"}}
	}
	return []page.Hint{{Key: "enter", Does: "open"}, {Key: "s S", Does: "sort"}}
}

// Selection is nothing: no action is done to what was done.
func (m *Model) Selection(page.Scene) action.Selection { return action.Selection{} }

// Want is the audit, as far back as the cursor has come.
func (m *Model) Want() feed.Want { return feed.Want{Audit: true, AuditBefore: m.before} }

// Done has no marks to take away.
func (m *Model) Done(action.Selection) {}

// Copy is the record in a line.
func (m *Model) Copy(s page.Scene) (string, string) {
	m.load(s)
	for _, r := range s.Snap.Audit.Value.Records {
		if key(r) == page.Chosen(m.open, m.table) {
			words := []string{r.At.Time().UTC().Format(time.RFC3339), r.Name, r.Node, r.Verb, r.Args, r.Outcome, r.Text}
			return "the record", widget.Clean(strings.Join(strings.Fields(strings.Join(words, " ")), " "))
		}
	}
	return "", ""
}
