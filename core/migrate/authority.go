package migrate

import (
	"context"

	"unibus/core"
)

// authorityDecision says what to do about an authority that was read.
type authorityDecision int

const (
	acceptAuthority  authorityDecision = iota // the outcome is known
	replaceAuthority                          // write another one
	readAgain                                 // the read proves nothing
)

// settleAuthority reads the authority and changes it as judge says, until a read
// or its own write shows the outcome. After an unknown outcome, or a write by
// another node, it reads again: the compare-and-swap of the record never lets two
// writes succeed. It ends with ctx and returns the last error.
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
	return core.Authority{}, core.Errorf(core.KindUnavailable, "the authority record cannot be read or written: %w", last).
		WithNext("start nodes until a majority is up, then try again")
}

// readAuthority reads the record; a zero Authority if there has never been one.
func (j *Job) readAuthority(ctx context.Context) (core.Authority, uint64, error) {
	a, rev, err := j.cfg.Authority.Authority(ctx)
	if core.KindOf(err) == core.KindNotFound {
		return core.Authority{}, rev, nil
	}
	return a, rev, err
}

// claimAuthority makes this node's SQLite file the authority, unless it already
// is, and syncs it to the journal. KindRefused if the authority is another store.
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

// setClaimUncertain records that a claim was sent and its outcome is not known.
func (j *Job) setClaimUncertain(now bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.claimUncertain = now
}

// authorityProblem says why a migration cannot start under this authority; nil if
// it can.
func (j *Job) authorityProblem(a core.Authority) *core.Problem {
	switch {
	case a.Backend == core.BackendSQLite && a.Node != j.cfg.Node:
		return &core.Problem{
			Text: "the control plane is the SQLite file of " + a.Node + ", not of " + j.cfg.Node,
			Next: "start the migration on " + a.Node + ", or abort the one started there. After a rollback the authority stays there; this says how another file is migrated all the same: `unibusd migrate-to-kv --node " + j.cfg.Node + " --db FILE`",
		}
	case a.Backend == core.BackendKV:
		return &core.Problem{Text: "the control plane is in KV already", Next: "there is nothing left to migrate"}
	}
	return nil
}

// releaseAuthority sets the authority to none if it is this node's. It leaves an
// authority from before the migration: with none, another node would serve a file
// of its own that was left behind, with users who were revoked since. A claim
// without an answer may still arrive; a record of none with a later revision
// defeats it.
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

// closeGuards closes the target to other writers for the generation that a cutover
// would lead to. From then on the buckets refuse a stalled writer of an earlier
// generation.
func (j *Job) closeGuards(ctx context.Context) error {
	a, _, err := j.readAuthority(ctx)
	if err != nil {
		return err
	}
	if a.Backend != core.BackendSQLite || a.Node != j.cfg.Node {
		return core.Errorf(core.KindRefused, "SQLite on %s is no longer the control plane: the authority record names %s on %s", j.cfg.Node, a.Backend, a.Node).
			WithNext("abort this migration: `unibusd migration abort`")
	}
	return j.cfg.Target.Shut(ctx, a.Generation+1)
}
