package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"unibus/core/cluster"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/page/audit"
	"unibus/tui/page/buckets"
	"unibus/tui/page/events"
	"unibus/tui/page/migrate"
	"unibus/tui/page/nodes"
	"unibus/tui/page/overview"
	"unibus/tui/page/rollout"
	"unibus/tui/page/rooms"
	"unibus/tui/page/users"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Client is what the console needs of the operators' client.
type Client interface {
	feed.Source
	action.Client
}

// Config is what a console needs. Only Client must be set.
type Config struct {
	Client   Client
	Cluster  string // its name until a node has said it
	ReadOnly bool   // no action that changes anything
	Theme    string // auto, dark, light, basic or mono; "" is auto
	ASCII    bool   // glyphs in seven bits
	Version  string
	Flags    string           // ends the "same as" lines: --server … --identity …
	Dir      string           // where reports are saved; "" is the working directory
	Now      func() time.Time // nil is time.Now; its location is the operator's
}

// The least size in which the pages can be used.
const (
	MinWidth  = 80
	MinHeight = 24
)

const (
	drawEvery  = 100 * time.Millisecond // data redraws at most so often; a key is drawn at once
	lostAfter  = 10 * time.Second       // a verdict that old is not known any more
	toastFor   = 8 * time.Second
	armAfter   = 300 * time.Millisecond // a pause without keys, before a dialog takes an answer
	actTimeout = 2 * time.Minute        // for one thing done: above every bound of the client's own, so that those rule
)

// Model is the console. Make it with New.
type Model struct {
	cfg     Config
	feed    *feed.Feed
	actions []action.Action
	pages   []page.Page
	at      int
	filters []string // by page

	want    theme.Mode // what was asked for
	light   bool       // what the terminal said
	colours colorprofile.Profile
	noColor bool
	theme   theme.Theme

	w, h   int
	snap   *feed.Snapshot // what is shown; stands still while paused
	now    time.Time
	paused time.Time // since then the picture is held; zero while live
	held   feed.Want // what was asked for then

	prompt  *widget.Prompt
	history []string
	asking  *asking
	help    *help
	toast   toast
	running *work // the action whose answer is awaited, nil while none is

	drawn string // the last content, until something changed
	dirty bool
}

// toast is a short word about what was done, in the foot.
type toast struct {
	text  string
	tone  theme.Tone
	until time.Time
}

// New makes a console. It asks nothing of the cluster until its feed runs.
func New(cfg Config) *Model {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	mode, _ := theme.ParseMode(cfg.Theme)
	m := &Model{
		cfg: cfg, feed: feed.New(feed.Config{Source: cfg.Client, Now: cfg.Now, Clean: widget.Clean}),
		actions: action.Table(), want: mode, colours: colorprofile.TrueColor,
		pages: []page.Page{overview.New(), nodes.New(), buckets.New(), users.New(), rooms.New(), migrate.New(), events.New(), rollout.New(), audit.New()},
		now:   cfg.Now(), dirty: true,
	}
	m.filters = make([]string, len(m.pages))
	m.snap = m.feed.Now()
	m.dress()
	return m
}

// Feed is where the console's snapshots come from; Run runs it.
func (m *Model) Feed() *feed.Feed { return m.feed }

// dress chooses the theme from what was asked for and what the terminal can do.
func (m *Model) dress() {
	mode := m.want
	if mode == theme.Auto {
		mode = theme.Dark
		switch {
		case m.colours == colorprofile.ANSI:
			mode = theme.Basic
		case m.light:
			mode = theme.Light
		}
	}
	if m.noColor || m.colours < colorprofile.ANSI {
		mode = theme.Mono
	}
	m.theme = theme.New(mode, m.cfg.ASCII)
	m.dirty = true
}

// scene is what the current page draws from.
func (m *Model) scene() page.Scene {
	return page.Scene{
		Snap: m.snap, Theme: m.theme, Now: m.clock(), W: m.w, H: m.h - frameLines,
		Filter: m.filters[m.at], State: m.state(action.Selection{}), Impact: cluster.Impact,
	}
}

func (m *Model) state(sel action.Selection) action.State {
	return action.State{Snap: m.snap, Selected: sel, ReadOnly: m.cfg.ReadOnly, Flags: m.cfg.Flags, Dir: m.cfg.Dir, Now: m.clock()}
}

// clock is the moment that is shown: a picture that is held does not grow old.
func (m *Model) clock() time.Time {
	if !m.paused.IsZero() {
		return m.paused
	}
	return m.now
}

func (m *Model) page() page.Page { return m.pages[m.at] }

// say puts a word into the foot for a while.
func (m *Model) say(tone theme.Tone, text string) {
	m.toast = toast{text: text, tone: tone, until: m.cfg.Now().Add(toastFor)}
}

type tickMsg struct{}

func tick() tea.Cmd { return tea.Tick(drawEvery, func(time.Time) tea.Msg { return tickMsg{} }) }

// Init starts the clock and asks the terminal for its background.
func (m *Model) Init() tea.Cmd {
	if m.want == theme.Auto {
		return tea.Batch(tick(), tea.RequestBackgroundColor)
	}
	return tick()
}

// TickMsg is the message of the console's clock, for those who turn it by hand.
func (m *Model) TickMsg() tea.Msg { return tickMsg{} }

// IsTick is true for the message of the console's clock.
func (m *Model) IsTick(msg tea.Msg) bool {
	_, ok := msg.(tickMsg)
	return ok
}
