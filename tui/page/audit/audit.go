// Package audit is the page of what operators did: who, what, to whom, and how
// it ended, the newest first.
package audit

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Model is the page.
type Model struct {
	page.List
	before uint64 // of the page of older records that the cursor has come to
}

// New makes the page.
func New() *Model {
	m := &Model{}
	m.List = page.List{
		Subject: "the audit", MaxAge: page.FreshList, RowsEvery: time.Minute, CopyHint: "copy",
		Source: func(s *feed.Snapshot) feed.Freshness { return s.Audit.Freshness },
		Rows:   rows, Summary: m.summary, Detail: detail, Gone: "This record is not listed any more.",
		Table: widget.NewTable("No operator has changed anything yet. What is done from this console, or with unibusd, is recorded here before it is done, and then how it ended.",
			widget.Column{Title: "TIME"}, widget.Column{Title: "OPERATOR", Max: 16}, widget.Column{Title: "NODE", Max: 16},
			widget.Column{Title: "VERB"}, widget.Column{Title: "OUTCOME"}, widget.Column{Title: "TOOK", Right: true}, widget.Column{Title: "TARGET", Min: 10}),
	}
	return m
}

// Name is audit.
func (m *Model) Name() string { return "audit" }

func key(r admin.AuditRecord) string { return strconv.FormatUint(r.Seq, 10) }

func rows(s page.Scene) []widget.Row {
	rs := s.Snap.Audit.Value.Records
	out := make([]widget.Row, 0, len(rs))
	for _, r := range rs {
		out = append(out, row(s, r))
	}
	return out
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

func (m *Model) summary(s page.Scene) []string {
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
	return append(s.Prose(theme.Plain, text+m.FilterText(s)), "")
}

func find(s page.Scene, id string) (admin.AuditRecord, bool) {
	rs := s.Snap.Audit.Value.Records
	if i := slices.IndexFunc(rs, func(r admin.AuditRecord) bool { return key(r) == id }); i >= 0 {
		return rs[i], true
	}
	return admin.AuditRecord{}, false
}

func detail(s page.Scene, id string) []string {
	r, found := find(s, id)
	if !found {
		return nil
	}
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

// Key asks for older records, too, when the cursor moves on at the end of the list.
func (m *Model) Key(s page.Scene, k string) page.Effect {
	e := m.List.Key(s, k)
	switch k {
	case "down", "j", "pgdown", "ctrl+f", "end", "G":
		if m.OpenID == "" && m.Table.AtEnd() {
			m.before = s.Snap.Audit.Value.Next
		}
	}
	return e
}

// Want is the audit, as far back as the cursor has come.
func (m *Model) Want() feed.Want { return feed.Want{Audit: true, AuditBefore: m.before} }

// Copy is the record in a line.
func (m *Model) Copy(s page.Scene) (what, text string) {
	m.Load(s)
	r, found := find(s, m.Current())
	if !found {
		return "", ""
	}
	words := []string{r.At.Time().UTC().Format(time.RFC3339), r.Name, r.Node, r.Verb, r.Args, r.Outcome, r.Text}
	return "the record", widget.Clean(strings.Join(strings.Fields(strings.Join(words, " ")), " "))
}
