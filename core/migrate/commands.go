package migrate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"unibus/core"
)

// Start begins a move, or joins the one that is running: then the options of
// that one hold, and only Cutover is added where it is asked for. A paused move
// goes on. After a cutover nothing is moved: the status says so with Written 0.
// KindRefused where the file is not this node's, the replicas are more than the
// nodes, or another node is moving; KindInvalid for options that make no sense.
func (j *Job) Start(ctx context.Context, by string, o Options) (Status, error) {
	j.command.Lock()
	defer j.command.Unlock()
	if j.cfg.Source == nil {
		return j.startWithout(ctx)
	}
	if err := j.checkOptions(o); err != nil {
		return j.Status(), err
	}
	if st := j.Status(); st.Running {
		return j.join(o)
	}
	a, _, err := j.authority(ctx)
	if err != nil {
		return j.Status(), err
	}
	st := j.Status()
	if a.Backend == core.BackendKV {
		return moved(st, a), nil
	}
	if st.State == StateCutover {
		return st, core.Errorf(core.KindRefused, "a cutover of %s is not settled yet", j.cfg.Node).
			WithNext("resume, so that its outcome is found out")
	}
	if err := j.checkCluster(ctx, o); err != nil {
		return st, err
	}
	if st.State == StateFence && !o.DryRun { // a lift failed: a new move must not begin behind a fence
		if st, err = j.liftAgain(ctx); err != nil {
			return st, err
		}
	}
	if st.Paused && st.Active() && !o.DryRun {
		return j.goOn()
	}
	return j.begin(by, o)
}

// moved is the answer to a start after the cutover.
func moved(st Status, a core.Authority) Status {
	st.Written = 0
	st.Result = fmt.Sprintf("The control plane is in KV already (generation %d): nothing is left to move, and nothing was written.", a.Generation)
	return st
}

// startWithout answers for a node without a SQLite file.
func (j *Job) startWithout(ctx context.Context) (Status, error) {
	a, _, err := j.authority(ctx)
	if err == nil && a.Backend == core.BackendKV {
		st, err := j.Current(ctx)
		return moved(st, a), err
	}
	return j.Status(), core.Errorf(core.KindRefused, "%s serves no SQLite file", j.cfg.Node).
		WithNext("start the move on the node that does")
}

// join adds a wish to cut over to the running move and returns its status.
func (j *Job) join(o Options) (Status, error) {
	if o.DryRun {
		return j.Status(), core.Errorf(core.KindRefused, "a move is running on %s", j.cfg.Node).
			WithNext("wait for it, or abort it, before a dry run")
	}
	if st := j.Status(); o.Cutover && !st.Options.Cutover && st.Active() && !st.Options.DryRun {
		if err := j.save(func(s *Status) { s.Options.Cutover = true }); err != nil {
			return j.Status(), err
		}
	}
	return j.Status(), nil
}

func (j *Job) begin(by string, o Options) (Status, error) {
	prev := j.Status()
	if err := dropTemporary(prev); err != nil {
		return prev, err
	}
	fresh := Status{
		ID: newID(), State: StatePreflight, Node: j.cfg.Node, By: by, Options: o,
		Started: core.MillisOf(j.cfg.Now()),
		Source:  Source{Path: j.cfg.Source.Path(), Bytes: j.cfg.Source.Size(), Schema: j.cfg.Source.SchemaVersion()},
	}
	fresh.Since = fresh.Started
	if o.DryRun {
		return j.startDry(prev, fresh)
	}
	j.mu.Lock()
	j.cp, j.marks = nil, nil
	j.mu.Unlock()
	err := j.launch(func(s *Status) { *s = fresh })
	return j.Status(), err
}

func newID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return hex.EncodeToString(b[:])
}

// maxReplicas is JetStream's own limit.
const maxReplicas = 5

func (j *Job) checkOptions(o Options) error {
	if o.DB == "" || !filepath.IsAbs(o.DB) {
		return core.Errorf(core.KindInvalid, "the database %q is not an absolute path", o.DB).
			WithNext("name the file that %s has open: %s", j.cfg.Node, j.cfg.Source.Path())
	}
	if !sameFile(o.DB, j.cfg.Source.Path()) {
		return core.Errorf(core.KindRefused, "%s has %s open, not %s", j.cfg.Node, j.cfg.Source.Path(), o.DB).
			WithNext("give --db %s", j.cfg.Source.Path())
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

func (j *Job) checkCluster(ctx context.Context, o Options) error {
	c, err := j.cfg.Cluster(ctx)
	if err != nil {
		return err
	}
	if o.Replicas > max(1, c.Expected) {
		return core.Errorf(core.KindRefused, "%s need as many nodes, and this cluster has %d", count(o.Replicas, "replica"), c.Expected).
			WithNext("use --replicas %d, or add nodes first", c.Expected)
	}
	if err := j.checkReplicas(ctx, o.Replicas); err != nil {
		return err
	}
	other, err := readRecord(ctx, j.cfg.Record)
	if err != nil {
		return err
	}
	if other.Active() && other.Node != j.cfg.Node {
		return core.Errorf(core.KindRefused, "%s has a move under way, in %s", other.Node, other.State).
			WithNext("finish or abort that one first")
	}
	return nil
}

// checkReplicas refuses fewer replicas than a bucket has, before a new move takes
// the place of a verified one. Buckets that nobody can see are not there yet, or
// preflight and copy will say what is wrong with them.
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
		if err != nil && j.Status().Verified {
			return err
		}
	}
	return nil
}

