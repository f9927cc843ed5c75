package migrate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"unibus/core"
)

// Start begins a migration, or joins the running one. Joining keeps its options
// and can only add Cutover. A paused migration resumes in the same way. After a
// cutover Start changes nothing, and the status says so with Written 0.
// KindRefused if the file is not the one this node has open, the replicas are more
// than the nodes, or another node is migrating; KindInvalid for invalid options.
func (j *Job) Start(ctx context.Context, by string, o Options) (Status, error) {
	j.commandLock.Lock()
	defer j.commandLock.Unlock()
	if j.source() == nil {
		return j.startWithoutFile(ctx)
	}
	if err := j.checkOptions(o); err != nil {
		return j.Status(), err
	}
	if st := j.Status(); st.Running {
		return j.joinRunning(o)
	}
	a, _, err := j.readAuthority(ctx)
	if err != nil {
		return j.Status(), err
	}
	st := j.Status()
	if a.Backend == core.BackendKV {
		return alreadyInKV(st, a), nil
	}
	if st.State == StateCutover || st.State == StateRollback {
		return st, core.Errorf(core.KindRefused, "a %s of %s is not settled yet", st.State, j.cfg.Node).
			WithNext("settle it first: `unibusd migration resume`")
	}
	other, err := j.checkCluster(ctx, o)
	if err != nil {
		return st, err
	}
	if st.State == StateFence && !o.DryRun { // an earlier lift failed, and a migration must not start behind a fence
		if st, err = j.retryLiftFence(ctx); err != nil {
			return st, err
		}
	}
	if st.Paused && st.Active() && !o.DryRun {
		return j.resumeRun(o.Cutover)
	}
	if !o.DryRun {
		if err := j.keepFileAuthority(st, a); err != nil {
			return st, err
		}
	}
	return j.beginMigration(by, o, other.Updated)
}

// keepFileAuthority records that the authority named this node's file before the
// migration. An abort then leaves it: otherwise another node would serve a file
// that was left behind. A rollback records the same, but its journal may be lost.
func (j *Job) keepFileAuthority(was Status, a core.Authority) error {
	if was.Active() || a.Backend != core.BackendSQLite || a.Node != j.cfg.Node {
		return nil
	}
	return j.cfg.Journal.Update(func(e *Entry) { e.FileIsAuthority = true })
}

// alreadyInKV is the answer to a start after the cutover.
func alreadyInKV(st Status, a core.Authority) Status {
	st.Written, st.WrittenIsMinimum = 0, false
	st.Result = fmt.Sprintf("The control plane is in KV already (generation %d): there is nothing left to migrate, and nothing was written.", a.Generation)
	return st
}

// startWithoutFile answers on a node without a SQLite file.
func (j *Job) startWithoutFile(ctx context.Context) (Status, error) {
	a, _, err := j.readAuthority(ctx)
	if err == nil && a.Backend == core.BackendKV {
		st, err := j.Current(ctx)
		return alreadyInKV(st, a), err
	}
	return j.Status(), core.Errorf(core.KindRefused, "%s serves no SQLite file", j.cfg.Node).
		WithNext("start the migration on the node that does")
}

// joinRunning adds a requested cutover to the running migration and returns its
// status.
func (j *Job) joinRunning(o Options) (Status, error) {
	st := j.Status()
	if st.Aborting != "" || st.Options.DryRun && !o.DryRun {
		return st, errUnavailable(st, "start", st.Unavailable(ActionStart))
	}
	if o.DryRun {
		return j.Status(), core.Errorf(core.KindRefused, "a migration is running on %s", j.cfg.Node).
			WithNext("wait for it, or abort it, before a dry run")
	}
	if o.Cutover && !st.Options.Cutover && st.Active() {
		if err := j.saveStatus(func(s *Status) { s.Options.Cutover = true }); err != nil {
			return j.Status(), err
		}
	}
	return j.Status(), nil
}

