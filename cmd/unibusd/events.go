package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
)

func eventsCommand() *cobra.Command {
	var n network
	var since string
	var follow bool
	var limit int
	var from core.Millis
	c := n.command("events", "Show what happened in the cluster, the newest last", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		h, err := history(ctx, cl.History, from, limit)
		if err != nil {
			return err
		}
		if follow {
			return followHistory(ctx, c, cl.History, h, n.json)
		}
		if n.json {
			return cli.PrintJSON(c.OutOrStdout(), newHistoryDocument(h))
		}
		printHistory(c, h)
		return nil
	})
	show := c.RunE
	c.RunE = func(c *cobra.Command, args []string) (err error) { // bad values are refused before a connection is made
		if limit < 1 {
			return core.Errorf(core.KindInvalid, "--limit is %d", limit).WithNext("give a number of at least 1")
		}
		if from, err = parseMoment("--since", since, time.Now(), 0); err != nil {
			return err
		}
		return show(c, args)
	}
	c.Long = "events shows incidents, each with its beginning, its end and the lines it is made of, and the other events:\n" +
		"what operators did, elections, migrations. The cluster keeps them for 90 days, or 8 MiB. A node without a quorum shows what\n" +
		"it knows, and says so. With --follow and --json each line is one JSON document; an incident comes again when it has changed."
	c.Flags().StringVar(&since, "since", "", "only what happened since this TIME (UTC): 2027-01-31, 2027-01-31T17:00:00Z, or 2h or 7d ago")
	c.Flags().BoolVar(&follow, "follow", false, "go on with what happens from now on, until it is interrupted")
	c.Flags().IntVar(&limit, "limit", 50, "show at most this many incidents and other lines")
	return c
}

// historyPages returns a page of the history.
type historyPages func(context.Context, admin.HistoryRequest) (admin.History, error)

// history reads the newest entries, page by page, and returns them oldest first.
func history(ctx context.Context, from historyPages, since core.Millis, limit int) (admin.History, error) {
	var all admin.History
	for q := (admin.HistoryRequest{Since: since}); ; {
		q.Limit = limit - len(all.Entries)
		page, err := from(ctx, q)
		if err != nil {
			return all, err
		}
		if q.Before == 0 {
			all.Node, all.Note, all.Last = page.Node, page.Note, page.Last
		}
		all.Entries = append(all.Entries, page.Entries...)
		if page.Next == 0 || len(all.Entries) >= limit {
			break
		}
		q.Before = page.Next
	}
	all.Entries = all.Entries[:min(limit, len(all.Entries))]
	slices.Reverse(all.Entries)
	slices.SortStableFunc(all.Entries, func(a, b admin.HistoryEntry) int { return cmp.Compare(a.At, b.At) }) // some are recorded late
	return all, nil
}

// followEvery is how often a node is asked for what is new.
const followEvery = time.Second

