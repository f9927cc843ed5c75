package migrate

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"unibus/core"
)

// runRollback makes a SQLite file the control plane again. It closes the guards of
// KV on every node, exports KV to a new file, reads that back, and moves the
// authority by one compare-and-swap. Meanwhile users get "the control plane is
// moving". A rollback that fails or stops before that is canceled: KV serves
// again, one generation later.
func (j *Job) runRollback(ctx context.Context) (State, error) {
	e, err := j.cfg.Journal.Load()
	if err != nil {
		return StateRollback, err
	}
	if e.Intent != nil {
		return j.settleIntent(ctx, *e.Intent, false)
	}
	if e.rolledBackTo(j.cfg.Node) { // the authority has moved; the file is not served yet
		return j.serveRolledBackFile(ctx, e)
	}
	in, err := j.recordRollbackIntent(ctx)
	if err != nil {
		return StateSoak, err
	}
	j.cfg.Host.Withdraw(errMigrating(in))
	if cause := j.exportKV(ctx, &in); cause != nil {
		return j.cancelRollback(ctx, in, cause)
	}
	return j.settleIntent(ctx, in, true)
}

// recordRollbackIntent records, before it closes anything, that KV may stop being
// the authority, and where the new file is written.
func (j *Job) recordRollbackIntent(ctx context.Context) (Intent, error) {
	var a core.Authority
	err := j.retry(ctx, func(ctx context.Context) (err error) {
		a, _, err = j.readAuthority(ctx)
		return err
	})
	if err != nil {
		return Intent{}, err
	}
	if a.Backend != core.BackendKV || a.Node != j.cfg.Node {
		return Intent{}, core.Errorf(core.KindRefused, "the authority record names %s on %s, so this node cannot roll it back", a.Backend, a.Node).
			WithNext("roll back on %s: `unibusd migration rollback`", a.Node)
	}
	if err := j.checkRollbackSpace(ctx); err != nil {
		return Intent{}, err
	}
	path, err := unusedPath(j.rollbackDir(), "unibus-rollback-"+j.cfg.Now().UTC().Format("20060102-150405"))
	if err != nil {
		return Intent{}, err
	}
	in := Intent{
		From: a, At: core.MillisOf(j.cfg.Now()), File: path,
		To: core.Authority{Backend: core.BackendSQLite, Node: j.cfg.Node, Generation: a.Generation + 1},
	}
	return in, j.saveStatus(func(s *Status) { s.Export = Backup{}; s.Progress = exportProgress(*s) }, func(e *Entry) { e.Intent = &in })
}

// checkRollbackSpace refuses a rollback that would fill the disk, before anything
// is closed. The new file takes about the size of the source, or of the present
// buckets.
func (j *Job) checkRollbackSpace(ctx context.Context) error {
	need, dir := j.Status().Source.Bytes, j.rollbackDir()
	if size, err := j.cfg.Target.BucketBytes(ctx); err == nil {
		need = max(need, size)
	}
	free, err := j.cfg.FreeSpace(dir)
	if err != nil {
		return err
	}
	if free >= need {
		return nil
	}
	return core.Errorf(core.KindRefused, "%s on %s has %s free, and the file of a rollback may take %s; nothing was closed, and KV serves as before", dir, j.cfg.Node, megabytes(free), megabytes(need)).
		WithNext("free disk space there, then roll back again: `unibusd migration rollback`")
}

// rollbackDir is the directory of the source file: the node serves the new file
// from there.
func (j *Job) rollbackDir() string {
	if src := j.source(); src != nil {
		return filepath.Dir(src.Path())
	}
	return j.backupDir()
}

func exportProgress(s Status) []Progress {
	var out []Progress
	for _, t := range fileTables() {
		p := Progress{Table: t}
		for _, b := range s.Buckets {
			if b.Name == t.Bucket() {
				p.Total = b.Source.Count
			}
		}
		out = append(out, p)
	}
	return out
}

// exportKV closes KV for all writers, exports it and verifies the file. It waits
// until no node can rely on a proof from before the guards were closed.
func (j *Job) exportKV(ctx context.Context, in *Intent) error {
	if err := j.retry(ctx, func(ctx context.Context) error { return j.cfg.Target.Shut(ctx, in.To.Generation) }); err != nil {
		return err
	}
	shut := time.Now()
	meter := newMeter(time.Now, j.Status().Progress)
	x := Export{From: j.cfg.Target, Create: j.recordCreatedFile(in), Open: j.cfg.OpenBackup, Rows: func(t core.Table, rows int) {
		rate, left := meter.add(rows, 0)
		j.updateStatus(func(s *Status) {
			addProgress(s.Progress, t, rows)
			s.Rate, s.LeftMS = rate, left
		})
	}}
	b, sums, err := x.Run(ctx, in.File)
	if err != nil {
		return err
	}
	err = j.saveStatus(func(s *Status) {
		s.Export, s.Buckets, s.Rate, s.LeftMS = b, exportParity(s.Buckets, j.cfg.Node, sums), 0, 0
	})
	if err != nil {
		return err
	}
	if err := sleep(ctx, time.Until(shut.Add(j.cfg.Limits.AdmissionLease))); err != nil {
		return err
	}
	return checkExportedFile(b)
}

