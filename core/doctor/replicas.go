package doctor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"unibus/core"
)

// Replicas reads what each node holds of a table on its own disk; the store in KV is one.
type Replicas interface {
	// Nodes names the nodes that hold a replica. KindNotFound if there is no bucket.
	Nodes(ctx context.Context, t core.Table) ([]string, error)
	// LastSequence is the last sequence of the table's leader.
	LastSequence(ctx context.Context, t core.Table) (sequence uint64, kept int, err error)
	// ReplicaDigest is the digest of ReplicaRows.
	ReplicaDigest(ctx context.Context, t core.Table, node string) (core.Digest, error)
	// ReplicaRows yields the rows in key order, once the node has what the leader has.
	ReplicaRows(ctx context.Context, t core.Table, node string) iter.Seq2[core.Row, error]
}

// limits bounds how often a check reads what changes while it reads.
type limits struct {
	reads int           // how often different replicas are read again
	pause time.Duration // between two reads
}

func defaultLimits() limits { return limits{reads: 3, pause: time.Second} }

// CheckReplicas compares the replicas of every table, one check each. All tables are read
// at the same time: a reading mostly waits for servers.
func CheckReplicas(ctx context.Context, from Replicas) []Check {
	return checkReplicas(ctx, from, defaultLimits())
}

func checkReplicas(ctx context.Context, from Replicas, l limits) []Check {
	tables := core.Tables()
	out := make([]Check, len(tables))
	var all sync.WaitGroup
	for i, t := range tables {
		all.Go(func() { out[i] = checkTable(ctx, from, t, l) })
	}
	all.Wait()
	return out
}

// checkTable reads the replicas again while they differ: a row may be on its way. Rows that
// differ in two readings, in the same way, are no such rows.
func checkTable(ctx context.Context, from Replicas, t core.Table, l limits) Check {
	name := "replicas." + t.Bucket()
	nodes, err := from.Nodes(ctx, t)
	switch {
	case core.KindOf(err) == core.KindNotFound:
		return Check{Name: name, State: Skipped, Text: "there is no bucket " + t.Bucket()}
	case err != nil:
		return unknown(name, err)
	}
	for range l.reads {
		text, err := equalReplicas(ctx, from, t, nodes)
		switch {
		case err != nil:
			return unknown(name, err)
		case text != "":
			return Check{Name: name, State: OK, Text: text}
		case !sleep(ctx, l.pause):
			return unknown(name, ctx.Err())
		}
	}
	return namedDifferences(ctx, from, t, nodes, l)
}

// equalReplicas is what the digests prove where all are equal, else "".
func equalReplicas(ctx context.Context, from Replicas, t core.Table, nodes []string) (string, error) {
	before, _, err := from.LastSequence(ctx, t)
	if err != nil {
		return "", err
	}
	sums, errs := make([]core.Digest, len(nodes)), make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { sums[i], errs[i] = from.ReplicaDigest(ctx, t, n) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return "", firstOf(errs)
	}
	after, _, err := from.LastSequence(ctx, t)
	if err != nil || slices.ContainsFunc(sums, func(d core.Digest) bool { return d != sums[0] }) {
		return "", err
	}
	at := fmt.Sprintf("at sequence %d", after)
	if after != before {
		at = fmt.Sprintf("between the sequences %d and %d", before, after)
	}
	return fmt.Sprintf("%s hold the same %d rows %s (SHA-256 %.12s…)", strings.Join(nodes, ", "), sums[0].Count, at, sums[0].SHA256), nil
}

func firstOf(errs []error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	return errs[i]
}

// namedDifferences reads the rows of every replica twice.
func namedDifferences(ctx context.Context, from Replicas, t core.Table, nodes []string, l limits) Check {
	c := Check{Name: "replicas." + t.Bucket(), State: OK}
	first, err := differences(ctx, from, t, nodes)
	if err != nil {
		return unknown(c.Name, err)
	}
	if !sleep(ctx, l.pause) {
		return unknown(c.Name, ctx.Err())
	}
	second, err := differences(ctx, from, t, nodes)
	if err != nil {
		return unknown(c.Name, err)
	}
	wrong, undecided := map[string]bool{}, false
	for _, key := range slices.Sorted(maps.Keys(second)) {
		if held, again := first[key]; again && slices.Equal(held, second[key]) {
			faults, decided := faultsOf(t, key, nodes, held)
			undecided = undecided || !decided
			for _, f := range faults {
				c.add(f)
				wrong[f.Node] = true
			}
		}
	}
	if len(wrong) == 0 {
		return unknown(c.Name, core.Errorf(core.KindUnavailable, "%s changed all the time while it was read", t.Bucket()).
			WithNext("try again when less is written: unibusd doctor"))
	}
	return describe(c, t, slices.Sorted(maps.Keys(wrong)), undecided)
}

