package migrate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"unibus/core"
)

// verify proves that every node's own replica is the backup. Then it awaits the
// operator, or goes on where that was asked for. What was proven before a pause
// is not proven again.
func (j *Job) verify(ctx context.Context) (State, error) {
	if st := j.Status(); !st.Verified {
		if err := j.prove(ctx, st); err != nil {
			return StateVerify, err
		}
	}
	removed := j.checkpoint().Removed
	err := j.save(func(s *Status) {
		if !s.Verified {
			s.Verified, s.Compared = true, core.MillisOf(j.cfg.Now())
		}
		s.Result = verifiedResult(*s, removed)
	})
	if err != nil {
		return StateVerify, err
	}
	if err := j.awaitReady(ctx, j.cfg.Limits.Ready); err != nil {
		return StateVerify, err
	}
	if !j.Status().Options.Cutover {
		return StateVerify, nil
	}
	return StateFence, nil
}

// prove compares the backup with every replica and keeps the places up to which they are equal.
func (j *Job) prove(ctx context.Context, st Status) error {
	c, err := j.openCopy(ctx, st.Backup.Path)
	if err != nil {
		return err
	}
	marks, err := j.mark(ctx) // before the comparison: what is written during it is looked at again
	if err != nil {
		return unjoin(errors.Join(err, c.Close()))
	}
	parity, err := j.compare(ctx, c)
	if err = errors.Join(err, c.Close()); err != nil {
		return unjoin(err)
	}
	if err := sameBackup(st, parity); err != nil {
		return err
	}
	if err := j.judgeParity(parity); err != nil {
		return err
	}
	if err := dropTemporary(st); err != nil {
		return err
	}
	j.keepMarks(marks, parity)
	return nil
}

// sameBackup makes sure that the backup still holds what it held when it was taken.
func sameBackup(st Status, now []Parity) error {
	for i, p := range st.Buckets {
		if i < len(now) && now[i].Source != p.Source {
			return core.Errorf(core.KindFailed, "the backup %s changed after it was taken: %s is not what it was", st.Backup.Path, p.Name).
				WithNext("check the disk, then start again: a new backup is taken")
		}
	}
	return nil
}

// judgeParity publishes what was compared; KindFailed where something differs.
func (j *Job) judgeParity(parity []Parity) error {
	j.note(func(s *Status) { s.Buckets = parity })
	var unequal []string
	for _, p := range parity {
		if !p.Equal() {
			unequal = append(unequal, fmt.Sprintf("%s (%d missing, %d different, %d extra)", p.Name, len(p.Missing), len(p.Different), len(p.Extra)))
		}
	}
	if len(unequal) == 0 {
		return nil
	}
	j.note(func(s *Status) { s.Verified = false })
	return core.Errorf(core.KindFailed, "not every replica equals the source: %s", strings.Join(unequal, ", ")).
		WithNext("look at the keys that are listed with their node; start again to write what is missing; where one node alone differs, restart it so that it heals from its peers, then start again")
}

func verifiedResult(s Status, removed int) string {
	text := fmt.Sprintf("Every bucket equals the source on every node; %s written.", s.wrote())
	if removed > 0 {
		least := ""
		if s.AtLeast {
			least = "at least "
		}
		text = fmt.Sprintf("Every bucket equals the source on every node; %s written or removed, %s%d of them because the source lacks them.", s.wrote(), least, removed)
	}
	return text + " SQLite on " + s.Node + " still serves: cut over when ready."
}

