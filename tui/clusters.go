package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/feed"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Clusters are the clusters that the operator has given names, and the way to them.
type Clusters interface {
	Known() []KnownCluster
	// Status asks a cluster once, and leaves no connection.
	Status(ctx context.Context, name string) (admin.Status, error)
	// Open returns at once, also where no node answers yet.
	Open(name string) (OpenCluster, error)
}

// KnownCluster is a cluster with a name of the operator's.
type KnownCluster struct {
	Name    string // of the context
	Servers []string
	From    string // the file that names it
	Color   string // of its name on the screen; "": by the cluster's name
}

// OpenCluster is the connection to a cluster.
type OpenCluster struct {
	Client Client
	Flags  string // as in Config
	Color  string
	Close  func()
	Notice string // what there is to say of the connection, "" for nothing
}

const probeTimeout = 5 * time.Second

// switcher lists the known clusters with their verdicts, instead of the page.
type switcher struct {
	known     []KnownCluster
	answers   map[string]probe
	selected  int
	switching string // the cluster that is being opened
	problem   *core.Error
}

// probe is what a cluster has answered.
type probe struct {
	status admin.Status
	err    *core.Error
}

type probedMsg struct {
	switcher *switcher
	name     string
	probe    probe
}

type openedMsg struct {
	switcher *switcher
	name     string
	opened   OpenCluster
	err      error
}

// showClusters opens the switcher, or switches at once to the cluster that is named.
func (m *Model) showClusters(name string) tea.Cmd {
	if m.refuseSecondAction() {
		return nil
	}
	if m.exporting != nil {
		m.showToast(theme.Warn, "An export is running: esc ends it.")
		return nil
	}
	s := &switcher{answers: map[string]probe{}}
	if m.cfg.Clusters != nil {
		s.known = m.cfg.Clusters.Known()
	}
	s.selected = max(0, slices.IndexFunc(s.known, func(k KnownCluster) bool { return k.Name == m.cfg.Context }))
	if name != "" {
		i := slices.IndexFunc(s.known, func(k KnownCluster) bool { return k.Name == name })
		if i < 0 {
			m.showToast(theme.Warn, "There is no context \""+name+"\". :context lists them.")
			return nil
		}
		s.selected = i
	}
	m.closeGuide()
	m.help, m.clusters = nil, s
	if name != "" {
		return m.openSelected()
	}
	return m.probeClusters()
}

// probeClusters asks every known cluster but the present one, each by itself: one that hangs delays no other.
func (m *Model) probeClusters() tea.Cmd {
	var cmds []tea.Cmd
	s, source := m.clusters, m.cfg.Clusters
	s.answers = map[string]probe{}
	for _, k := range s.known {
		if k.Name == m.cfg.Context {
			continue
		}
		cmds = append(cmds, func() tea.Msg {
			ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
			defer cancel()
			st, err := source.Status(ctx, k.Name)
			return probedMsg{switcher: s, name: k.Name, probe: probe{status: st, err: core.AsError(err)}}
		})
	}
	return tea.Batch(cmds...)
}

// handleClustersMsg takes an answer, unless the switcher that asked was closed.
func (m *Model) handleClustersMsg(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case probedMsg:
		msg.switcher.answers[msg.name] = msg.probe
	case openedMsg:
		if msg.switcher != m.clusters || m.running != nil || m.exporting != nil {
			return closeLater(msg.opened.Close)
		}
		if msg.err != nil {
			m.clusters.switching, m.clusters.problem = "", core.AsError(msg.err)
			return nil
		}
		return m.switchTo(msg.name, msg.opened)
	}
	return nil
}

func closeLater(f func()) tea.Cmd {
	if f == nil {
		return nil
	}
	return func() tea.Msg {
		f()
		return nil
	}
}

// switchTo makes a new model for another cluster. Nothing of the old one is kept but what is about the
// terminal and the operator, so that no figure, selection or guide of it can be taken for the new one's.
func (m *Model) switchTo(name string, o OpenCluster) tea.Cmd {
	closeOld := m.cfg.Close
	cfg := m.cfg
	cfg.Notice = o.Notice
	cfg.Client, cfg.Flags, cfg.Color, cfg.Close, cfg.Context = o.Client, o.Flags, o.Color, o.Close, name
	next := New(cfg)
	next.width, next.height, next.measuresClusters = m.width, m.height, m.measuresClusters
	next.themeChoice, next.lightBackground, next.colorProfile = m.themeChoice, m.lightBackground, m.colorProfile
	next.noColor, next.localeIsASCII = m.noColor, m.localeIsASCII
	next.mouse = m.mouse
	next.history, next.feeds = m.history, m.feeds
	next.bell.off, next.bell.notifies = m.bell.off, m.bell.notifies
	next.applyTheme()
	*m = *next
	select {
	case <-m.feeds: // one that was never run
	default:
	}
	m.feeds <- m.feed
	return closeLater(closeOld)
}

// RunFeed polls the cluster until ctx ends, and another one after the operator switched to that.
func (m *Model) RunFeed(ctx context.Context) { runFeeds(ctx, m.feed, m.feeds) }