// Pause stops the work after the present batch; Resume goes on from there.
// KindRefused in fence and cutover, which last seconds, and where nothing runs.
func (j *Job) Pause(_ context.Context, by string) (Status, error) {
	j.command.Lock()
	defer j.command.Unlock()
	st := j.Status()
	switch {
	case st.Paused:
		return st, nil
	case !st.Running || !st.Active() || st.Options.DryRun:
		return st, refused(st, "pause", "there is nothing at work")
	case st.State == StateFence:
		return st, refused(st, "pause", "the fence stands for seconds only")
	}
	j.mu.Lock()
	j.paused = true
	j.mu.Unlock()
	j.note(func(s *Status) {
		s.Paused = true
		s.Result = "Paused by " + by + "; SQLite on " + s.Node + " serves as before."
	})
	return j.Status(), nil
}

// Resume goes on where the move was paused, stopped by an error or left by a
// crash. KindRefused where there is nothing to go on with.
func (j *Job) Resume(ctx context.Context, _ string) (Status, error) {
	j.command.Lock()
	defer j.command.Unlock()
	st := j.Status()
	switch {
	case st.Running && st.Paused:
		return j.unpause()
	case st.Running:
		return st, nil
	case st.State == StateFence:
		return j.liftAgain(ctx)
	case st.State == StateVerify && st.Verified:
		return st, refused(st, "resume", "it is verified and awaits the cutover")
	case !st.Active() && st.State != StateCutover:
		return st, refused(st, "resume", "no move is under way")
	}
	return j.goOn()
}

// liftAgain opens the file where a cutover that failed could not.
func (j *Job) liftAgain(ctx context.Context) (Status, error) {
	err := j.lift(ctx)
	if err == nil {
		err = j.save(func(s *Status) { s.State, s.Error = StateVerify, nil })
	}
	return j.Status(), err
}

func (j *Job) goOn() (Status, error) {
	err := j.launch(func(s *Status) { s.Paused = false })
	return j.Status(), err
}

// unpause takes back a pause that the runner has not met yet, or starts it again where it has.
func (j *Job) unpause() (Status, error) {
	j.mu.Lock()
	j.paused, j.st.Paused = false, false
	done := j.done
	j.mu.Unlock()
	select {
	case <-done:
		return j.goOn()
	default:
	}
	j.note(func(s *Status) { s.Result = "" })
	return j.Status(), nil
}

// Cutover moves the control plane to KV. KindRefused before every bucket was verified.
func (j *Job) Cutover(_ context.Context, by string) (Status, error) {
	j.command.Lock()
	defer j.command.Unlock()
	st := j.Status()
	switch {
	case st.State == StateFence || st.State == StateCutover:
		if st.Running {
			return st, nil
		}
		return st, refused(st, "cut over", "the last cutover is not settled: resume first")
	case st.State == StateSoak || st.State == StateDone:
		return st, refused(st, "cut over", "it is in KV already")
	case st.Running || st.State != StateVerify || !st.Verified:
		return st, refused(st, "cut over", "it is not verified yet")
	}
	err := j.launch(func(s *Status) { s.State, s.Paused, s.Options.Cutover, s.By = StateFence, false, true, by })
	return j.Status(), err
}

// Finish ends a move that has cut over. The SQLite file stays, fenced, and is served by no node.
func (j *Job) Finish(_ context.Context, by string) (Status, error) {
	j.command.Lock()
	defer j.command.Unlock()
	st := j.Status()
	switch {
	case st.State == StateDone:
		return st, nil
	case st.State != StateSoak:
		return st, refused(st, "finish", "it has not cut over")
	}
	j.wind()
	err := j.save(func(s *Status) {
		s.State, s.Running = StateDone, false
		s.Result = fmt.Sprintf("Finished by %s. KV is the control plane; %s is kept, fenced: no node serves it, and nothing writes to it.", by, s.Source.Path)
	})
	return j.Status(), err
}

// wind stops a runner that only waits for the nodes to follow.
func (j *Job) wind() {
	if j.Status().Running {
		j.stop()
	}
}

func refused(st Status, what, why string) error {
	return core.Errorf(core.KindRefused, "the move cannot %s in %s: %s", what, st.State, why).
		WithNext("see `unibusd migration status`")
}
