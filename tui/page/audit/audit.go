// Package audit is the page of what operators and user-admins did, with outcomes, newest
// first. The feed fetches older records as the operator scrolls.
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
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Page keeps how far back the operator has scrolled.
type Page struct {
	page.List
	oldestNeeded uint64 // the AuditLog.Next up to which the operator has scrolled
}

// New creates the page.
func New() *Page {
	m := &Page{}
	m.List = page.List{
		Subject: "the audit", MaxAge: page.ListMaxAge, RowsMaxAge: time.Minute, CopyHint: "copy",
		Freshness: func(s *feed.Snapshot) feed.Freshness { return s.Audit.Freshness },
		Rows:      rows, Summary: m.summary, Detail: detail, Gone: "This record is no longer listed.",
		Table: widget.NewTable("No operator has changed anything yet. Every action from this console or unibusd is recorded here before it runs, and again with its outcome. So is what user-admins change.",
			columns()...),
		CommandOf: func(rc page.RenderContext, id string) string {
			r, _ := findRecord(rc, id)
			a, _ := actOf(r)
			return a.shell
		},
		ExportFields: []string{"time", "operator", "key", "role", "node", "verb", "target", "outcome", "text", "took_ms", "record", "sequence"}, ExportRow: exportRow,
	}
	m.Table.FollowsTop = true
	return m
}

func columns() []widget.Column {
	return []widget.Column{
		{Title: "TIME"},
		{Title: "OPERATOR", Max: 24},
		{Title: "NODE", Max: 16},
		{Title: "VERB"},
		{Title: "OUTCOME"},
		{Title: "TOOK", Right: true},
		{Title: "TARGET", Min: 10},
	}
}

// Name returns "audit".
func (m *Page) Name() action.PageName { return action.PageAudit }

func recordKey(r admin.AuditRecord) string { return strconv.FormatUint(r.Seq, 10) }

func rows(rc page.RenderContext) []widget.Row {
	rs := rc.Snapshot.Audit.Value.Records
	out := make([]widget.Row, 0, len(rs))
	for _, r := range rs {
		out = append(out, row(rc, r))
	}
	return out
}

func exportRow(rc page.RenderContext, key string) []any {
	r, found := findRecord(rc, key)
	if !found {
		return nil
	}
	return exportRecord(r)
}

func exportRecord(r admin.AuditRecord) []any {
	return []any{r.At, r.Name, r.Key, string(r.Role), r.Node, r.Verb, r.Args, r.Outcome, r.Text, r.TookMS, r.ID, r.Seq}
}

func row(rc page.RenderContext, r admin.AuditRecord) widget.Row {
	word, tone := outcomeText(rc, r)
	return widget.Row{Key: recordKey(r), Cells: []widget.Cell{
		widget.Number(float64(r.At), rc.FormatMillis(r.At), "").WithTone(theme.Dim),
		{Text: shortActor(rc, r)},
		{Text: r.Node, Tone: theme.Dim},
		{Text: r.Verb},
		widget.RankedText(outcomeRank(r), word).WithTone(tone), durationCell(r),
		{Text: shortTarget(rc, r.Args)},
	}}
}

// wide is the width from which the list has room for more than the word.
const wide = 100

// shortActor is who acted. Where a user-admin's key and name have no room, the record's own
// view shows them.
func shortActor(rc page.RenderContext, r admin.AuditRecord) string {
	if r.ByUserAdmin() && rc.Width < wide {
		return string(r.Role)
	}
	return r.Actor()
}

const (
	outcomeOK      = "ok"      // the action was done
	outcomeUnknown = "unknown" // no outcome is recorded
)

// outcomeText is the outcome as a glyph and a word.
func outcomeText(rc page.RenderContext, r admin.AuditRecord) (string, theme.Tone) {
	g := rc.Theme.Glyphs
	switch r.Outcome {
	case outcomeOK:
		return g.Healthy + " ok", theme.Good
	case outcomeUnknown, "":
		return g.Unknown + " unknown", theme.Warn
	case string(core.KindFailed), string(core.KindUnavailable):
		return g.Critical + " " + r.Outcome, theme.Bad
	}
	return g.Degraded + " " + strings.ReplaceAll(r.Outcome, "_", " "), theme.Warn
}

// outcomeRank sorts the outcomes that need attention first.
func outcomeRank(r admin.AuditRecord) float64 {
	switch r.Outcome {
	case outcomeUnknown, "":
		return 0
	case string(core.KindFailed), string(core.KindUnavailable):
		return 1
	case outcomeOK:
		return 3
	}
	return 2
}

func durationCell(r admin.AuditRecord) widget.Cell {
	if r.Outcome == outcomeUnknown || r.Outcome == "" {
		return widget.NoNumber()
	}
	if r.TookMS < 1000 {
		return widget.Number(float64(r.TookMS)/1000, strconv.FormatInt(r.TookMS, 10), "ms")
	}
	return widget.AgeCell(time.Duration(r.TookMS) * time.Millisecond)
}