// compare sums up from and every replica of every table, and lists what differs.
// All tables are read side by side, so that the reader that the last replica still
// waits for costs no time; how much is under way is the target's to bound.
func (j *Job) compare(ctx context.Context, from RowSource) ([]Parity, error) {
	ctx, stop := j.untilPaused(ctx)
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
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// untilPaused is a context that ends where a pause is wanted: a comparison of
// large tables takes minutes, and begins anew in any case.
func (j *Job) untilPaused(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		for wait(ctx, j.cfg.Limits.Poll) == nil {
			if err := j.breathe(ctx); err != nil {
				cancel(err)
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// compareTable reads the source and the table's replicas side by side, one goroutine each.
func (j *Job) compareTable(ctx context.Context, from RowSource, t core.Table) (Parity, error) {
	nodes, err := j.replicas(ctx, t)
	if err != nil {
		return Parity{}, err
	}
	var wg sync.WaitGroup
	sum := sync.OnceValues(func() (core.Digest, error) { return digestOf(from.Rows(ctx, t)) })
	wg.Go(func() { _, _ = sum() })
	found := make([]replica, len(nodes))
	for i, n := range nodes {
		wg.Go(func() { found[i] = j.readReplica(ctx, from, t, n, sum) })
	}
	wg.Wait()
	want, err := sum()
	if err != nil {
		return Parity{}, err
	}
	return gather(t, want, found)
}

// replicas names the nodes that hold a table; fewer than were asked for are an error.
func (j *Job) replicas(ctx context.Context, t core.Table) (nodes []string, err error) {
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

func gather(t core.Table, want core.Digest, found []replica) (Parity, error) {
	p := Parity{
		Name: t.Bucket(), Source: want, Nodes: map[string]core.Digest{},
		Missing: []string{}, Different: []string{}, Extra: []string{},
	}
	for _, r := range found {
		if r.err != nil {
			return p, r.err
		}
		p.Nodes[r.node] = r.digest
		p.Missing = appendListed(p.Missing, r.missing)
		p.Different = appendListed(p.Different, r.different)
		p.Extra = appendListed(p.Extra, r.extra)
	}
	return p, nil
}

// replica is what one node holds of one table.
type replica struct {
	node                      string
	digest                    core.Digest
	missing, different, extra []string // node/key
	err                       error
}

// readReplica sums up one replica. One that differs is read again: it may only
// be a moment behind its leader. What still differs is listed by key.
func (j *Job) readReplica(ctx context.Context, from RowSource, t core.Table, node string, source func() (core.Digest, error)) replica {
	r := replica{node: node}
	var want core.Digest
	for try := 1; ; try++ {
		r.err = j.retry(ctx, func(ctx context.Context) (err error) {
			r.digest, err = j.digestOfReplica(ctx, t, node)
			return err
		})
		if r.err == nil {
			want, r.err = source()
		}
		if r.err != nil || r.digest == want {
			return r
		}
		if try >= j.cfg.Limits.Tries {
			r.err = r.list(from.Rows(ctx, t), j.cfg.Target.ReplicaRows(ctx, t, node))
			return r
		}
		if r.err = wait(ctx, j.cfg.Limits.Poll); r.err != nil {
			return r
		}
	}
}

func (j *Job) digestOfReplica(ctx context.Context, t core.Table, node string) (core.Digest, error) {
	if s, ok := j.cfg.Target.(Summer); ok {
		return s.ReplicaDigest(ctx, t, node)
	}
	return digestOf(j.cfg.Target.ReplicaRows(ctx, t, node))
}

func (r *replica) list(want, have iter.Seq2[core.Row, error]) error {
	return merge(want, have, func(p pair) error {
		name := []string{r.node + "/" + p.key}
		switch {
		case p.equal():
		case p.missing():
			r.missing = appendListed(r.missing, name)
		case p.extra():
			r.extra = appendListed(r.extra, name)
		default:
			r.different = appendListed(r.different, name)
		}
		return nil
	})
}

func appendListed(to, more []string) []string {
	return append(to, more[:min(len(more), max(0, MaxListed-len(to)))]...)
}

// totalOf is how many keys there are in all tables, for sentences.
func totalOf(buckets []Parity) int {
	n := 0
	for _, p := range buckets {
		n += p.Source.Count
	}
	return n
}