// describe names the nodes that differ, and the next step.
func describe(c Check, t core.Table, wrong []string, undecided bool) Check {
	names := strings.Join(wrong, ", ")
	c.Text = fmt.Sprintf("the replica of %s on %s differs from the others in %s", t.Bucket(), names, rowsText(c.count()))
	c.Means = fmt.Sprintf("while another node leads %s, users notice nothing. If %s leads it, or another replica is lost, these rows are wrong for everybody", t.Bucket(), names)
	c.Next = core.TakeReplicasAgain(wrong[0])
	if undecided {
		c.Text = fmt.Sprintf("the replicas of %s on %s differ in %s, and for some of them no value is held by a majority", t.Bucket(), names, rowsText(c.count()))
		c.Means = "for those rows it cannot be determined which replica is right"
		c.Next = "restart no node; save what the leader holds: unibusd backup --out FILE"
	}
	return c
}

func rowsText(n int) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}

// maxDifferences bounds how many differing keys are kept in memory.
const maxDifferences = 10_000

// differences are the keys that not all replicas hold alike, with what each holds: its
// value, or nothing.
func differences(ctx context.Context, from Replicas, t core.Table, nodes []string) (map[string][]held, error) {
	cursors := make([]*cursor, len(nodes))
	for i, n := range nodes {
		cursors[i] = newCursor(from.ReplicaRows(ctx, t, n))
		defer cursors[i].stop()
	}
	out := map[string][]held{}
	for {
		key, found, err := nextKey(cursors)
		if err != nil || !found {
			return out, err
		}
		values := make([]held, len(cursors))
		for i, c := range cursors {
			values[i] = c.take(key)
		}
		if len(out) < maxDifferences && slices.ContainsFunc(values, func(v held) bool { return v != values[0] }) {
			out[key] = values
		}
	}
}

// nextKey is the smallest key that a cursor stands at.
func nextKey(cursors []*cursor) (key string, found bool, err error) {
	for _, c := range cursors {
		if err := c.fill(); err != nil {
			return "", false, err
		}
		if c.row != nil && (!found || c.row.Key < key) {
			key, found = c.row.Key, true
		}
	}
	return key, found, nil
}

// held is what one replica holds under a key.
type held struct {
	there bool
	value string
}

// faultsOf names the nodes that do not hold what a majority holds; all of them, and not
// decided, without one.
func faultsOf(t core.Table, key string, nodes []string, values []held) (faults []Fault, decided bool) {
	counts := map[held]int{}
	for _, v := range values {
		counts[v]++
	}
	var right *held
	for v, n := range counts {
		if 2*n > len(values) {
			right = &v
		}
	}
	for i, v := range values {
		if right == nil || v != *right {
			faults = append(faults, Fault{Node: nodes[i], Bucket: t.Bucket(), Key: key, Text: faultText(v, right)})
		}
	}
	return faults, right != nil
}

func faultText(v held, right *held) string {
	switch {
	case !v.there:
		return "the row is missing there"
	case right != nil && !right.there:
		return "the others do not have the row"
	}
	return "the row has another value there"
}

// cursor is a sequence of rows with its present one; nil before the first and after the last.
type cursor struct {
	row  *core.Row
	over bool
	next func() (core.Row, error, bool)
	stop func()
}

func newCursor(rows iter.Seq2[core.Row, error]) *cursor {
	next, stop := iter.Pull2(rows)
	return &cursor{next: next, stop: stop}
}

func (c *cursor) fill() error {
	if c.row != nil || c.over {
		return nil
	}
	r, err, ok := c.next()
	if !ok || err != nil {
		c.over = true
		return err
	}
	c.row = &r
	return nil
}

// take returns what the cursor holds under a key, and passes it.
func (c *cursor) take(key string) held {
	if c.row == nil || c.row.Key != key {
		return held{}
	}
	v := held{true, string(c.row.Value)}
	c.row = nil
	return v
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
