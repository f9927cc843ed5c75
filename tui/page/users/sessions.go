package users

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/page"
	"unibus/tui/widget"
)

// lastSeen is the hour in which a user had a session last; "" where the node does not say.
func lastSeen(rc page.RenderContext, id core.UserID) string {
	seen, began := rc.Snapshot.LastSeen(id)
	switch {
	case seen != 0:
		return seen.Time().In(rc.Now.Location()).Format("2006-01-02 15h")
	case began != 0:
		return "never since " + began.Time().In(rc.Now.Location()).Format(time.DateOnly)
	}
	return ""
}

// sessionLines are the open sessions of a user, one a line; none before the first answer.
func sessionLines(rc page.RenderContext, id core.UserID) (lines []string) {
	s := rc.Snapshot.Sessions
	if rc.Snapshot.SessionsOf != id || !s.Known() {
		return nil
	}
	for _, one := range s.Value.Sessions {
		lines = append(lines, sessionLine(rc, one))
	}
	if more := s.Value.Total - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %s more: `unibusd session list --user NKEY`", widget.FormatCount(more)))
	}
	if len(lines) == 0 && len(s.Value.Unknown) == 0 {
		lines = append(lines, "none")
	}
	if len(s.Value.Unknown) > 0 {
		lines = append(lines, "not known on "+strings.Join(s.Value.Unknown, ", "))
	}
	return lines
}

func sessionLine(rc page.RenderContext, s admin.Session) string {
	library := cmp.Or(strings.TrimSpace(s.Lang+" "+s.Version), "an unknown client")
	if s.Client != "" {
		library += ", " + core.ShownName(s.Client)
	}
	return fmt.Sprintf("%s since %s from %s with %s", s.ID, rc.FormatMillis(s.Since), s.Address, library)
}
