package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"unibus/core"
)

// errMigrating is what callers get while no store serves.
func errMigrating(in Intent) *core.Error {
	return core.Errorf(core.KindUnavailable, "the control plane is moving to %s", in.To.Backend).
		WithNext("ask again in a few seconds")
}

// runCutover moves the authority by one compare-and-swap, or settles one that a
// crash interrupted. Before it is sent, the intent is on disk and the node serves
// nothing. Neither is undone until the outcome is proven.
func (j *Job) runCutover(ctx context.Context) (State, error) {
	e, err := j.cfg.Journal.Load()
	if err != nil {
		return StateCutover, err
	}
	if e.Intent != nil {
		return j.settleIntent(ctx, *e.Intent, false)
	}
	in, err := j.recordCutoverIntent(ctx)
	if err != nil {
		return j.liftAfterFailure(ctx, ctx, err)
	}
	j.cfg.Host.Withdraw(errMigrating(in))
	return j.settleIntent(ctx, in, true)
}

// recordCutoverIntent reads the authority, takes the fence over from its timer and
// syncs the intent.
func (j *Job) recordCutoverIntent(ctx context.Context) (Intent, error) {
	a, _, err := j.readAuthority(ctx)
	if err != nil {
		return Intent{}, err
	}
	if a.Backend != core.BackendSQLite || a.Node != j.cfg.Node {
		return Intent{}, core.Errorf(core.KindRefused, "SQLite on %s is no longer the control plane: the authority record names %s on %s", j.cfg.Node, a.Backend, a.Node).
			WithNext("abort this migration: `unibusd migration abort`")
	}
	in := Intent{
		From: a, At: core.MillisOf(j.cfg.Now()),
		To: core.Authority{Backend: core.BackendKV, Node: j.cfg.Node, Generation: a.Generation + 1},
	}
	if !j.commitFence() {
		return Intent{}, errFenceExpired(j.cfg.Limits.FenceTimeout)
	}
	err = j.checkFenced(ctx)
	if err == nil {
		err = j.saveStatus(func(*Status) {}, func(e *Entry) { e.Intent = &in })
	}
	if err != nil {
		j.uncommitFence()
	}
	return in, err
}

// checkFenced makes sure that no write reached the file after it was verified. The fence
// does not stand before tables of the owner's, so these are looked at again.
func (j *Job) checkFenced(ctx context.Context) error {
	fenced, err := j.source().Fenced(ctx)
	if err == nil && !fenced {
		err = core.Errorf(core.KindConflict, "another process lifted the fence of %s", j.source().Path()).
			WithNext("stop other programs that use the file, then cut over again: `unibusd migration cutover`")
	}
	if err != nil {
		return err
	}
	return j.checkLeftovers(ctx)
}

// settleIntent brings an intent to its end. The authority arrives at the new store, or
// returns to the old one, one generation later, which defeats a compare-and-swap
// without an answer. forward first tries the new store, for the retry budget. After a
// crash it returns instead, because the fence and the guards were unattended meanwhile.
// It repeats until the outcome is known or the node stops.
func (j *Job) settleIntent(ctx context.Context, in Intent, forward bool) (State, error) {
	end := time.Now().Add(j.cfg.Limits.RetryBudget)
	back := core.Authority{Backend: in.From.Backend, Node: j.cfg.Node, Generation: in.From.Generation + 1}
	if in.concernsRollback() {
		if err := j.closeGuardsAgain(ctx, in); err != nil {
			return StateRollback, err
		}
	}
	a, err := j.settleAuthority(ctx, func(cur core.Authority) (core.Authority, authorityDecision) {
		switch {
		case cur == in.From && (in.ReversesRollback || forward && time.Now().Before(end)):
			return in.To, replaceAuthority
		case cur == in.From:
			return back, replaceAuthority
		case cur.Generation > in.From.Generation:
			return cur, acceptAuthority
		}
		return cur, readAgain // absent or older: the read proves nothing
	})
	switch {
	case err != nil && in.concernsRollback():
		return StateRollback, err
	case err != nil:
		return StateCutover, err
	case a == in.To && in.ReversesRollback:
		return j.finishReversal(ctx, a)
	case a == in.To && in.isRollback():
		return j.finishRollback(ctx, in, a)
	case a == back && in.isRollback():
		return j.finishCancelledRollback(ctx, in, a)
	case a == in.To:
		return j.finishCutover(ctx, a)
	case a == back:
		return j.revertCutover(ctx, a, forward)
	}
	return j.cutoverOvertaken(ctx, in, a)
}

