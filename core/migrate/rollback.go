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

// runRollback brings the control plane back to SQLite: the guards of KV are closed
// on every node, so that nothing is written any more, what counts is exported
// to a new file and read back, and the authority moves by one CAS. Users see
// "the control plane is moving" meanwhile. What fails before the CAS, or was
// stopped in it, is given up: KV goes on, one generation later.
func (j *Job) runRollback(ctx context.Context) (State, error) {
	e, err := j.cfg.Journal.Load()
	if err != nil {
		return StateRollback, err
	}
	if e.Intent != nil {
		return j.settleIntent(ctx, *e.Intent, false)
	}
	if e.rolledBackTo(j.cfg.Node) { // only the file was not served yet
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

// recordRollbackIntent notes, before anything is closed, that KV may stop to count and
// where the new file is written.
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
		return Intent{}, core.Errorf(core.KindRefused, "the record of authority says %s of %s: it is not this node's to move back", a.Backend, a.Node).
			WithNext("ask on %s", a.Node)
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

// checkRollbackSpace refuses a rollback that would fill the disk, before anything is closed:
// the new file takes about what the source took, or what the buckets take now.
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
	return core.Errorf(core.KindRefused, "%s on %s has %s free, and the file of a rollback may take %s; nothing was closed, KV serves on", dir, j.cfg.Node, megabytes(free), megabytes(need)).
		WithNext("make room there, then roll back again: `unibusd migration rollback`")
}

// rollbackDir is where the file that came from lies: the new one is served from there.
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

// exportKV closes KV for everybody, exports it and proves the file. It waits
// until no node can rely any more on what it proved before the guards were closed.
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

// recordCreatedFile notes that the file is this node's own once it has made it.
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

// checkExportedFile is the last look at the file before the authority moves to it.
func checkExportedFile(b Backup) error {
	info, err := os.Stat(b.Path)
	if err == nil && info.Size() == b.Bytes {
		return nil
	}
	return core.Errorf(core.KindFailed, "%s is not what was just written and read back", b.Path).
		WithNext("see what removes or changes files in %s", filepath.Dir(b.Path))
}

// exportParity says what the new file holds; the index is derived, and not in it.
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

// cancelRollback opens KV again after a rollback that failed before its CAS.
func (j *Job) cancelRollback(ctx context.Context, in Intent, cause error) (State, error) {
	next, err := j.settleIntent(ctx, in, false)
	if ctx.Err() != nil || next == StateRollback {
		return next, errors.Join(cause, err) // the intent stands, and the next start settles it
	}
	why := core.AsError(cause)
	return next, core.Errorf(why.Kind, "the rollback was given up, and KV serves as before: %w", why).
		WithNext("%s", strings.TrimPrefix(why.Next+"; then roll back again: `unibusd migration rollback`", "; then "))
}

// closeGuardsAgain closes the guards for the generation that a rollback wanted, so that a
// record of that generation can open them; those of a later one are left alone.
// It asks until it is done or the node stops.
func (j *Job) closeGuardsAgain(ctx context.Context, in Intent) error {
	for ctx.Err() == nil {
		err := j.cfg.Target.Shut(ctx, in.To.Generation)
		if k := core.KindOf(err); err == nil || k == core.KindConflict {
			return nil
		}
		j.cfg.Log.Warn("the buckets cannot be reached to give a rollback up; asking again", "error", err)
		_ = sleep(ctx, j.cfg.Limits.PollInterval)
	}
	return ctx.Err()
}

// finishCancelledRollback ends a rollback that was given up: the buckets are open again.
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

// removeRollbackFile removes the file of a rollback that was given up, where this node made
// it; left names one of which that is not known.
func (j *Job) removeRollbackFile(in Intent) (left string, err error) {
	if in.File == "" {
		return "", nil
	}
	if in.FileCreated {
		return "", RemoveSQLiteFile(in.File)
	}
	if _, err := os.Lstat(in.File); err == nil {
		left = in.File + " is there, perhaps somebody else's, and was left as it is: look at it; then "
	}
	return left, nil
}

// rollbackOvertaken ends a rollback whose authority somebody else moved. Its file
// holds all that KV held then, so it is kept.
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
			kept = "; the file that the rollback wrote is kept: " + cmp.Or(in.File, s.Export.Path)
		}
	}, recordOutcome(a), func(e *Entry) { e.FileNeverServed = false })
	if err != nil {
		return StateRollback, err
	}
	cause := core.Errorf(core.KindConflict, "the rollback ended, because the authority moved to %s of %s (generation %d) meanwhile%s", a.Backend, a.Node, a.Generation, kept).
		WithNext("look at who moved it before anything else is started; keep that file until it is clear, then remove it: it holds the whole control plane")
	return next, errors.Join(cause, j.cfg.Host.Serve(ctx, a))
}
