package plain

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/tui/widget"
)

// lineWidth is the column at which sentences are wrapped.
const lineWidth = 80

// Text writes the status for people: the verdict, the next step, the migration,
// then tables. An m without a state is not known.
func Text(w io.Writer, s admin.Status, m migrate.Status) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "%s: %s\n", s.Cluster, s.Verdict)
	writeParagraph(b, s.Sentence, "")
	if s.Do != "" {
		writeParagraph(b, "Do: "+s.Do, "")
	}
	writeFacts(b, s)
	writeMigration(b, s, m)
	if err := writeNodes(b, s.View); err != nil {
		return err
	}
	if err := writeBuckets(b, s.View); err != nil {
		return err
	}
	writeFindings(b, s.Findings)
	return b.Flush()
}

func writeParagraph(w io.Writer, text, indent string) {
	for i, l := range widget.Wrap(widget.Sanitize(text), lineWidth-len(indent)) {
		if i > 0 {
			l = indent + l
		}
		fmt.Fprintln(w, l)
	}
}

func writeFacts(w io.Writer, s admin.Status) {
	fmt.Fprintln(w)
	fmt.Fprintf(w, "seen from      %s at %s\n", s.From, s.At.Time().Format("2006-01-02 15:04:05 MST"))
	fmt.Fprintf(w, "meta group     %s\n", metaGroupText(s.View))
	fmt.Fprintf(w, "control plane  %s\n", controlPlaneText(s.View))
}

// writeMigration writes the state, its meaning, the progress and the next step.
func writeMigration(w io.Writer, s admin.Status, m migrate.Status) {
	const indent = "               "
	switch {
	case m.State == "" && s.Moving != "":
		fmt.Fprintf(w, "migration      %s\n", s.Moving)
		return
	case m.State == "" || m.State == migrate.StateNone:
		return
	}
	since := ""
	if m.Since != 0 {
		since = ", since " + m.Since.Time().Format("2006-01-02 15:04:05 MST")
	}
	fmt.Fprintf(w, "migration      %s%s\n", m.State, since)
	writeLine := func(text string) {
		for _, l := range widget.Wrap(widget.Sanitize(text), lineWidth-len(indent)) {
			fmt.Fprintln(w, indent+l)
		}
	}
	if s.IsSilent(m.Node) && !m.HasEnded() {
		writeLine(m.Node + " runs the migration and does not answer. This is its last report.")
		writeLine("Do: start unibusd on " + m.Node)
	} else {
		writeLine(m.Sentence())
	}
	if done, total := m.CopiedRows(); total > 0 && (m.State == migrate.StateCopy || m.State == migrate.StateRollback) {
		writeLine(fmt.Sprintf("%s of %s rows%s.", widget.FormatCount(done), widget.FormatCount(total), timeLeft(m)))
	}
	if e := m.Error; e != nil && !m.HasEnded() {
		writeLine(e.Text)
		if e.Next != "" {
			writeLine("Do: " + e.Next)
		}
	}
}

func timeLeft(m migrate.Status) string {
	if m.LeftMS == 0 {
		return ""
	}
	return ", about " + widget.FormatDuration(time.Duration(m.LeftMS)*time.Millisecond) + " left"
}

func metaGroupText(v cluster.View) string {
	if !v.Clustered {
		return "none: a single node"
	}
	lead := "no leader"
	if v.Meta.Leader != "" {
		lead = v.Meta.Leader + " leads"
	}
	return fmt.Sprintf("%s, %d of %d online, %d needed", lead, v.Meta.Online, v.Meta.Size, v.Meta.Needed)
}

func controlPlaneText(v cluster.View) string {
	text := string(v.Serving.Backend)
	if a := v.Authority; a != nil && a.Backend != core.BackendNone {
		text = fmt.Sprintf("%s, generation %d", a.Backend, a.Generation)
		if a.Backend == core.BackendSQLite {
			text += ", on " + a.Node
		}
	}
	if c := v.Counts; c != nil {
		text += fmt.Sprintf("; %s, %s, %s", widget.Plural(c.Users, "user", "users"), widget.Plural(c.Rooms, "room", "rooms"), widget.Plural(c.Members, "member", "members"))
	}
	return text
}

func writeNodes(w io.Writer, v cluster.View) error {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tSTATE\tHEARD\tMETA\tSERVES\tCLIENTS\tFREE")
	for _, n := range v.Nodes {
		state, serves, clients := "online", "unknown", fmt.Sprint(n.Conns)
		if !n.Online {
			state, clients = "down", "-"
		} else if n.Off {
			state = "JetStream off"
		}
		if n.Info != nil && n.Online {
			serves = n.Info.Serving.Backend.Served()
		}
		heard := "never"
		if n.HeardMS >= 0 {
			heard = widget.FormatAge(time.Duration(n.HeardMS)*time.Millisecond) + " ago"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", n.Name, state, heard, orDash(n.Meta), serves, clients, freeText(n))
	}
	return t.Flush()
}

// freeText is what each file system of a node has free.
func freeText(n cluster.Node) string {
	if !n.Online || n.Info == nil || n.Info.DiskComparison == nil {
		return "-"
	}
	var parts []string
	for _, d := range n.Info.DiskComparison.Disks {
		parts = append(parts, widget.FormatSize(d.Free))
	}
	return orDash(strings.Join(parts, ", "))
}

func writeBuckets(w io.Writer, v cluster.View) error {
	buckets := v.AllBuckets()
	if len(buckets) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "BUCKET\tREPLICAS\tLEADER\tKEYS\tSTATE")
	for _, b := range buckets {
		fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%s\n", b.Name, b.Wanted, orDash(b.Leader), b.Keys, replicasText(b))
	}
	return t.Flush()
}

func replicasText(b cluster.Bucket) string {
	var parts []string
	for _, r := range b.Replicas {
		text := r.Node + " " + string(r.State)
		if r.Lag > 0 {
			text += fmt.Sprintf(" by %d", r.Lag)
		}
		parts = append(parts, text)
	}
	return orDash(strings.Join(parts, ", "))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return widget.Sanitize(s)
}

func writeFindings(w io.Writer, fs []cluster.Finding) {
	if len(fs) == 0 {
		return
	}
	fmt.Fprintln(w)
	for _, f := range fs {
		writeParagraph(w, fmt.Sprintf("%s, %s: %s", f.Level, f.About, f.Text), "  ")
		if f.Next != "" {
			writeParagraph(w, "  Do: "+f.Next, "  ")
		}
	}
}
