package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// ReportDocument is a report for programs: the status with what is computed from
// it.
type ReportDocument struct {
	Status
	Timeline []StateDuration `json:"stays"`   // the timeline, with how long each state took
	TookMS   int64           `json:"took_ms"` // backup, copy and verify, to compare with estimate_ms; 0: not known yet
	Made     core.Millis     `json:"made"`
}

// SaveReport writes the report to a new file that only its owner can read, as JSON
// or as text. KindExists if the file exists: it is never overwritten.
func (s Status) SaveReport(file string, asJSON bool, now time.Time) error {
	body := []byte(s.Report(now))
	if asJSON {
		doc, err := json.MarshalIndent(s.ReportDocument(now), "", "  ")
		if err != nil {
			return core.Errorf(core.KindFailed, "the report could not be made: %w", err)
		}
		body = append(doc, '\n')
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return core.Errorf(core.KindExists, "%s exists already and is not overwritten", file).WithNext("name another file")
	case err == nil:
		_, err = f.Write(body)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "the report could not be written: %w", err).
			WithNext("name a file in a directory that you may write to")
	}
	return nil
}

// ReportDocument is the report for programs.
func (s Status) ReportDocument(now time.Time) ReportDocument {
	return ReportDocument{Status: s, Timeline: s.Timeline(core.MillisOf(now)), TookMS: s.WorkDuration().Milliseconds(), Made: core.MillisOf(now)}
}

// report is a text under construction.
type report struct{ strings.Builder }

func (r *report) line(name, format string, args ...any) {
	fmt.Fprintf(r, "%-10s %s\n", name, fmt.Sprintf(format, args...))
}

func (r *report) item(format string, args ...any) { fmt.Fprintf(r, "  "+format+"\n", args...) }

func (r *report) head(format string, args ...any) { fmt.Fprintf(r, "\n"+format+"\n", args...) }

// Report is the status as text that an operator can read and save: the migrated rows,
// their source, the duration, the comparisons and their differences.
func (s Status) Report(now time.Time) string {
	var r report
	r.WriteString("unibus: report of a migration from SQLite to KV\n\n")
	s.reportState(&r, now)
	s.reportFiles(&r)
	s.reportOptions(&r)
	s.reportTimeline(&r, now)
	s.reportProgress(&r)
	reportProblems(&r, "problems", s.Problems)
	reportProblems(&r, "notes", s.Notes)
	for _, d := range s.Divergences {
		d.report(&r, s.Node)
	}
	for _, p := range s.Buckets {
		if len(p.Nodes) > 0 || !s.Active() { // before verify nothing was compared
			p.report(&r)
		}
	}
	return r.String()
}

func (s Status) reportState(r *report, now time.Time) {
	r.line("state", "%s%s", s.State, s.stateSuffix())
	if s.ID != "" {
		r.line("migration", "%s, started %s by %s on %s", s.ID, formatTime(s.Started), s.By, s.Node)
		r.line("updated", "%s", formatTime(s.Updated))
		r.line("written", "%s put or removed by the last run", s.writtenKeys())
	}
	if !s.ResultIsCurrent() {
		r.line("means", "%s", s.Sentence())
	}
	if s.Result != "" {
		r.line("result", "%s", s.Result)
	}
	if len(s.UnreadyNodes) > 0 && s.Active() {
		r.line("reading", "%s: after a cutover they serve once all rows are in memory", strings.Join(s.UnreadyNodes, ", "))
	}
	if s.Error != nil {
		r.line("error", "%s", s.Error.Text)
		if s.Error.Next != "" {
			r.line("do", "%s", s.Error.Next)
		}
	}
	r.line("report", "made %s", formatTime(core.MillisOf(now)))
}

// writtenKeys is how many keys were put or removed, as far as that is known.
func (s Status) writtenKeys() string {
	if s.WrittenIsMinimum {
		return "at least " + count(s.Written, "key")
	}
	return count(s.Written, "key")
}

func (s Status) stateSuffix() string {
	switch {
	case s.Paused:
		return ", paused"
	case s.Error != nil:
		return ", stopped"
	case s.State == StateVerify && s.Verified && !s.Running:
		return ", equal everywhere, waiting for the cutover"
	}
	return ""
}

func (s Status) reportFiles(r *report) {
	if s.Source.Path != "" {
		r.line("source", "%s, %d bytes, schema %d", s.Source.Path, s.Source.Bytes, s.Source.Schema)
	}
	for _, f := range []struct {
		name string
		Backup
	}{{"backup", s.Backup}, {"export", s.Export}} {
		if f.Path != "" {
			r.line(f.name, "%s, %d bytes", f.Path, f.Bytes)
			r.line("", "sha256 %s", f.SHA256)
		}
	}
}

