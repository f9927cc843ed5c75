package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"unibus/core"
)

// runVerify proves that every node's own replica equals the backup. Then it waits
// for the operator, or continues to the cutover if that was requested. After a
// pause it does not repeat a completed proof.
func (j *Job) runVerify(ctx context.Context) (State, error) {
	if st := j.Status(); !st.Verified {
		if err := j.compareWithBackup(ctx, st); err != nil {
			return StateVerify, err
		}
	}
	removed := j.copyCheckpoint().Removed
	err := j.saveStatus(func(s *Status) {
		if !s.Verified {
			s.Verified, s.ComparedAt = true, core.MillisOf(j.cfg.Now())
		}
		s.Result = verifiedResult(*s, removed)
	})
	if err != nil {
		return StateVerify, err
	}
	if err := j.awaitReadyNodes(ctx, j.cfg.Limits.ReadyTimeout); err != nil {
		return StateVerify, err
	}
	if !j.Status().Options.Cutover {
		return StateVerify, nil
	}
	return StateFence, nil
}

// compareWithBackup compares the backup with every replica, and keeps the
// positions up to which they are equal.
func (j *Job) compareWithBackup(ctx context.Context, st Status) error {
	c, err := j.openBackup(ctx, st.Backup.Path)
	if err != nil {
		return err
	}
	marks, err := j.readMarks(ctx) // before the comparison, so that writes during it count as changes
	if err != nil {
		return unwrapSingle(errors.Join(err, c.Close()))
	}
	parity, err := j.compareTables(ctx, c)
	if err = errors.Join(err, c.Close()); err != nil {
		return unwrapSingle(err)
	}
	if err := checkBackupUnchanged(st, parity); err != nil {
		return err
	}
	if err := j.requireParity(parity); err != nil {
		return err
	}
	if err := removeTemporaryBackup(st); err != nil {
		return err
	}
	j.storeMarks(marks, parity)
	return nil
}

// checkBackupUnchanged compares the digests of the backup with those from when it
// was taken.
func checkBackupUnchanged(st Status, now []Parity) error {
	for i, p := range st.Buckets {
		if i < len(now) && now[i].Source != p.Source {
			return core.Errorf(core.KindFailed, "the backup %s changed after it was taken: %s is not what it was", st.Backup.Path, p.Name).
				WithNext("check the disk, then start again, which takes a new backup: `%s`", startCommand(st.Node, st.Source.Path))
		}
	}
	return nil
}

// requireParity publishes the comparison; KindFailed if anything differs.
func (j *Job) requireParity(parity []Parity) error {
	j.updateStatus(func(s *Status) { s.Buckets = parity })
	var unequal []string
	for _, p := range parity {
		if !p.Equal() {
			unequal = append(unequal, fmt.Sprintf("%s (%d missing, %d different, %d extra)", p.Name, len(p.Missing), len(p.Different), len(p.Extra)))
		}
	}
	if len(unequal) == 0 {
		return nil
	}
	j.updateStatus(func(s *Status) { s.Verified = false })
	return core.Errorf(core.KindFailed, "not every replica equals the source: %s", strings.Join(unequal, ", ")).
		WithNext("look at the keys that are listed with their node, then start again, which writes what is missing. If only one node differs, restart it first, so that it copies from its peers")
}

func verifiedResult(s Status, removed int) string {
	text := fmt.Sprintf("Every bucket equals the source on every node; %s written.", s.writtenKeys())
	if removed > 0 {
		least := ""
		if s.WrittenIsMinimum {
			least = "at least "
		}
		text = fmt.Sprintf("Every bucket equals the source on every node; %s written or removed, %s%d of them because the source lacks them.", s.writtenKeys(), least, removed)
	}
	return text + " SQLite on " + s.Node + " still serves: cut over when ready."
}

// compareTables compares every replica of every table with from, and lists what
// differs. All tables are read at the same time, so that waiting for one reader
// costs no time; the target bounds how many requests are open.
func (j *Job) compareTables(ctx context.Context, from rowSource) ([]Parity, error) {
	ctx, stop := j.withPauseCancel(ctx)
	defer stop()
	tables := core.Tables()
	out, errs := make([]Parity, len(tables)), make([]error, len(tables))
	var readers sync.WaitGroup
	for i, t := range tables {
		readers.Go(func() { out[i], errs[i] = j.compareTable(ctx, from, t) })
	}
	readers.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return out, cmp.Or(errs...)
}

