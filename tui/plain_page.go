package tui

import (
	"context"
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"unibus/core"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// The size in which a page is drawn as text: as wide as its tables need, and as long as what a
// node answers at once.
const (
	plainWidth  = 160
	plainHeight = 200
)

// plainPolls is how often the cluster is asked for a page: for the verdict, for the list, and for what the page
// asks for once it has drawn the list.
const plainPolls = 3

// PlainPage is a page as text for pipes and screen readers: no escape sequences, no cursor, no
// charts, and the verdict in words first. name is the name of a page, its beginning or its digit.
func PlainPage(ctx context.Context, cfg Config, name string) (string, error) {
	cfg.Theme = string(theme.Mono)
	if err := CheckPage(name); err != nil {
		return "", err
	}
	m := New(cfg)
	m.theme.Glyphs.Cursor, m.theme.Glyphs.Sparkline = " ", []string{""}
	m.width, m.height, m.pageIndex = plainWidth, plainHeight+linesAroundPage, m.pageNamed(name)
	for range plainPolls {
		m.feed.PollOnce(ctx)
		m.refreshSnapshot()
		m.drawBody(m.renderContext())
		m.feed.Subscribe(m.currentPage().Subscription(m.renderContext()))
	}
	if err := m.plainFailure(); err != nil {
		return "", err
	}
	rc := m.renderContext()
	lines := append([]string{m.plainHead(), ""}, strings.Split(ansi.Strip(m.drawBody(rc)), "\n")...)
	if t, ok := m.currentPage().(page.Counter); ok {
		if listed, of := t.Listed(rc); listed < of {
			lines = append(plainLines(lines), "", fmt.Sprintf(" The first %s of %s.", widget.FormatCount(listed), widget.FormatCount(of)))
		}
	}
	return strings.Join(plainLines(lines), "\n") + "\n", nil
}

// plainHead is the first line: the header of a console.
func (m *Model) plainHead() string {
	st := m.snapshot.Status.Value
	return fmt.Sprintf("%s: %s. Page %s for %s (%s), from %s at %s.", m.clusterName(), ansi.Strip(m.verdictText()), m.currentPage().Name(),
		widget.Sanitize(st.Operator.Name), st.Operator.Role, widget.Sanitize(st.From), m.drawnAt.Format("2006-01-02 15:04:05"))
}

// plainFailure is why the cluster does not answer.
func (m *Model) plainFailure() error {
	if st := m.snapshot.Status; !st.Known() && st.Err != nil {
		return st.Err
	}
	return nil
}

// plainLines removes the blanks at the ends of lines, and all but one of several empty lines.
func plainLines(lines []string) []string {
	var out []string
	for _, l := range lines {
		l = strings.TrimRight(l, " ")
		if l != "" || len(out) > 0 && out[len(out)-1] != "" {
			out = append(out, l)
		}
	}
	if len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// pageNamed is the page of a name, of its beginning or of a digit; -1 if there is none.
func (m *Model) pageNamed(word string) int {
	if len(word) == 1 && word[0] >= '1' && int(word[0]-'1') < len(m.pages) {
		return int(word[0] - '1')
	}
	return m.findPage(strings.ToLower(word))
}

func (m *Model) pageNames() []string {
	var out []string
	for _, p := range m.pages {
		out = append(out, string(p.Name()))
	}
	return out
}

// CheckPage is KindInvalid for a name that no page has.
func CheckPage(name string) error {
	if New(Config{}).pageNamed(name) < 0 {
		return core.Errorf(core.KindInvalid, "there is no page %q", name).WithNext("use one of %s", strings.Join(PageNames(), ", "))
	}
	return nil
}

// PageNames are the names of all pages, in the order of their digits.
func PageNames() []string { return New(Config{}).pageNames() }