func (s Status) reportOptions(r *report) {
	if s.ID == "" && s.Options.DB == "" {
		return
	}
	r.line("options", "%s", strings.Join(s.optionTexts(), ", "))
	if s.EstimateMS > 0 {
		real := "not known yet"
		if t := s.WorkDuration(); t > 0 {
			real = formatDuration(t)
		}
		r.line("estimate", "%s for backup, copy and verify; real: %s", formatDuration(time.Duration(s.EstimateMS)*time.Millisecond), real)
	}
}

// optionTexts are the options in words.
func (s Status) optionTexts() []string {
	o := s.Options
	out := []string{"replicas as they are", "no rate limit", "backup kept"}
	if o.Replicas > 0 {
		out[0] = count(o.Replicas, "replica")
	}
	if o.Rate > 0 {
		out[1] = fmt.Sprintf("at most %d rows a second", o.Rate)
	}
	if o.NoBackup {
		out[2] = "temporary copy, no backup"
	}
	if s.WillCutOver() {
		out = append(out, "cutover without waiting")
	}
	if o.DryRun {
		out = append(out, "dry run")
	}
	if len(o.IgnoredNodes) > 0 {
		out = append(out, "ignored: the files of "+strings.Join(o.IgnoredNodes, ", "))
	}
	if len(o.Ignored) > 0 {
		out = append(out, "left behind: "+strings.Join(o.Ignored, ", "))
	}
	return out
}

func (s Status) reportTimeline(r *report, now time.Time) {
	if len(s.History) == 0 {
		return
	}
	r.head("timeline")
	for i, p := range s.History {
		took := ""
		switch {
		case i+1 < len(s.History):
			took = formatDuration(between(p.At, s.History[i+1].At))
		case !s.HasEnded():
			took = formatDuration(between(p.At, core.MillisOf(now))) + " so far"
		}
		r.item("%s  %-10s %s", formatTime(p.At), p.State, took)
		if at := s.ComparedAt; p.State == StateVerify && at >= p.At && (i+1 == len(s.History) || at <= s.History[i+1].At) {
			r.item("%s  %-10s after %s", formatTime(at), "- equal", formatDuration(between(p.At, at)))
		}
	}
}

func (s Status) reportProgress(r *report) {
	if !s.Active() || len(s.Progress) == 0 {
		return
	}
	r.head("progress")
	for _, p := range s.Progress {
		r.item("%-16s %8d of %d", p.Table, p.Done, p.Total)
	}
	if s.Rate > 0 {
		r.item("%.0f rows a second, about %s left", s.Rate, formatDuration(time.Duration(s.LeftMS)*time.Millisecond))
	}
}

func reportProblems(r *report, title string, all []core.Problem) {
	if len(all) == 0 {
		return
	}
	r.head("%s (%d)", title, len(all))
	for _, p := range all {
		r.item("%s", p.TextWithRow())
		if p.Next != "" {
			r.item("  do: %s", p.Next)
		}
	}
}

func (d Divergence) report(r *report, source string) {
	choice := ""
	switch {
	case d.Equal():
		choice = ": holds the same rows"
	case d.Ignored:
		choice = ": ignored, as the operator chose"
	}
	r.head("the SQLite file of %s, %s%s", d.Node, d.File, choice)
	if d.Error != "" {
		r.item("not compared completely: %s", d.Error)
	}
	for _, t := range d.Tables {
		if t.Equal() {
			continue
		}
		r.item("%-12s %d only on %s, %d only on %s, %d different", t.Table, t.OnlyHere, source, t.OnlyThere, d.Node, t.Different)
		for _, k := range t.Keys {
			r.item("  %s", k)
		}
	}
}

func (p Parity) report(r *report) {
	r.head("%s", p.Name)
	r.item("%-12s %8d  %s", "source", p.Source.Count, p.Source.SHA256)
	if len(p.Nodes) == 0 {
		r.item("%-12s", "not compared")
	}
	for _, n := range slices.Sorted(maps.Keys(p.Nodes)) {
		word := "equal"
		if p.Nodes[n] != p.Source {
			word = "differs"
		}
		r.item("%-12s %8d  %s  %s", n, p.Nodes[n].Count, p.Nodes[n].SHA256, word)
	}
	if p.Changed > 0 {
		r.item("%-12s %8d  between verify and fence, compared by value on every node", "changed", p.Changed)
	}
	for _, l := range []struct {
		name string
		keys []string
	}{{"missing", p.Missing}, {"different", p.Different}, {"extra", p.Extra}} {
		for _, k := range l.keys {
			r.item("%-12s %s", l.name, k)
		}
		if len(l.keys) == MaxListed {
			r.item("%-12s only the first %d are listed", "", MaxListed)
		}
	}
}

func between(a, b core.Millis) time.Duration { return time.Duration(max(0, b-a)) * time.Millisecond }

// formatDuration formats a duration without needless digits: 0.4 s, 4 m 5 s, 3 h
// 12 m.
func formatDuration(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	d = d.Round(time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%d m %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d m", int(d.Hours()), int(d.Minutes())%60)
}

func formatTime(m core.Millis) string {
	if m == 0 {
		return "never"
	}
	return m.Time().UTC().Format(time.DateTime) + " UTC"
}
