package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"unibus/core"
)

// errMigrating is what callers are told while nobody serves.
func errMigrating(in Intent) *core.Error {
	return core.Errorf(core.KindUnavailable, "the control plane is moving to %s", in.To.Backend).
		WithNext("ask again in a few seconds")
}

// runCutover moves the authority by one CAS, or settles one that a crash left in
// between. The intent is on disk and the holder empty before the CAS is sent;
// neither is undone before its outcome is proven.
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

// recordCutoverIntent reads the authority, takes the fence over from its timer and syncs the intent.
func (j *Job) recordCutoverIntent(ctx context.Context) (Intent, error) {
	a, _, err := j.readAuthority(ctx)
	if err != nil {
		return Intent{}, err
	}
	if a.Backend != core.BackendSQLite || a.Node != j.cfg.Node {
		return Intent{}, core.Errorf(core.KindRefused, "SQLite on %s is not the control plane any more: the record says %s of %s", j.cfg.Node, a.Backend, a.Node).
			WithNext("abort this move")
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

// checkFenced makes sure that no change slips into the file after it was verified.
func (j *Job) checkFenced(ctx context.Context) error {
	fenced, err := j.source().Fenced(ctx)
	if err == nil && !fenced {
		err = core.Errorf(core.KindConflict, "the fence of %s was lifted by somebody else", j.source().Path()).
			WithNext("see that nothing but this node works on the file, then cut over again")
	}
	return err
}

// settleIntent brings an intent to an end: the authority is where it was to go, or
// where it was, at a later generation, which kills a CAS still under way. forward
// tries to get there for the limit's patience first; after a crash the move is
// given up, because nobody watched the fence or the guards meanwhile. It asks
// until it knows or the node stops.
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
		return cur, readAgain // absent or older: a read that proves nothing
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

// isRollback says which way the authority was to move.
func (in Intent) isRollback() bool { return in.To.Backend == core.BackendSQLite }

// concernsRollback is true for a rollback, and for one that is taken back.
func (in Intent) concernsRollback() bool { return in.isRollback() || in.ReversesRollback }

// finishCutover ends the cutover: the KV store is published here, and the other nodes
// follow the record. Those that have not yet are named.
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

// awaitFollowers waits until every node's journal holds a; at the end it names those that lack it.
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
	text := fmt.Sprintf("The control plane is KV since generation %d, with %s. The SQLite file on %s is fenced and kept.",
		a.Generation, count(totalKeys(s.Buckets), "key"), s.Node)
	if len(behind) > 0 {
		text += " Not seen to follow yet: " + strings.Join(behind, ", ") + "; until then they serve nothing."
	}
	return text + " Finish when all is well; until then `unibusd migration rollback` brings everything back to SQLite."
}

// revertCutover opens the SQLite file again after a cutover that came to nothing.
// The fence is lifted before the intent is cleared, so that a crash in between repeats it.
// forward says that it ran out of time, otherwise the node had stopped in it.
func (j *Job) revertCutover(ctx context.Context, a core.Authority, forward bool) (State, error) {
	if err := j.liftFence(ctx); err != nil {
		return StateCutover, err
	}
	err := j.saveStatus(func(s *Status) { s.State = StateVerify }, recordOutcome(a))
	if err != nil {
		return StateCutover, err
	}
	cause := core.Errorf(core.KindUnavailable, "%s was stopped during the cutover; nothing was moved, and its SQLite file serves again", j.cfg.Node).
		WithNext("cut over again: `unibusd migration cutover`")
	if forward {
		cause = core.Errorf(core.KindUnavailable, "the cutover was given up, because the authority could not be moved in time; SQLite on %s serves again", j.cfg.Node).
			WithNext("see that a majority of the nodes is up, then cut over again: `unibusd migration cutover`")
	}
	return StateVerify, errors.Join(cause, j.cfg.Host.Serve(ctx, a))
}

// cutoverOvertaken ends a move whose authority somebody else moved: the file stays fenced.
func (j *Job) cutoverOvertaken(ctx context.Context, in Intent, a core.Authority) (State, error) {
	if in.concernsRollback() {
		return j.rollbackOvertaken(ctx, in, a)
	}
	err := j.saveStatus(func(s *Status) { s.State = StateAborted }, recordOutcome(a))
	if err != nil {
		return StateCutover, err
	}
	cause := core.Errorf(core.KindConflict, "the authority moved to %s of %s (generation %d) meanwhile; the file on %s stays fenced",
		a.Backend, a.Node, a.Generation, j.cfg.Node).WithNext("look at who moved it before anything else is started")
	return StateAborted, errors.Join(cause, j.cfg.Host.Serve(ctx, a))
}

// recordOutcome takes an intent back and notes the authority it led to.
func recordOutcome(a core.Authority) func(*Entry) {
	return func(e *Entry) {
		e.Intent, e.Authority = nil, &a
		e.FileIsAuthority = e.FileIsAuthority && a.Backend == core.BackendSQLite
	}
}