func runFeeds(ctx context.Context, current *feed.Feed, feeds <-chan *feed.Feed) {
	for ctx.Err() == nil {
		feedCtx, stop := context.WithCancel(ctx)
		go current.Run(feedCtx)
		select {
		case <-ctx.Done():
		case current = <-feeds:
		}
		stop()
	}
}

// handleClustersKey moves, switches and leaves.
func (m *Model) handleClustersKey(key string) tea.Cmd {
	s := m.clusters
	switch key {
	case "esc", "q":
		m.clusters = nil
	case "up", "k":
		s.selected = max(0, s.selected-1)
	case "down", "j":
		s.selected = max(0, min(len(s.known)-1, s.selected+1))
	case "r":
		return m.probeClusters()
	case "enter":
		return m.openSelected()
	}
	return nil
}

// openSelected opens the selected cluster outside of Update.
func (m *Model) openSelected() tea.Cmd {
	s, source := m.clusters, m.cfg.Clusters
	if s.selected >= len(s.known) || s.switching != "" {
		return nil
	}
	name := s.known[s.selected].Name
	if name == m.cfg.Context {
		m.clusters = nil
		return nil
	}
	s.switching, s.problem = name, nil
	return func() tea.Msg {
		o, err := source.Open(name)
		return openedMsg{switcher: s, name: name, opened: o, err: err}
	}
}

// clustersView draws the switcher.
func (m *Model) clustersView(w, h int) string {
	s, t := m.clusters, m.theme
	lines := []string{" " + t.Paint(theme.Strong, "Clusters"), ""}
	if len(s.known) == 0 {
		for _, l := range widget.Wrap("No cluster has a name yet. A context of the nats CLI is one, and so is a table [contexts.NAME] of the settings file; `unibus-tui config` names that file.", w-4) {
			lines = append(lines, "   "+t.Paint(theme.Dim, l))
		}
		return widget.Fit(t, strings.Join(lines, "\n"), w, h)
	}
	width := 8
	for _, k := range s.known {
		width = min(24, max(width, widget.Width(k.Name)))
	}
	lines = append(lines, "   "+t.Paint(theme.Dim, widget.PadRight("CONTEXT", width)+"  VERDICT"))
	first := max(0, min(s.selected-(h-8)/2, len(s.known)-(h-8)))
	for i := first; i < min(len(s.known), first+max(1, h-8)); i++ {
		lines = append(lines, m.clusterLine(i, width, w))
	}
	k := s.known[min(s.selected, len(s.known)-1)]
	lines = append(lines, "", "   "+t.Paint(theme.Dim, widget.Truncate(t, widget.Sanitize(strings.Join(k.Servers, ", ")+"   from "+k.From), w-4)))
	lines = append(lines, m.switchingLines(w)...)
	return widget.Fit(t, strings.Join(lines, "\n"), w, h)
}

func (m *Model) switchingLines(w int) (lines []string) {
	s, t := m.clusters, m.theme
	switch {
	case s.problem != nil:
		for _, l := range widget.Wrap(widget.Sanitize("Not switched: "+widget.Sentence(s.problem.Text)+" "+widget.Sentence(s.problem.Next)), w-4) {
			lines = append(lines, "   "+t.Paint(theme.Warn, l))
		}
	case s.switching != "":
		lines = append(lines, "   "+t.Paint(theme.Accent, "Opening "+widget.Sanitize(s.switching)+"."))
	}
	return lines
}

func (m *Model) clusterLine(i, width, w int) string {
	s, t := m.clusters, m.theme
	k := s.known[i]
	glyph, text, tone, cluster := m.clusterVerdict(k)
	name := widget.PadRight(widget.Truncate(t, widget.Sanitize(k.Name), width), width)
	verdict := widget.Truncate(t, widget.Sanitize(glyph+" "+text), max(1, w-width-7))
	if i == s.selected {
		return " " + t.SelectedRow.Render(t.Glyphs.Cursor+" "+name+"  "+verdict+" ")
	}
	return "   " + t.NameStyle(cluster, k.Color).Render(name) + "  " + t.Paint(tone, verdict)
}

// clusterVerdict is what is known of a cluster: of the present one from its snapshot, of another one from its
// answer. cluster decides the color of its name.
func (m *Model) clusterVerdict(k KnownCluster) (glyph, text string, tone theme.Tone, cluster string) {
	if k.Name == m.cfg.Context {
		glyph, word, tone := m.currentVerdict()
		return glyph, fmt.Sprintf("%s: %s, shown now", m.clusterName(), word), tone, m.clusterName()
	}
	switch p, answered := m.clusters.answers[k.Name]; {
	case !answered:
		return m.theme.Glyphs.Unknown, "asked, no answer yet", theme.Dim, k.Name
	case p.err != nil:
		return m.theme.Glyphs.Unknown, p.err.Text, theme.Warn, k.Name
	default:
		glyph, tone := m.theme.Level(p.status.Verdict)
		return glyph, fmt.Sprintf("%s: %s. %s", p.status.Cluster, p.status.Verdict, p.status.Sentence), tone, p.status.Cluster
	}
}
