// Package setup asks a person who has named no cluster yet for one: its servers, the seed file and the
// authority of the certificates. It tries each part of the connection by itself, so that an error is shown where
// it is, and saves a context of what works.
//
// cmd/unibus-tui calls Run, and supplies what tries and saves. Begin reading with Model.
package setup

import (
	"context"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/huh/v2"
	"charm.land/lipgloss/v2"

	"unibus/core"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Answers are what the form asks for.
type Answers struct {
	Servers  string // URLs between commas
	Identity string
	CA       string
	Name     string // of the context
	TLSFirst bool   // found while trying: the nodes begin with TLS
}

// ServerList are the servers one by one.
func (a Answers) ServerList() []string {
	return strings.FieldsFunc(a.Servers, func(r rune) bool { return r == ',' || r == ' ' })
}

// State is how a part of the connection ended.
type State int

// The states of a part.
const (
	Works State = iota
	Fails
	NotTried
)

// Part is a part of the connection that was tried.
type Part struct {
	Server string // "" for what concerns all of them
	Name   string // resolve, connect, TLS, identity, cluster key
	State  State
	Text   string // the result, or the fault
	Next   string // what to do
}

// Config is what a form needs.
type Config struct {
	Theme theme.Theme
	// Try reports each part once it is known, and returns what it learned. An error means that a context of
	// these answers would not work; it was reported as a part.
	Try func(ctx context.Context, a Answers, report func(Part)) (Answers, error)
	// Save writes the context, never over another one, and returns the file.
	Save func(a Answers) (path string, err error)
	// Check looks at one answer: servers, identity, ca or name.
	Check func(field, value string) error
}

// Model is the form and what follows it. Create it with New.
type Model struct {
	cfg     Config
	ctx     func() context.Context // of the program
	answers *Answers               // the form writes to it
	form    *huh.Form
	trying  *trial
	leaving huh.Field // the field that enter has ended, until the next one has the focus
	early   []tea.Msg // what was typed meanwhile
	saved   string    // the file of the context

	width, height int
	left          bool // without a context
}

// trial is one try of the answers.
type trial struct {
	cancel context.CancelFunc
	parts  []Part
	found  chan Part
	done   bool
	failed bool
}

type partMsg struct {
	trial *trial
	part  Part
}

type triedMsg struct {
	trial   *trial
	answers Answers
	failed  bool
	problem *Part  // with saving
	path    string // of the context that was saved
}

// New creates a form. It does nothing yet.
func New(ctx context.Context, cfg Config) *Model {
	m := &Model{cfg: cfg, ctx: func() context.Context { return ctx }, answers: &Answers{}}
	m.newForm()
	return m
}

// Run shows the form, and returns the name of the context that was saved, "" if the person left. opts
// replace the terminal.
func Run(ctx context.Context, cfg Config, opts ...tea.ProgramOption) (string, error) {
	m := New(ctx, cfg)
	_, err := tea.NewProgram(m, append([]tea.ProgramOption{tea.WithContext(ctx)}, opts...)...).Run()
	if err != nil && ctx.Err() == nil {
		return "", core.Errorf(core.KindFailed, "the form stopped: %w", err).WithNext("give --server URL[,URL] and --identity FILE")
	}
	if m.left || m.saved == "" {
		return "", nil
	}
	return m.answers.Name, nil
}

func (m *Model) newForm() {
	check := func(field string) func(string) error {
		return func(v string) error {
			if err := m.cfg.Check(field, strings.TrimSpace(v)); err != nil {
				return shortError{core.AsError(err)}
			}
			return nil
		}
	}
	keys := huh.NewDefaultKeyMap()
	keys.Quit.SetKeys("ctrl+c", "esc")
	m.form = huh.NewForm(huh.NewGroup(
		huh.NewInput().Title("Servers").Description("All nodes: tls://HOST:PORT, with commas between them.").
			Placeholder("tls://n1.example.org:4222,tls://n2.example.org:4222").Value(&m.answers.Servers).Validate(check("servers")),
		huh.NewInput().Title("Seed file").Description("Your identity as an operator: a file, or agent:NKEY.").Value(&m.answers.Identity).Validate(check("identity")),
		huh.NewInput().Title("CA file").Description("Of the CA that signed the nodes' certificates. Empty: the CAs of this system.").Value(&m.answers.CA).Validate(check("ca")),
		huh.NewInput().Title("Name").Description("How you will call this cluster: --context NAME.").Value(&m.answers.Name).Validate(check("name")),
	)).WithKeyMap(keys).WithShowHelp(false).WithTheme(m.styles())
	if m.width > 0 {
		m.form = m.form.WithWidth(m.formWidth())
	}
}

// shortError is an error in the words of a form: the fault, and the next step.
type shortError struct{ err *core.Error }

// Error returns both sentences.
func (e shortError) Error() string {
	return strings.TrimSpace(widget.Sentence(widget.Sanitize(e.err.Text)) + " " + widget.Sentence(widget.Sanitize(e.err.Next)))
}

// styles are the console's colors.
func (m *Model) styles() huh.Theme {
	t := m.cfg.Theme
	return huh.ThemeFunc(func(isDark bool) *huh.Styles {
		s := huh.ThemeBase(isDark)
		field := func(f *huh.FieldStyles, title theme.Tone) {
			f.Base = lipgloss.NewStyle().PaddingLeft(1)
			f.Title, f.Description = t.Style(title), t.Style(theme.Dim)
			f.ErrorIndicator, f.ErrorMessage = t.Style(theme.Warn).SetString(" "+t.Glyphs.Degraded), t.Style(theme.Warn)
			f.TextInput.Text, f.TextInput.Placeholder = t.Style(theme.Strong), t.Style(theme.Faint)
			f.TextInput.Prompt, f.TextInput.Cursor = t.Style(theme.Accent), t.Style(theme.Accent)
		}
		field(&s.Focused, theme.Accent)
		field(&s.Blurred, theme.Plain)
		return s
	})
}

func (m *Model) formWidth() int { return max(20, min(m.width-2, 100)) }
