package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

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

// Client is the part of admin.Client that the console uses.
type Client interface {
	feed.Client
	action.Client
}

// Config configures a console. Only Client is required.
type Config struct {
	Client    Client
	ReadOnly  bool   // disables every action that changes the cluster
	Theme     string // auto, dark, light, basic or mono; "" is auto
	ASCII     bool   // draw ASCII glyphs only
	Unicode   bool   // draw other characters although the locale has none
	Version   string
	Flags     string           // appended to the command lines that the console shows: --server … --identity …
	ReportDir string           // reports are saved here; "" is the working directory
	Suspender Suspender        // nil: Ctrl-Z only says that it does nothing
	Now       func() time.Time // nil is time.Now; its location is the one that times are shown in
}

// The least size in which the pages can be used.
const (
	minWidth  = 80
	minHeight = 24
)

const (
	drawInterval  = 100 * time.Millisecond // new data redraws at most this often; a key redraws at once
	verdictMaxAge = 10 * time.Second       // an older verdict is shown as not known
	toastDuration = 8 * time.Second
	acceptDelay   = 300 * time.Millisecond // time without a key before a dialog takes an answer
	actionTimeout = 2 * time.Minute        // for each object; longer than the client's own timeouts, so that those apply first
)

// Model is the root model of the console. Create it with New.
type Model struct {
	cfg       Config
	feed      *feed.Feed
	actions   []action.Action
	pages     []page.Page
	pageIndex int
	filters   []string // by page

	themeChoice     theme.Mode // what the operator asked for
	lightBackground bool       // reported by the terminal
	colorProfile    colorprofile.Profile
	noColor         bool
	localeIsASCII   bool // the locale has no UTF-8
	theme           theme.Theme

	measuresClusters bool // the terminal has said that it measures grapheme clusters, not code points

	width, height      int
	snapshot           *feed.Snapshot    // what is shown; does not change during a pause
	drawnAt            time.Time         // the time that the screen shows; it moves only when the screen is drawn
	pausedAt           time.Time         // zero while the screen is live
	pausedSubscription feed.Subscription // what was polled when the pause began

	prompt     *widget.Prompt
	history    []string
	openDialog *dialogState
	help       *help
	guide      *openGuide // instead of the page, nil if none
	round      *openGuide // the last guide that was closed before it was done
	toast      toast
	running    *runningAction // the action that has not returned, nil if none
	lookUp     *lookUp        // the typed command that waits for its users, nil if none

	lastScreen string // reused until something changes
	dirty      bool
}

// toast is a short message in the footer.
type toast struct {
	text  string
	tone  theme.Tone
	until time.Time
}

// New creates a console. It makes no request until its feed runs.
func New(cfg Config) *Model {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	mode, _ := theme.ParseMode(cfg.Theme) // an unknown name is Auto
	m := &Model{
		cfg: cfg, feed: feed.New(feed.Config{Client: cfg.Client, Now: cfg.Now, Sanitize: widget.Sanitize}),
		actions: action.Table(), themeChoice: mode, colorProfile: colorprofile.TrueColor,
		pages:   []page.Page{overview.New(), nodes.New(), buckets.New(), users.New(), rooms.New(), migrate.New(), events.New(), rollout.New(), audit.New()},
		drawnAt: cfg.Now(), dirty: true,
	}
	m.filters = make([]string, len(m.pages))
	m.snapshot = m.feed.Snapshot()
	m.applyTheme()
	return m
}

// Feed returns the feed of the console's snapshots; Run starts it.
func (m *Model) Feed() *feed.Feed { return m.feed }

// applyTheme selects the theme from the operator's choice and the terminal's
// abilities.
func (m *Model) applyTheme() {
	mode := m.themeChoice
	if mode == theme.Auto {
		mode = theme.Dark
		switch {
		case m.colorProfile == colorprofile.ANSI:
			mode = theme.Basic
		case m.lightBackground:
			mode = theme.Light
		}
	}
	if m.noColor || m.colorProfile < colorprofile.ANSI {
		mode = theme.Mono
	}
	m.theme = theme.New(mode, m.cfg.ASCII || m.asciiOnly())
	m.dirty = true
}

// renderContext is what the current page draws from.
func (m *Model) renderContext() page.RenderContext {
	return page.RenderContext{
		Snapshot: m.snapshot, Theme: m.theme, Now: m.displayTime(), Width: m.width, Height: m.height - linesAroundPage,
		Filter: m.filters[m.pageIndex], UnselectedInput: m.actionInput(action.Selection{}),
	}
}

func (m *Model) actionInput(sel action.Selection) action.Input {
	return action.Input{Snapshot: m.snapshot, Selected: sel, ReadOnly: m.cfg.ReadOnly, Flags: m.cfg.Flags, ReportDir: m.cfg.ReportDir, Now: m.displayTime()}
}

// displayTime is the time that the screen shows. It stands still during a pause,
// so that ages on the screen stay true.
func (m *Model) displayTime() time.Time {
	if !m.pausedAt.IsZero() {
		return m.pausedAt
	}
	return m.drawnAt
}

func (m *Model) currentPage() page.Page { return m.pages[m.pageIndex] }

// showToast shows a message in the footer for a while.
func (m *Model) showToast(tone theme.Tone, text string) {
	m.toast = toast{text: text, tone: tone, until: m.cfg.Now().Add(toastDuration)}
}

// TickMsg is the message of the clock. Tests that drive the clock send it.
type TickMsg struct{}

func tick() tea.Cmd { return tea.Tick(drawInterval, func(time.Time) tea.Msg { return TickMsg{} }) }

// Init starts the clock and asks the terminal for its background color.
func (m *Model) Init() tea.Cmd {
	if m.themeChoice == theme.Auto {
		return tea.Batch(tick(), tea.RequestBackgroundColor)
	}
	return tick()
}
