package tui

import (
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"unibus/core"
	"unibus/tui/action"
	"unibus/tui/keymap"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Update handles one message. It never blocks: slow work runs in commands.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	before := m.pageIndex
	cmd := m.handle(msg)
	if _, isTick := msg.(TickMsg); !isTick { // a tick redraws only what it changed
		m.dirty = true
	}
	wanted := m.currentPage().Subscription(m.renderContext())
	if m.guide != nil {
		m.guide.fill(m.snapshot, m.displayTime())
		wanted.UserKey = m.guide.guide.NeedsUserKey(m.guide.args)
		wanted.RunOf = m.guide.report.NeedsRun
		wanted.Replicas, wanted.Trusted = m.guide.report.NeedsProof, m.guide.guide.NeedsTrusted()
	}
	if missing := m.missingInPause(wanted, m.pageIndex != before); missing != "" {
		m.resume()
		m.showToast(theme.Dim, "Resumed: this "+missing+" was not in the paused snapshot.")
	}
	m.feed.Subscribe(wanted)
	return m, cmd
}

func (m *Model) handle(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case TickMsg:
		m.refreshSnapshot()
		return tea.Batch(m.ring(), tick())
	case tea.KeyPressMsg:
		return m.handleKey(msg)
	case tea.PasteMsg:
		m.handlePaste(msg)
		return m.completeArgument()
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case acceptKeysMsg:
		return m.acceptDialogKeys(msg)
	case foundMsg:
		return m.handleFound(msg)
	case actionDoneMsg:
		return m.handleActionDone(msg)
	case completionMsg:
		return m.handleCompletion(msg)
	case exportDoneMsg:
		return m.handleExportDone(msg)
	case stateSavedMsg:
		m.showToast(theme.Warn, msg.notice)
	case jobSignalMsg:
		return m.handleJobSignal(msg)
	case tea.MouseClickMsg:
		return m.handleClick(msg)
	case tea.MouseWheelMsg:
		return m.handleWheel(msg)
	case probedMsg, openedMsg:
		return m.handleClustersMsg(msg)
	case resumedMsg:
		m.handleResumed(msg)
	default:
		m.handleTerminalMsg(msg)
	}
	return nil
}

// handleTerminalMsg handles what the terminal reports about itself.
func (m *Model) handleTerminalMsg(msg tea.Msg) {
	switch msg := msg.(type) {
	case tea.BackgroundColorMsg:
		m.lightBackground = !msg.IsDark()
	case tea.ColorProfileMsg:
		m.colorProfile = msg.Profile
	case tea.EnvMsg:
		m.noColor = msg.Getenv("NO_COLOR") != ""
		m.localeIsASCII = !core.IsUTF8Locale(msg)
		m.bell.readEnvironment(msg)
	case tea.ModeReportMsg:
		if msg.Mode == ansi.ModeUnicodeCore { // as Bubble Tea decides it
			m.measuresClusters = msg.Value == ansi.ModeReset || msg.Value == ansi.ModeSet || msg.Value == ansi.ModePermanentlySet
		}
	default:
		return
	}
	m.applyTheme()
}

// refreshSnapshot takes the newest snapshot. The screen is drawn only if the
// snapshot, the second or the toast changed.
func (m *Model) refreshSnapshot() {
	now := m.cfg.Now()
	if snap := m.feed.Snapshot(); m.pausedAt.IsZero() && snap.Version != m.snapshot.Version {
		m.snapshot, m.dirty = snap, true
	}
	if now.Unix() != m.drawnAt.Unix() || m.isLive(now) != m.isLive(m.drawnAt) {
		m.dirty = true
	}
	if m.toast.text != "" && (now.After(m.toast.until) || m.toast.over != nil && m.toast.over(m.snapshot)) {
		m.toast, m.dirty = toast{}, true
	}
	if m.dirty {
		m.drawnAt = now
	}
}

func (m *Model) handlePaste(msg tea.PasteMsg) {
	if m.windowTooSmall() {
		return
	}
	m.toast = toast{}
	switch {
	case m.openDialog != nil:
		m.openDialog.dialog.HandlePaste(msg.Content)
	case m.prompt != nil:
		m.prompt.HandlePaste(msg.Content)
		m.applyTypedText()
	}
}