// beginMigration starts a new migration, with a time later than the one in the
// record.
func (j *Job) beginMigration(by string, o Options, last core.Millis) (Status, error) {
	prev := j.Status()
	fresh := Status{
		ID: newID(), State: StatePreflight, Node: j.cfg.Node, By: by, Options: o,
		Started: core.MillisOf(j.cfg.Now()),
		Source:  SourceFile{Path: j.source().Path(), Bytes: j.source().Size(), Schema: j.source().SchemaVersion()},
	}
	fresh.Since, fresh.Updated = fresh.Started, last+1
	if o.DryRun {
		return j.startDryRun(prev, fresh) // the present migration may still need its temporary copy
	}
	if err := errors.Join(removeTemporaryBackup(prev), j.removeUnfinishedBackup()); err != nil {
		return prev, unwrapSingle(err)
	}
	j.mu.Lock()
	j.checkpoint, j.marks = nil, nil
	j.mu.Unlock()
	err := j.startRun(func(s *Status) { *s = fresh })
	return j.Status(), err
}

func newID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	return hex.EncodeToString(b[:])
}

// maxReplicas is JetStream's own limit.
const maxReplicas = 5

func (j *Job) checkOptions(o Options) error {
	if o.DB == "" || !filepath.IsAbs(o.DB) {
		return core.Errorf(core.KindInvalid, "the database %q is not an absolute path", o.DB).
			WithNext("name the file that %s has open: --db %s", j.cfg.Node, j.source().Path())
	}
	if !sameFile(o.DB, j.source().Path()) {
		return core.Errorf(core.KindRefused, "%s has %s open, not %s", j.cfg.Node, j.source().Path(), o.DB).
			WithNext("give --db %s", j.source().Path())
	}
	if o.Rate < 0 {
		return core.Errorf(core.KindInvalid, "%d rows a second are not possible", o.Rate).WithNext("use 1 or more, or 0 for no limit")
	}
	if o.Replicas < 0 || o.Replicas > maxReplicas {
		return core.Errorf(core.KindInvalid, "%d replicas are not possible", o.Replicas).
			WithNext("use 1 to %d, and no more than there are nodes", maxReplicas)
	}
	return nil
}

func sameFile(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	x, errx := os.Stat(a)
	y, erry := os.Stat(b)
	return errx == nil && erry == nil && os.SameFile(x, y)
}

// checkCluster returns the migration in the cluster record.
func (j *Job) checkCluster(ctx context.Context, o Options) (Status, error) {
	c, err := j.cfg.Cluster(ctx)
	if err != nil {
		return Status{}, err
	}
	if o.Replicas > max(1, c.Expected) {
		return Status{}, core.Errorf(core.KindRefused, "%s need as many nodes, and this cluster has %d", count(o.Replicas, "replica"), c.Expected).
			WithNext("use --replicas %d, or add nodes first", c.Expected)
	}
	if err := j.checkReplicas(ctx, o.Replicas); err != nil {
		return Status{}, err
	}
	other, err := readRecord(ctx, j.cfg.Record)
	if err != nil {
		return other, err
	}
	if other.Active() && other.Node != j.cfg.Node {
		return other, core.Errorf(core.KindRefused, "%s runs a migration, in %s", other.Node, other.State).
			WithNext("finish or abort that one first")
	}
	return other, nil
}

// checkReplicas refuses fewer replicas than a bucket has, before a new migration
// replaces a verified one. Buckets that cannot be read may not exist yet;
// preflight and copy report what is wrong with them.
func (j *Job) checkReplicas(ctx context.Context, replicas int) error {
	if replicas == 0 {
		return nil
	}
	for _, t := range core.Tables() {
		nodes, err := j.cfg.Target.Nodes(ctx, t)
		if err == nil && len(nodes) > replicas {
			return core.Errorf(core.KindRefused, "%s has %d replicas already, and they are never lowered to %d; nothing was changed", t.Bucket(), len(nodes), replicas).
				WithNext("use --replicas %d", len(nodes))
		}
		if err != nil && core.KindOf(err) != core.KindNotFound && j.Status().Verified {
			return err
		}
	}
	return nil
}
