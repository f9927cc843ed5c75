package migrate

import (
	"fmt"

	"unibus/core"
)

// Summary is the status in a few lines: the state, the reason, and the next command.
// Report has everything.
func (s Status) Summary() string {
	var r report
	r.line("state", "%s%s", s.State, s.stateSuffix())
	if s.ID != "" {
		r.line("migration", "%s, started %s by %s on %s", s.ID, formatTime(s.Started), s.By, s.Node)
	}
	r.line("means", "%s", s.Sentence())
	if s.Error != nil {
		r.line("error", "%s", s.Error.Text)
		if s.Error.Next != "" {
			r.line("do", "%s", s.Error.Next)
		}
	}
	if s.Active() {
		s.reportProgress(&r)
	}
	reportProblems(&r, "problems", s.Problems)
	if next := s.nextCommand(); next != "" {
		r.head("next       %s", next)
	}
	if s.ID != "" {
		r.line("everything", "unibusd migration report")
	}
	return r.String()
}

// startCommand starts the migration of a file again; FILE stands for one that is not known.
func startCommand(node, file string) string {
	if file == "" {
		return "unibusd migrate-to-kv --db FILE"
	}
	return fmt.Sprintf("unibusd migrate-to-kv --node %s --db %s", node, core.ShellQuote(file))
}

// nextCommand is what takes the migration further; "" while it goes on by itself, and at its end.
func (s Status) nextCommand() string {
	if s.ID == "" {
		return startCommand(s.Node, s.Source.Path)
	}
	for _, a := range []Action{ActionResume, ActionCutover, ActionFinish} {
		if s.Unavailable(a) == "" {
			return "unibusd migration " + string(a)
		}
	}
	return ""
}
