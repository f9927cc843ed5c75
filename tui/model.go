package tui

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/keymap"
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
	"unibus/tui/statefile"
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
	ReadOnly  bool         // disables every action that changes the cluster
	Remote    bool         // another machine shows the console, over SSH: ReadOnly and NoFiles are set, too
	Theme     string       // auto, or the name of a skin; "" is auto
	Skins     []theme.Skin // the operator's own
	ASCII     bool         // draw ASCII glyphs only
	Mouse     bool         // take clicks and the wheel; :mouse turns it off and on
	NoBell    bool         // do not ring when the verdict becomes worse; B turns it on
	Unicode   bool         // draw other characters although the locale has none
	Version   string
	Flags     string           // appended to the command lines that the console shows: --server … --identity …
	ReportDir string           // reports are saved here; "" is the working directory
	NoFiles   bool             // it runs on another machine than its operator: it writes no files
	State     *statefile.Store // what is remembered from one session to the next; nil: nothing
	Notice    string           // shown when the console begins: what of the configuration does not hold
	Keys      *keymap.Map      // nil: those that the console ships with
	Clusters  Clusters         // nil: the operator has named none
	Context   string           // the name of the cluster that Client is connected to; "" if it has none
	Color     string           // of the cluster's name; "": by its name
	Close     func()           // closes Client, once the operator has switched to another cluster
	Suspender Suspender        // nil: Ctrl-Z only says that it does nothing
	Now       func() time.Time // nil is time.Now; its location is the one that times are shown in
}

// The least size in which the pages can be used.
const (
	minWidth  = 80
	minHeight = 24
)

const (
	drawInterval  = 200 * time.Millisecond // new data redraws at most this often; a key redraws at once
	verdictMaxAge = 10 * time.Second       // an older verdict is shown as not known
	toastDuration = 8 * time.Second
	acceptDelay   = 300 * time.Millisecond // time without a key before a dialog takes an answer
	actionTimeout = 2 * time.Minute        // for each object; longer than the client's own timeouts, so that those apply first
)

// Model is the root model of the console. Create it with New.
type Model struct {
	cfg       Config
	feed      *feed.Feed
	keys      keymap.Map
	actions   []action.Action // with the keys in force
	pages     []page.Page
	panels    []panel
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

	copies     copies
	completion completion
	undo       *action.Undo // of the last action, nil if nothing takes it back
	prompt     *widget.Prompt
	history    []string
	openDialog *dialogState
	help       *help
	columns    *columnChooser // nil unless it is open
	guide      *openGuide     // instead of the page, nil if none
	round      *openGuide     // the last guide that was closed before it was done
	toast      toast
	bell       bell
	running    *runningAction  // the action that has not returned, nil if none
	exporting  *runningExport  // nil if none
	mouse      bool            // the terminal reports clicks and the wheel
	hints      []hintSpan      // the keys that the footer shows
	clusters   *switcher       // instead of the page, nil if it is closed
	feeds      chan *feed.Feed // the feed of the next cluster, for RunFeed
	lookUp     *lookUp         // the typed command that waits for its users, nil if none

	lastScreen string // reused until something changes
	dirty      bool
}

// toast is a short message in the footer.
type toast struct {
	text  string
	tone  theme.Tone
	until time.Time
	over  func(*feed.Snapshot) bool // nil, or true once what it says is over
}

// New creates a console. It makes no request until its feed runs.
func New(cfg Config) *Model {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	m := &Model{
		cfg: cfg, feed: feed.New(feed.Config{Client: cfg.Client, Now: cfg.Now, Sanitize: widget.Sanitize}),
		themeChoice: theme.Auto, colorProfile: colorprofile.TrueColor,
		pages:   []page.Page{overview.New(), nodes.New(), buckets.New(), users.New(), rooms.New(), migrate.New(), events.New(), rollout.New(), audit.New()},
		drawnAt: cfg.Now(), dirty: true, bell: bell{off: cfg.NoBell}, history: cfg.State.State().History, feeds: make(chan *feed.Feed, 1), mouse: cfg.Mouse,
	}
	if t := theme.Mode(cfg.Theme); slices.Contains(m.themes(), t) {
		m.themeChoice = t
	}
	m.keys = keymap.Default(action.Table())
	if cfg.Keys != nil {
		m.keys = *cfg.Keys
	}
	m.actions = m.keys.Actions()
	m.filters, m.panels = make([]string, len(m.pages)), newPanels()
	m.snapshot = m.feed.Snapshot()
	m.applyTheme()
	m.showRememberedColumns()
	if cfg.Notice != "" {
		m.showToast(theme.Warn, cfg.Notice)
	}
	return m
}

// Feed returns the feed of the console's snapshots; RunFeed runs it.
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
	m.theme = theme.NewOf(m.skin(mode), m.cfg.ASCII || m.asciiOnly())
	m.dirty = true
}

// renderContext is what the current page draws from.
func (m *Model) renderContext() page.RenderContext {
	return page.RenderContext{
		Snapshot: m.snapshot, Theme: m.theme, Now: m.displayTime(), Width: m.pageWidth(), Height: max(1, m.height-linesAroundPage-len(m.alertLines())),
		Filter: m.filters[m.pageIndex], UnselectedInput: m.actionInput(action.Selection{}), Actions: m.actions,
	}
}

func (m *Model) actionInput(sel action.Selection) action.Input {
	return action.Input{Snapshot: m.snapshot, Selected: sel, ReadOnly: m.cfg.ReadOnly, Flags: m.cfg.Flags, ReportDir: m.cfg.ReportDir, NoFiles: m.cfg.NoFiles, Remote: m.cfg.Remote, Now: m.displayTime()}
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

// tick is in step with the clock: one drawing shows the next second and what was polled shortly before it.
func tick() tea.Cmd { return tea.Every(drawInterval, func(time.Time) tea.Msg { return TickMsg{} }) }

// Init starts the clock and asks the terminal for its background color.
func (m *Model) Init() tea.Cmd {
	if m.themeChoice == theme.Auto {
		return tea.Batch(tick(), tea.RequestBackgroundColor)
	}
	return tick()
}
