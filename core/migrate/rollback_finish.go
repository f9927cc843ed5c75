package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"unibus/core"
)

// finishRollback runs after the compare-and-swap: the new file is the authority,
// and the journal names it. Until a node has served the file, KV holds the same;
// the journal records that too.
func (j *Job) finishRollback(ctx context.Context, in Intent, a core.Authority) (State, error) {
	err := j.saveStatus(func(*Status) {}, recordOutcome(a), func(e *Entry) { e.File, e.FileIsAuthority, e.FileNeverServed = in.File, true, true })
	if err != nil {
		return StateRollback, err
	}
	return j.serveRolledBackFile(ctx, Entry{Authority: &a, File: in.File, FileNeverServed: true})
}

// serveRolledBackFile serves the file that a rollback wrote. If that fails the
// rollback stops here: the file is the authority, so nothing is served.
func (j *Job) serveRolledBackFile(ctx context.Context, e Entry) (State, error) {
	a := *e.Authority
	src, err := j.cfg.Host.Adopt(ctx, e.File)
	if err != nil {
		lost := j.errFileUnserved(e, err)
		j.cfg.Host.Withdraw(lost)
		return StateRollback, lost
	}
	j.SetSource(src)
	if err := j.cfg.Host.Serve(ctx, a); err != nil {
		return StateRollback, err
	}
	err = j.saveStatus(func(s *Status) {
		s.State, s.Error = StateRolledBack, nil
		s.Result = rolledBackResult(*s, e.File, a, nil)
	}, func(e *Entry) { e.FileNeverServed = false })
	if err != nil {
		return StateRollback, err
	}
	wctx, cancel := context.WithTimeout(ctx, j.cfg.Limits.JournalTimeout)
	defer cancel()
	behind := j.awaitFollowers(wctx, a)
	j.updateStatus(func(s *Status) { s.Result = rolledBackResult(*s, e.File, a, behind) })
	return StateRolledBack, nil
}

// errFileUnserved says what to do about a rollback whose file cannot be served.
// The way without loss comes first.
func (j *Job) errFileUnserved(e Entry, cause error) *core.Error {
	why := core.AsError(cause)
	next := fmt.Sprintf("put %s back, and %s continues by itself. Or move the remains away and restore a backup, which lacks the changes since it was taken: `unibusd restore --from BACKUP --db %s`",
		e.File, j.cfg.Node, e.File)
	if e.FileNeverServed {
		next = "KV still holds everything: return to it with `unibusd migration abort`. Or " + next
	}
	return core.Errorf(why.Kind, "the authority is %s again, and %s cannot serve that file, so nothing is served: %s", e.File, j.cfg.Node, why.Text).
		WithNext("%s", next)
}

func rolledBackResult(s Status, file string, a core.Authority, behind []string) string {
	text := fmt.Sprintf("Rolled back: the control plane has been %s on %s since generation %d, with everything that was written since the cutover. %s stays fenced.",
		file, a.Node, a.Generation, s.Source.Path)
	if len(behind) > 0 {
		text += " Not following yet: " + strings.Join(behind, ", ") + "; until they do they serve nothing."
	}
	return text
}

// abortRollback cancels a rollback that is running or was interrupted, also one
// whose file cannot be served.
func (j *Job) abortRollback(by string) (Status, error) {
	j.stopRun()
	st := j.Status()
	if why := st.Unavailable(ActionAbort); why != "" {
		return st, errUnavailable(st, "abort", why)
	}
	j.cfg.Log.Info("a rollback is canceled", "by", by)
	e, err := j.cfg.Journal.Load()
	switch {
	case err != nil:
		return st, err
	case e.Intent == nil && e.rolledBackTo(j.cfg.Node):
		err = j.recordReversal(e)
	case e.Intent == nil: // nothing is closed yet
		err = j.saveStatus(func(s *Status) { s.State, s.Running = StateSoak, false })
		return j.Status(), err
	}
	if err == nil {
		err = j.startRun(func(s *Status) { s.State = StateRollback })
	}
	return j.Status(), err
}

// recordReversal records that the authority returns to KV, unless the file was
// served: from then on KV may lack something, for example a revocation.
func (j *Job) recordReversal(e Entry) error {
	in := Intent{
		From: *e.Authority, At: core.MillisOf(j.cfg.Now()), ReversesRollback: true,
		To: core.Authority{Backend: core.BackendKV, Node: j.cfg.Node, Generation: e.Authority.Generation + 1},
	}
	served := false
	err := j.saveStatus(func(*Status) {}, func(e *Entry) {
		if served = !e.FileNeverServed; !served {
			e.Intent = &in
		}
	})
	if err == nil && served {
		err = core.Errorf(core.KindRefused, "%s was served already, and KV may lack what was changed in it since", e.File).
			WithNext("complete the rollback with `unibusd migration resume`; to migrate to KV again: `unibusd migrate-to-kv --db %s`", e.File)
	}
	return err
}

// finishReversal ends a rollback that was taken back. Its file was never served
// and KV was closed, so KV is complete. The file is left to the operator.
func (j *Job) finishReversal(ctx context.Context, a core.Authority) (State, error) {
	file := ""
	err := j.saveStatus(func(s *Status) {
		file = s.Export.Path
		s.State, s.Export = StateSoak, Backup{}
		s.Result = soakResult(*s, a, nil)
	}, recordOutcome(a), func(e *Entry) { e.File, e.FileNeverServed = e.Migration.Source.Path, false })
	if err != nil {
		return StateRollback, err
	}
	cause := core.Errorf(core.KindUnavailable, "the rollback was taken back before its file was served; KV serves again, and nothing is lost. %s was kept", file).
		WithNext("keep or remove that file: nothing will serve it. Then roll back again: `unibusd migration rollback`")
	return StateSoak, errors.Join(cause, j.cfg.Host.Serve(ctx, a))
}