// withPauseCancel returns a context that ends when the operator pauses: comparing
// large tables takes minutes, and starts again in any case.
func (j *Job) withPauseCancel(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		for sleep(ctx, j.cfg.Limits.PollInterval) == nil {
			if err := j.checkInterrupted(ctx); err != nil {
				cancel(err)
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// compareTable reads the source and the table's replicas at the same time.
func (j *Job) compareTable(ctx context.Context, from rowSource, t core.Table) (Parity, error) {
	nodes, err := j.replicaNodes(ctx, t)
	if err != nil {
		return Parity{}, err
	}
	var wg sync.WaitGroup
	sum := sync.OnceValues(func() (core.Digest, error) { return digestOf(from.Rows(ctx, t)) })
	wg.Go(func() { _, _ = sum() })
	found := make([]replicaComparison, len(nodes))
	for i, n := range nodes {
		wg.Go(func() { found[i] = j.compareReplica(ctx, from, t, n, sum) })
	}
	wg.Wait()
	want, err := sum()
	if err != nil {
		return Parity{}, err
	}
	return parityOf(t, want, found)
}

// replicaNodes names the nodes that hold a table. Fewer than were requested are an
// error.
func (j *Job) replicaNodes(ctx context.Context, t core.Table) (nodes []string, err error) {
	err = j.retry(ctx, func(ctx context.Context) (err error) {
		nodes, err = j.cfg.Target.Nodes(ctx, t)
		return err
	})
	if err == nil && len(nodes) < max(1, j.Status().Options.Replicas) {
		err = core.Errorf(core.KindFailed, "%s has %s, %d were asked for", t.Bucket(), count(len(nodes), "replica"), j.Status().Options.Replicas).
			WithNext("scale the buckets, then start again")
	}
	return nodes, err
}

// parityOf combines the comparisons of all replicas.
func parityOf(t core.Table, want core.Digest, found []replicaComparison) (Parity, error) {
	p := Parity{
		Name: t.Bucket(), Source: want, Nodes: map[string]core.Digest{},
		Missing: []string{}, Different: []string{}, Extra: []string{},
	}
	for _, r := range found {
		if r.failure != nil {
			return p, r.failure
		}
		p.Nodes[r.node] = r.digest
		p.Missing = appendLimited(p.Missing, r.missing...)
		p.Different = appendLimited(p.Different, r.different...)
		p.Extra = appendLimited(p.Extra, r.extra...)
	}
	return p, nil
}

// replicaComparison is what one node holds of one table, compared with the source.
type replicaComparison struct {
	node                      string
	digest                    core.Digest
	missing, different, extra []string // node/key
	failure                   error
}

// compareReplica computes the digest of one replica. A different one is read
// again, because the replica may just be behind its leader. Remaining differences
// are listed by key.
func (j *Job) compareReplica(ctx context.Context, from rowSource, t core.Table, node string, source func() (core.Digest, error)) replicaComparison {
	r := replicaComparison{node: node}
	var want core.Digest
	for try := 1; ; try++ {
		r.failure = j.retry(ctx, func(ctx context.Context) (err error) {
			r.digest, err = j.cfg.Target.ReplicaDigest(ctx, t, node)
			return err
		})
		if r.failure == nil {
			want, r.failure = source()
		}
		if r.failure != nil || r.digest == want {
			return r
		}
		if try >= j.cfg.Limits.ReplicaReads {
			r.failure = r.listDifferences(from.Rows(ctx, t), j.cfg.Target.ReplicaRows(ctx, t, node))
			return r
		}
		if r.failure = sleep(ctx, j.cfg.Limits.PollInterval); r.failure != nil {
			return r
		}
	}
}

func (r *replicaComparison) listDifferences(want, have iter.Seq2[core.Row, error]) error {
	return merge(want, have, func(p pair) error {
		name := r.node + "/" + p.key
		switch {
		case p.equal():
		case p.missing():
			r.missing = appendLimited(r.missing, name)
		case p.extra():
			r.extra = appendLimited(r.extra, name)
		default:
			r.different = appendLimited(r.different, name)
		}
		return nil
	})
}

// appendLimited appends keys up to MaxListed in all, so that a status stays small.
func appendLimited(to []string, keys ...string) []string {
	return append(to, keys[:min(len(keys), max(0, MaxListed-len(to)))]...)
}

// totalKeys counts the keys of all tables.
func totalKeys(buckets []Parity) int {
	n := 0
	for _, p := range buckets {
		n += p.Source.Count
	}
	return n
}