// shortTarget shortens ids and paths. The record's own view shows them in full.
func shortTarget(rc page.RenderContext, args string) string {
	words := strings.Split(args, " ")
	for i, w := range words {
		w = strings.TrimPrefix(w, "id=")
		if id, err := core.ParseUserID(w); err == nil {
			w = widget.TruncateMiddle(rc.Theme, string(id), 11)
		} else if name, value, ok := strings.Cut(w, "="); ok && strings.HasPrefix(value, "/") {
			w = name + "=" + path.Base(value)
		}
		words[i] = w
	}
	return strings.Join(words, " ")
}

func (m *Page) summary(rc page.RenderContext) []string {
	log := rc.Snapshot.Audit.Value
	text := widget.Plural(len(log.Records), "action", "actions") + ", the newest first"
	switch {
	case len(log.Records) >= feed.MaxAudit:
		text += "; `unibusd audit` lists older ones"
	case log.Next != 0:
		text += "; older ones are fetched at the end of the list"
	}
	text += "."
	if st := rc.Snapshot.Status; st.Known() && !st.Value.Clustered {
		text += " This is " + log.Node + "'s own record."
	}
	return append(rc.Paragraph(theme.Plain, text+m.FilterText(rc)), "")
}

func findRecord(rc page.RenderContext, id string) (admin.AuditRecord, bool) {
	rs := rc.Snapshot.Audit.Value.Records
	if i := slices.IndexFunc(rs, func(r admin.AuditRecord) bool { return recordKey(r) == id }); i >= 0 {
		return rs[i], true
	}
	return admin.AuditRecord{}, false
}

func detail(rc page.RenderContext, id string) []string {
	r, found := findRecord(rc, id)
	if !found {
		return nil
	}
	word, tone := outcomeText(rc, r)
	lines := []string{" " + rc.Paint(tone, word) + "  " + rc.Paint(theme.Strong, widget.Sanitize(r.Verb)), ""}
	f := page.LabeledLines{Context: rc, LabelWidth: 8}
	f.Add("when", fmt.Sprintf("%s, %s ago", r.At.Time().In(rc.Now.Location()).Format("2 Jan 2006 15:04:05.000"), widget.FormatAge(rc.AgeOf(r.At))))
	f.Add(byWhom(r))
	f.Add("key", widget.Sanitize(r.Key))
	f.Add("node", widget.Sanitize(r.Node))
	f.Add("target", widget.Sanitize(r.Args))
	f.Add("outcome", outcomeSentence(r))
	f.Add("again", againLines(rc, r))
	f.Add("record", fmt.Sprintf("%s, number %d", widget.Sanitize(r.ID), r.Seq))
	lines = append(lines, f.Lines...)
	if r.Late {
		lines = append(lines, "")
		lines = append(lines, rc.Paragraph(theme.Dim, r.Node+" recorded this locally, because there was no quorum, and added it here later.")...)
	}
	return lines
}

// byWhom is the label and the text that name who acted.
func byWhom(r admin.AuditRecord) (label, text string) {
	if r.ByUserAdmin() {
		return "by", r.Actor() + ", no operator: a user of the bus with the role admin"
	}
	return "operator", widget.Sanitize(fmt.Sprintf("%s (%s)", r.Name, r.Role))
}

// outcomeSentence is the outcome in words.
func outcomeSentence(r admin.AuditRecord) string {
	if r.Outcome == outcomeUnknown || r.Outcome == "" {
		if r.Text != "" {
			return widget.Sanitize(r.Text)
		}
		return "none is recorded: the action is still running, or its node stopped. Check whether it took effect."
	}
	c := durationCell(r)
	text := fmt.Sprintf("%s, took %s %s", strings.ReplaceAll(r.Outcome, "_", " "), c.Text, c.Unit)
	if r.Text != "" {
		text += ": " + widget.GroupCounts(r.Text)
	}
	return widget.Sanitize(text)
}

// HandleKey also requests older records when the cursor reaches the end of the
// list, and repeats what was done.
func (m *Page) HandleKey(rc page.RenderContext, k string) page.KeyResult {
	if k == "r" {
		return m.repeat(rc)
	}
	r := m.List.HandleKey(rc, k)
	if r.Handled && m.OpenID == "" && m.Table.AtEnd() {
		m.oldestNeeded = rc.Snapshot.Audit.Value.Next
	}
	return r
}

// KeyHints also offer to repeat what was done.
func (m *Page) KeyHints(rc page.RenderContext) []page.KeyHint {
	hints := m.List.KeyHints(rc)
	if m.Current() == "" {
		return hints
	}
	return append(hints, page.KeyHint{Key: "r", Does: "repeat"})
}

// Subscription is the audit, as far back as the operator has scrolled.
func (m *Page) Subscription(page.RenderContext) feed.Subscription {
	return feed.Subscription{Audit: true, AuditBefore: m.oldestNeeded}
}

// ClipboardText is the record in one line.
func (m *Page) ClipboardText(rc page.RenderContext) (what, text string) {
	m.RefreshRows(rc)
	r, found := findRecord(rc, m.Current())
	if !found {
		return "", ""
	}
	words := []string{r.At.Time().UTC().Format(time.RFC3339), r.Actor(), r.Node, r.Verb, r.Args, r.Outcome, r.Text}
	return "the record", widget.Sanitize(strings.Join(strings.Fields(strings.Join(words, " ")), " "))
}
