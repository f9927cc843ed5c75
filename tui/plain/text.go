package plain

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/tui/widget"
)

// width is where sentences are wrapped.
const width = 80

// Text writes a status for people: the verdict, what to do, then the figures,
// and where a move stands; one whose state is empty is not known.
func Text(w io.Writer, s admin.Status, m migrate.Status) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "%s: %s\n", s.Cluster, s.Verdict)
	prose(b, s.Sentence, "")
	if s.Do != "" {
		prose(b, "Do: "+s.Do, "")
	}
	facts(b, s)
	move(b, s, m)
	if err := nodes(b, s.View); err != nil {
		return err
	}
	if err := groups(b, s.View); err != nil {
		return err
	}
	findings(b, s.Findings)
	return b.Flush()
}

func prose(w io.Writer, text, indent string) {
	for i, l := range widget.Wrap(widget.Clean(text), width-len(indent)) {
		if i > 0 {
			l = indent + l
		}
		fmt.Fprintln(w, l)
	}
}

func facts(w io.Writer, s admin.Status) {
	fmt.Fprintln(w)
	fmt.Fprintf(w, "seen from      %s at %s\n", s.From, s.At.Time().Format("2006-01-02 15:04:05 MST"))
	fmt.Fprintf(w, "meta group     %s\n", metaLine(s.View))
	fmt.Fprintf(w, "control plane  %s\n", control(s.View))
}

// move says where a move stands: its state and since when, what that means, how far it is and what to do.
func move(w io.Writer, s admin.Status, m migrate.Status) {
	const indent = "               "
	switch {
	case m.State == "" && s.Moving != "":
		fmt.Fprintf(w, "move           %s\n", s.Moving)
		return
	case m.State == "" || m.State == migrate.StateNone:
		return
	}
	since := ""
	if m.Since != 0 {
		since = ", since " + m.Since.Time().Format("2006-01-02 15:04:05 MST")
	}
	fmt.Fprintf(w, "move           %s%s\n", m.State, since)
	under := func(text string) {
		for _, l := range widget.Wrap(widget.Clean(text), width-len(indent)) {
			fmt.Fprintln(w, indent+l)
		}
	}
	if s.Away(m.Node) && !m.HasEnded() {
		under(m.Node + " does the move and does not answer. This is what it wrote down last.")
		under("Do: start unibusd on " + m.Node)
	} else {
		under(m.Sentence())
	}
	if done, total := m.CopiedRows(); total > 0 && (m.State == migrate.StateCopy || m.State == migrate.StateRollback) {
		under(fmt.Sprintf("%s of %s rows%s.", widget.Count(done), widget.Count(total), left(m)))
	}
	if e := m.Error; e != nil && !m.HasEnded() {
		under(e.Text)
		if e.Next != "" {
			under("Do: " + e.Next)
		}
	}
}

func left(m migrate.Status) string {
	if m.LeftMS == 0 {
		return ""
	}
	return ", about " + widget.Span(time.Duration(m.LeftMS)*time.Millisecond) + " left"
}

func metaLine(v cluster.View) string {
	if !v.Clustered {
		return "none, one node alone"
	}
	lead := "no leader"
	if v.Meta.Leader != "" {
		lead = v.Meta.Leader + " leads"
	}
	return fmt.Sprintf("%s, %d of %d online, %d needed", lead, v.Meta.Online, v.Meta.Size, v.Meta.Needed)
}

func control(v cluster.View) string {
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

func nodes(w io.Writer, v cluster.View) error {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tSTATE\tHEARD\tMETA\tSERVES\tCLIENTS")
	for _, n := range v.Nodes {
		state, serves, clients := "online", "unknown", fmt.Sprint(n.Conns)
		if !n.Online {
			state, clients = "away", "-"
		}
		if n.Info != nil && n.Online {
			serves = string(n.Info.Serving.Backend)
		}
		heard := "never"
		if n.HeardMS >= 0 {
			heard = widget.Age(time.Duration(n.HeardMS)*time.Millisecond) + " ago"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", n.Name, state, heard, dash(n.Meta), serves, clients)
	}
	return t.Flush()
}

func groups(w io.Writer, v cluster.View) error {
	all := slices.Concat(v.Buckets, v.Mechanism)
	if len(all) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "BUCKET\tREPLICAS\tLEADER\tKEYS\tSTATE")
	for _, b := range all {
		fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%s\n", b.Name, b.Wanted, dash(b.Leader), b.Keys, replicas(b))
	}
	return t.Flush()
}

func replicas(b cluster.Bucket) string {
	var parts []string
	for _, r := range b.Replicas {
		text := r.Node + " " + string(r.State)
		if r.Lag > 0 {
			text += fmt.Sprintf(" by %d", r.Lag)
		}
		parts = append(parts, text)
	}
	return dash(strings.Join(parts, ", "))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return widget.Clean(s)
}

func findings(w io.Writer, fs []cluster.Finding) {
	if len(fs) == 0 {
		return
	}
	fmt.Fprintln(w)
	for _, f := range fs {
		prose(w, fmt.Sprintf("%s, %s: %s", f.Level, f.About, f.Text), "  ")
		if f.Next != "" {
			prose(w, "  Do: "+f.Next, "  ")
		}
	}
}