// recordCreatedFile records that this node has created the file, so that only its
// own file is ever removed.
func (j *Job) recordCreatedFile(in *Intent) func(ctx context.Context, path string) (FileWriter, error) {
	return func(ctx context.Context, path string) (FileWriter, error) {
		w, err := j.cfg.CreateFile(ctx, path)
		if err != nil {
			return nil, err
		}
		in.FileCreated = true
		noted := *in
		if err := j.saveStatus(func(*Status) {}, func(e *Entry) { e.Intent = &noted }); err != nil {
			return nil, errors.Join(err, w.Discard())
		}
		return w, nil
	}
}

// checkExportedFile looks at the file once more before the authority moves to it.
func checkExportedFile(b Backup) error {
	info, err := os.Stat(b.Path)
	if err == nil && info.Size() == b.Bytes {
		return nil
	}
	return core.Errorf(core.KindFailed, "%s is no longer what was written and verified", b.Path).
		WithNext("find out what removes or changes files in %s", filepath.Dir(b.Path))
}

// exportParity says what the new file holds. The index is derived and not in it.
func exportParity(before []Parity, node string, sums map[core.Table]core.Digest) []Parity {
	var out []Parity
	for _, t := range fileTables() {
		out = append(out, Parity{
			Name: t.Bucket(), Source: sums[t], Nodes: map[string]core.Digest{node: sums[t]},
			Missing: []string{}, Different: []string{}, Extra: []string{},
		})
	}
	for _, p := range before {
		if p.Name == core.TableRoomsByMember.Bucket() {
			p.Nodes = map[string]core.Digest{}
			out = append(out, p)
		}
	}
	return out
}

// cancelRollback opens KV again after a rollback that failed before its
// compare-and-swap.
func (j *Job) cancelRollback(ctx context.Context, in Intent, cause error) (State, error) {
	next, err := j.settleIntent(ctx, in, false)
	if ctx.Err() != nil || next == StateRollback {
		return next, errors.Join(cause, err) // the next start settles the intent
	}
	why := core.AsError(cause)
	return next, core.Errorf(why.Kind, "the rollback was canceled, and KV serves as before: %w", why).
		WithNext("%s", strings.TrimPrefix(why.Next+"; then roll back again: `unibusd migration rollback`", "; then "))
}

// closeGuardsAgain closes the guards for the generation of a rollback, so that a
// record of that generation can open them. Guards of a later generation are left
// alone. It repeats until that is done or the node stops.
func (j *Job) closeGuardsAgain(ctx context.Context, in Intent) error {
	for ctx.Err() == nil {
		err := j.cfg.Target.Shut(ctx, in.To.Generation)
		if k := core.KindOf(err); err == nil || k == core.KindConflict {
			return nil
		}
		j.cfg.Log.Warn("the buckets cannot be reached to cancel a rollback; trying again", "error", err)
		_ = sleep(ctx, j.cfg.Limits.PollInterval)
	}
	return ctx.Err()
}

// finishCancelledRollback ends a rollback that was canceled: the buckets are open
// again.
func (j *Job) finishCancelledRollback(ctx context.Context, in Intent, a core.Authority) (State, error) {
	left, removed := j.removeRollbackFile(in)
	err := j.saveStatus(func(s *Status) {
		s.State, s.Export = StateSoak, Backup{}
		s.Result = soakResult(*s, a, nil)
	}, recordOutcome(a))
	if err != nil {
		return StateRollback, err
	}
	cause := core.Errorf(core.KindUnavailable, "the rollback was stopped before the authority moved; KV serves again, and nothing is lost").
		WithNext("%sroll back again: `unibusd migration rollback`", left)
	return StateSoak, errors.Join(cause, removed, j.cfg.Host.Serve(ctx, a))
}

// removeRollbackFile removes the file of a canceled rollback if this node created
// it. left names a file of which that is not known.
func (j *Job) removeRollbackFile(in Intent) (left string, err error) {
	if in.File == "" {
		return "", nil
	}
	if in.FileCreated {
		return "", RemoveSQLiteFile(in.File)
	}
	if _, err := os.Lstat(in.File); err == nil {
		left = in.File + " exists and may belong to another program, so it was kept: look at it; then "
	}
	return left, nil
}

// rollbackOvertaken ends a rollback whose authority was moved by another node. Its
// file holds everything that KV held, so it is kept.
func (j *Job) rollbackOvertaken(ctx context.Context, in Intent, a core.Authority) (State, error) {
	next := StateAborted
	if a.Backend == core.BackendKV {
		next = StateSoak
	}
	kept := ""
	err := j.saveStatus(func(s *Status) {
		if s.State, s.Result = next, ""; next == StateSoak {
			s.Result = soakResult(*s, a, nil)
		}
		if in.FileCreated || s.Export.Path != "" {
			kept = "; the file of the rollback is kept: " + cmp.Or(in.File, s.Export.Path)
		}
	}, recordOutcome(a), func(e *Entry) { e.FileNeverServed = false })
	if err != nil {
		return StateRollback, err
	}
	cause := core.Errorf(core.KindConflict, "the rollback ended, because another node changed the authority to %s on %s (generation %d)%s", a.Backend, a.Node, a.Generation, kept).
		WithNext("find out who changed it before you start anything else. Keep that file until then, and remove it afterwards: it holds the whole control plane")
	return next, errors.Join(cause, j.cfg.Host.Serve(ctx, a))
}