// followHistory prints what was there, and then what is new, until ctx ends.
func followHistory(ctx context.Context, c *cobra.Command, from historyPages, h admin.History, asJSON bool) error {
	out := historyPrinter{out: c.OutOrStdout(), json: asJSON, shown: map[string]bool{}}
	said := ""
	after := h.Last
	for {
		if h.Note != said {
			if said = h.Note; said != "" {
				c.PrintErrln(said)
			}
		}
		for _, e := range h.Entries {
			if e.Unrecorded && h.Note == "" {
				continue // it comes again in a moment, as it is recorded
			}
			if err := out.print(e); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
		page, err := from(ctx, admin.HistoryRequest{After: max(1, after)})
		switch {
		case ctx.Err() != nil:
			return nil
		case core.KindOf(err) == core.KindUnavailable: // the client goes on with the next node
			h = admin.History{Note: "No node answers just now: events are shown as soon as one does."}
		case err != nil:
			return err
		default:
			h, after = page, max(after, page.Last)
		}
	}
}

// historyPrinter prints each entry once in each of its states.
type historyPrinter struct {
	out   io.Writer
	json  bool
	shown map[string]bool
}

// maxShown bounds what is remembered: far more than comes twice.
const maxShown = 10_000

func (p *historyPrinter) print(e admin.HistoryEntry) error {
	key := fmt.Sprint(e.At)
	switch {
	case e.Incident != nil:
		key = fmt.Sprint(e.Incident.ID, e.Incident.Times, e.Incident.End)
	case e.Event != nil:
		key += e.Event.About + e.Event.Text
	}
	if p.json && e.Incident != nil {
		key += fmt.Sprint(e.Updated)
	}
	if p.shown[key] {
		return nil
	}
	if len(p.shown) > maxShown {
		clear(p.shown)
	}
	p.shown[key] = true
	if p.json {
		return json.NewEncoder(p.out).Encode(newHistoryLine(e))
	}
	for _, line := range historyRows(e) {
		if _, err := fmt.Fprintln(p.out, cli.Row(p.out, historyWidths(), line...)); err != nil {
			return err
		}
	}
	return nil
}

func historyWidths() []int { return []int{len(time.DateTime), len(cluster.Critical)} }

func printHistory(c *cobra.Command, h admin.History) {
	if len(h.Entries) == 0 {
		c.Println("Nothing has happened in this time.")
	} else {
		c.Println(cli.Row(c.OutOrStdout(), historyWidths(), "TIME (UTC)", "LEVEL", "WHAT HAPPENED"))
	}
	for _, e := range h.Entries {
		for _, line := range historyRows(e) {
			c.Println(cli.Row(c.OutOrStdout(), historyWidths(), line...))
		}
	}
	if h.Note != "" {
		c.Println(h.Note)
	}
}

// historyRows are the lines of an entry: an incident has those that it is made of below it.
func historyRows(e admin.HistoryEntry) [][]string {
	at := e.At.Time().Format(time.DateTime)
	note := ""
	if e.Unrecorded {
		note = " (not recorded yet)"
	}
	switch {
	case e.Event != nil:
		return [][]string{{at, string(e.Event.Level), lineText(*e.Event) + note}}
	case e.Dropped != nil:
		return [][]string{{at, string(cluster.Note), fmt.Sprintf("%d lines and %d incidents until %s could not be recorded, and are lost.", e.Dropped.Lines, e.Dropped.Incidents, e.Dropped.To.Time().Format(time.RFC3339))}}
	}
	i := e.Incident
	rows := [][]string{{at, string(i.Level), text(new(i.Sentence())) + note}}
	for n, l := range i.Lines {
		if i.LeftOut > 0 && n == len(i.Lines)/2 {
			rows = append(rows, []string{"", "", fmt.Sprintf("  … %d lines are left out", i.LeftOut)})
		}
		rows = append(rows, []string{l.At.Time().Format(time.DateTime), string(l.Level), "  " + lineText(l)})
	}
	return rows
}

func lineText(e cluster.Event) string { return text(new(e.About + " " + e.Text)) }

// historyDocument is the history as JSON. Its times have a zone.
type historyDocument struct {
	Node   string        `json:"node"`
	Note   string        `json:"note,omitempty"` // why something may be missing
	Events []historyLine `json:"events"`         // oldest first
}

type historyLine struct {
	Kind       string         `json:"kind"` // incident, line or dropped
	At         time.Time      `json:"at"`
	Level      cluster.Level  `json:"level,omitempty"`
	About      string         `json:"about,omitempty"`
	Text       string         `json:"text"`
	ID         string         `json:"id,omitempty"`
	Begin      *time.Time     `json:"begin,omitempty"`
	End        *time.Time     `json:"end,omitempty"` // none while it is open
	Open       bool           `json:"open,omitempty"`
	Cause      string         `json:"cause,omitempty"`
	Subjects   []string       `json:"subjects,omitempty"`
	Times      int            `json:"times,omitempty"`
	Replicas   int            `json:"replicas,omitempty"`
	Elections  int            `json:"elections,omitempty"`
	Lines      []incidentLine `json:"lines,omitempty"`
	LeftOut    int            `json:"lines_left_out,omitempty"`
	RecordedBy string         `json:"recorded_by"`
	Unrecorded bool           `json:"unrecorded,omitempty"`
}

type incidentLine struct {
	At    time.Time     `json:"at"`
	Level cluster.Level `json:"level"`
	About string        `json:"about"`
	Text  string        `json:"text"`
}

func newHistoryDocument(h admin.History) historyDocument {
	doc := historyDocument{Node: h.Node, Note: h.Note, Events: []historyLine{}}
	for _, e := range h.Entries {
		doc.Events = append(doc.Events, newHistoryLine(e))
	}
	return doc
}

func newHistoryLine(e admin.HistoryEntry) historyLine {
	l := historyLine{At: e.At.Time(), RecordedBy: e.Node, Unrecorded: e.Unrecorded}
	switch {
	case e.Event != nil:
		l.Kind, l.Level, l.About, l.Text = "line", e.Event.Level, e.Event.About, e.Event.Text
	case e.Dropped != nil:
		l.Kind, l.Begin, l.End = "dropped", new(e.Dropped.From.Time()), new(e.Dropped.To.Time())
		l.Text = fmt.Sprintf("%d lines and %d incidents could not be recorded, and are lost", e.Dropped.Lines, e.Dropped.Incidents)
	default:
		l.addIncident(*e.Incident)
	}
	return l
}

func (l *historyLine) addIncident(i cluster.Incident) {
	l.Kind, l.ID, l.Level, l.Text, l.Begin, l.Open = "incident", i.ID, i.Level, i.Sentence(), new(i.Begin.Time()), i.IsOpen()
	if !i.IsOpen() {
		l.End = new(i.End.Time())
	}
	l.Cause, l.Subjects, l.Times, l.Replicas, l.Elections, l.LeftOut = i.Cause, i.Subjects, i.Times, i.Replicas, i.Elections, i.LeftOut
	for _, e := range i.Lines {
		l.Lines = append(l.Lines, incidentLine{e.At.Time(), e.Level, e.About, e.Text})
	}
}