func (m *Model) handleKey(k tea.KeyPressMsg) tea.Cmd {
	pressed := k.String()
	key := m.keys.Translate(m.currentPage().Name(), pressed)
	switch {
	case pressed == "ctrl+c" && m.prompt != nil && !m.windowTooSmall():
		return m.handlePromptKey(k) // cancels the prompt instead of quitting
	case pressed == "ctrl+c":
		return m.quit()
	case pressed == "ctrl+z":
		return m.suspend()
	case m.windowTooSmall():
		return m.handleSmallWindowKey(key)
	case m.openDialog != nil:
		return m.handleDialogKey(k)
	case m.prompt != nil:
		return m.handlePromptKey(k)
	case m.help != nil:
		if !m.help.handleKey(key) {
			m.help = nil
		}
		return nil
	case m.columns != nil:
		return m.handleColumnKey(m.keys.Translate(keymap.Columns, pressed))
	case m.clusters != nil && key != ":": // its keys are its own
		return m.handleClustersKey(m.keys.Translate(keymap.Clusters, pressed))
	case m.guide != nil && m.guide.scroll.HandleKey(key):
		return nil
	case m.guide != nil:
		return m.handleGuideKey(key)
	}
	return m.handlePageKey(key, pressed)
}

// handlePageKey offers a key first to the page, then to the page's actions, then
// to the global keys. key is the pressed one as the page knows it; actions have the keys in force.
func (m *Model) handlePageKey(key, pressed string) tea.Cmd {
	rc := m.renderContext()
	if r := m.currentPage().HandleKey(rc, key); r.Handled {
		m.openTarget(r)
		if r.Notice != "" {
			m.showToast(theme.Warn, r.Notice)
		}
		return m.completeArgument()
	}
	if a, ok := action.ByKey(m.actions, m.currentPage().Name(), pressed); ok {
		return m.startAction(a, m.currentPage().Selection(rc))
	}
	if len(key) == 1 && key[0] >= '1' && int(key[0]-'1') < len(m.pages) {
		m.showPage(int(key[0] - '1'))
		return nil
	}
	return m.handleGlobalKey(rc, key)
}

func (m *Model) clearMarks() bool {
	p, ok := m.currentPage().(page.MarkClearer)
	return ok && p.ClearMarks(m.renderContext())
}

func (m *Model) handleGlobalKey(rc page.RenderContext, key string) tea.Cmd {
	switch key {
	case "q":
		if !m.currentPage().GoBack() && !m.clearMarks() {
			return m.quit()
		}
	case "esc":
		m.goBack()
	case "tab":
		m.showPage((m.pageIndex + 1) % len(m.pages))
	case "shift+tab":
		m.showPage((m.pageIndex + len(m.pages) - 1) % len(m.pages))
	case ":":
		m.openPrompt(widget.NewPrompt(":", "", m.suggestions, m.history))
	case "/":
		if !m.currentPage().IsFilterable() {
			m.showToast(theme.Dim, "This page has no list to filter.")
			return nil
		}
		m.openPrompt(widget.NewPrompt("/", m.filters[m.pageIndex], nil, nil))
	case "?":
		m.help = &help{}
	case "space":
		m.togglePause()
	case "y":
		return m.copyToClipboard(rc)
	case "B":
		m.toggleBell()
	case "x":
		return m.startExport("")
	case "z":
		return m.undoLast()
	case "C":
		m.chooseColumns()
	}
	return nil
}

// openTarget opens the guide, the command line, or the page and the row, that a page's key leads to.
func (m *Model) openTarget(r page.KeyResult) {
	if r.Guide != nil {
		m.openGuide(r.Guide)
	}
	if r.Command != "" {
		m.openPrompt(widget.NewPrompt(":", r.Command, m.suggestions, m.history))
	}
	if r.Goto == "" {
		return
	}
	for i, p := range m.pages {
		if p.Name() == r.Goto {
			m.showPage(i)
			if r.OpenRow != "" {
				p.OpenRow(m.renderContext(), r.OpenRow)
			}
		}
	}
}

func (m *Model) showPage(i int) {
	m.closeGuide()
	m.clusters = nil
	m.pageIndex = i
}

// goBack closes the innermost thing: the toast, a command that waits for its users, an export, the open row, the filter, the
// marks, then the page. The filter goes before the marks so that the operator
// sees which marks go. escapeHint names the steps after the open row.
func (m *Model) goBack() {
	switch {
	case m.toast.text != "":
		m.toast = toast{}
	case m.lookUp != nil:
		m.lookUp = nil
	case m.exporting != nil:
		m.exporting.end()
		m.showToast(theme.Dim, "The export of "+m.exporting.name+" was ended: nothing was written.")
		m.exporting = nil
	case m.currentPage().GoBack():
	case m.filters[m.pageIndex] != "":
		m.filters[m.pageIndex] = ""
	case m.clearMarks():
	default:
		m.pageIndex = 0
	}
}
