package migrate

import (
	"context"

	"unibus/core"
)

// authorityDecision is what to do about an authority that was read.
type authorityDecision int

const (
	acceptAuthority  authorityDecision = iota // it decides
	replaceAuthority                          // replace it
	readAgain                                 // it decides nothing: ask again
)

// settleAuthority reads the authority and moves it where judge says so, until a read or a
// replaceAuthority of its own tells how it ended. An outcome that is unknown, or somebody
// else's write, only leads to the next read: the record's own CAS keeps two
// writes from both counting. It ends with ctx, with the last error.
func (j *Job) settleAuthority(ctx context.Context, judge func(core.Authority) (core.Authority, authorityDecision)) (core.Authority, error) {
	var last error
	for ctx.Err() == nil {
		cur, rev, err := j.readAuthority(ctx)
		if err == nil {
			next, v := judge(cur)
			if v == acceptAuthority {
				return cur, nil
			}
			if v == replaceAuthority {
				if _, err = j.cfg.Authority.PutAuthority(ctx, next, rev); err == nil {
					return next, nil
				}
			}
		}
		last = err
		_ = sleep(ctx, j.cfg.Limits.PollInterval)
	}
	if last == nil {
		last = ctx.Err()
	}
	return core.Authority{}, core.Errorf(core.KindUnavailable, "the authority record cannot be read or moved: %w", last).
		WithNext("see that a majority of the nodes is up; then try again")
}

// readAuthority reads the record; a zero Authority where there has never been one.
func (j *Job) readAuthority(ctx context.Context) (core.Authority, uint64, error) {
	a, rev, err := j.cfg.Authority.Authority(ctx)
	if core.KindOf(err) == core.KindNotFound {
		return core.Authority{}, rev, nil
	}
	return a, rev, err
}

// claimAuthority makes this node's SQLite file the authority, unless it is already, and
// syncs it to the journal. Another owner gives KindRefused.
func (j *Job) claimAuthority(ctx context.Context) (core.Authority, error) {
	ctx, cancel := context.WithTimeout(ctx, j.cfg.Limits.RetryBudget)
	defer cancel()
	j.setClaimUncertain(true)
	a, err := j.settleAuthority(ctx, func(cur core.Authority) (core.Authority, authorityDecision) {
		if cur.Backend == "" || cur.Backend == core.BackendNone {
			return core.Authority{Backend: core.BackendSQLite, Node: j.cfg.Node, Generation: cur.Generation + 1}, replaceAuthority
		}
		return cur, acceptAuthority
	})
	if err != nil {
		return a, err
	}
	j.setClaimUncertain(false)
	if p := j.authorityProblem(a); p != nil {
		return a, core.Errorf(core.KindRefused, "%s", p.Text).WithNext("%s", p.Next)
	}
	return a, j.cfg.Journal.Update(func(e *Entry) { e.Authority, e.File = &a, j.source().Path() })
}

// setClaimUncertain notes that a claim is sent and its outcome not known.
func (j *Job) setClaimUncertain(now bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.claimUncertain = now
}

// authorityProblem says why a move cannot start under this authority; nil where it can.
func (j *Job) authorityProblem(a core.Authority) *core.Problem {
	switch {
	case a.Backend == core.BackendSQLite && a.Node != j.cfg.Node:
		return &core.Problem{
			Text: "the control plane is the SQLite file of " + a.Node + ", not of " + j.cfg.Node,
			Next: "start the move on " + a.Node + ", or abort the one begun there; since a rollback the authority stays there, and `unibusd migrate-to-kv --node " + j.cfg.Node + " …` says what leads to another file",
		}
	case a.Backend == core.BackendKV:
		return &core.Problem{Text: "the control plane is in KV already", Next: "nothing is left to move"}
	}
	return nil
}

// releaseAuthority puts the authority back to none where it is this node's, unless it was
// before the move: with a record of none after a rollback, another node would
// serve a file of its own that was left behind, and revoked users with it. A claim
// that may still be under way is killed by a record of none of a later revision.
func (j *Job) releaseAuthority(ctx context.Context) (core.Authority, error) {
	e, err := j.cfg.Journal.Load()
	if err != nil {
		return core.Authority{}, err
	}
	j.mu.Lock()
	doubt := j.claimUncertain
	j.mu.Unlock()
	a, err := j.settleAuthority(ctx, func(cur core.Authority) (core.Authority, authorityDecision) {
		mine := cur.Backend == core.BackendSQLite && cur.Node == j.cfg.Node
		free := cur.Backend == "" || cur.Backend == core.BackendNone
		if e.FileIsAuthority || !mine && !(doubt && free) {
			return cur, acceptAuthority
		}
		return core.Authority{Backend: core.BackendNone, Node: j.cfg.Node, Generation: cur.Generation + 1}, replaceAuthority
	})
	if err == nil {
		j.setClaimUncertain(false)
	}
	return a, err
}

// closeGuards closes the target to others for the generation that a cutover would
// lead to. A bucket that a stalled writer of before still aims at refuses it.
func (j *Job) closeGuards(ctx context.Context) error {
	a, _, err := j.readAuthority(ctx)
	if err != nil {
		return err
	}
	if a.Backend != core.BackendSQLite || a.Node != j.cfg.Node {
		return core.Errorf(core.KindRefused, "SQLite on %s is not the control plane any more: the record says %s of %s", j.cfg.Node, a.Backend, a.Node).
			WithNext("abort this move")
	}
	return j.cfg.Target.Shut(ctx, a.Generation+1)
}