// isRollback says in which direction the authority was to move.
func (in Intent) isRollback() bool { return in.To.Backend == core.BackendSQLite }

// concernsRollback is true for a rollback, and for one that is taken back.
func (in Intent) concernsRollback() bool { return in.isRollback() || in.ReversesRollback }

// finishCutover publishes the KV store here; the other nodes follow the record.
// The result names those that have not followed yet.
func (j *Job) finishCutover(ctx context.Context, a core.Authority) (State, error) {
	err := j.saveStatus(func(s *Status) {
		s.State, s.Verified, s.Error = StateSoak, true, nil
		s.Result = soakResult(*s, a, nil)
	}, recordOutcome(a))
	if err != nil {
		return StateCutover, err
	}
	if err := j.cfg.Host.Serve(ctx, a); err != nil {
		return StateSoak, err
	}
	if err := j.fillDigests(ctx); err != nil {
		j.cfg.Log.Warn("the digests of what changed behind the fence are not known", "error", err)
	}
	wctx, cancel := context.WithTimeout(ctx, j.cfg.Limits.JournalTimeout)
	defer cancel()
	behind := j.awaitFollowers(wctx, a)
	j.updateStatus(func(s *Status) { s.Result = soakResult(*s, a, behind) })
	return StateSoak, nil
}

// awaitFollowers waits until every node's journal holds a. In the end it names
// those that lack it.
func (j *Job) awaitFollowers(ctx context.Context, a core.Authority) []string {
	for {
		behind, err := j.nodesBehind(ctx, a)
		if err == nil && len(behind) == 0 {
			return nil
		}
		if sleep(ctx, j.cfg.Limits.PollInterval) == nil {
			continue
		}
		if err != nil {
			return []string{"the other nodes (they did not answer)"}
		}
		return behind
	}
}

func soakResult(s Status, a core.Authority, behind []string) string {
	text := fmt.Sprintf("The control plane has been on KV since generation %d, with %s. The SQLite file on %s is fenced and kept.",
		a.Generation, count(totalKeys(s.Buckets), "key"), s.Node)
	if len(behind) > 0 {
		text += " Not following yet: " + strings.Join(behind, ", ") + "; until they do they serve nothing."
	}
	return text + " Finish when all is well; until then `unibusd migration rollback` writes everything back to SQLite."
}

// revertCutover serves the SQLite file again after a cutover that failed. It lifts
// the fence before it clears the intent, so that a crash in between repeats both.
// forward is true if the cutover ran out of time, false if the node stopped in it.
func (j *Job) revertCutover(ctx context.Context, a core.Authority, forward bool) (State, error) {
	if err := j.liftFence(ctx); err != nil {
		return StateCutover, err
	}
	err := j.saveStatus(func(s *Status) { s.State = StateVerify }, recordOutcome(a))
	if err != nil {
		return StateCutover, err
	}
	cause := core.Errorf(core.KindUnavailable, "%s was stopped during the cutover; nothing was migrated, and its SQLite file serves again", j.cfg.Node).
		WithNext("cut over again: `unibusd migration cutover`")
	if forward {
		cause = core.Errorf(core.KindUnavailable, "the cutover was canceled, because the authority could not be changed in time; SQLite on %s serves again", j.cfg.Node).
			WithNext("start nodes until a majority is up, then cut over again: `unibusd migration cutover`")
	}
	return StateVerify, errors.Join(cause, j.cfg.Host.Serve(ctx, a))
}

// cutoverOvertaken ends a migration whose authority was moved by another node. The
// file stays fenced.
func (j *Job) cutoverOvertaken(ctx context.Context, in Intent, a core.Authority) (State, error) {
	if in.concernsRollback() {
		return j.rollbackOvertaken(ctx, in, a)
	}
	err := j.saveStatus(func(s *Status) { s.State = StateAborted }, recordOutcome(a))
	if err != nil {
		return StateCutover, err
	}
	cause := core.Errorf(core.KindConflict, "another node changed the authority to %s on %s (generation %d); the file on %s stays fenced",
		a.Backend, a.Node, a.Generation, j.cfg.Node).WithNext("find out who changed it before you start anything else")
	return StateAborted, errors.Join(cause, j.cfg.Host.Serve(ctx, a))
}

// recordOutcome clears an intent and records the authority that it led to.
func recordOutcome(a core.Authority) func(*Entry) {
	return func(e *Entry) {
		e.Intent, e.Authority = nil, &a
		e.FileIsAuthority = e.FileIsAuthority && a.Backend == core.BackendSQLite
	}
}
