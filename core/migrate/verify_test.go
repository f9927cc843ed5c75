package migrate

import (
	"context"
	"iter"
	"sync"
	"testing"

	"unibus/core"
)

// blockedTarget never comes to the end of a replica.
type blockedTarget struct {
	fakeTarget
	once *sync.Once
	read chan struct{} // closed once somebody reads
}

func (f blockedTarget) ReplicaRows(ctx context.Context, _ core.Table, _ string) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		f.once.Do(func() { close(f.read) })
		<-ctx.Done()
		yield(core.Row{}, core.Errorf(core.KindUnavailable, "it was given up"))
	}
}

func (f blockedTarget) ReplicaDigest(ctx context.Context, t core.Table, node string) (core.Digest, error) {
	return digestOf(f.ReplicaRows(ctx, t, node))
}

// All tables are read at once, so a pause cannot wait for the next table.
func TestPauseEndsAComparison(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 10)
	slow := blockedTarget{fakeTarget{w}, &sync.Once{}, make(chan struct{})}
	j := w.job(t, func(c *Config) { c.Target = slow })
	if _, err := j.Start(t.Context(), "ana", w.options()); err != nil {
		t.Fatal(err)
	}
	<-slow.read
	if _, err := j.Pause(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	s := awaitStopped(t, j)
	if !s.Paused || s.State != StateVerify || s.Verified || s.Error != nil {
		t.Errorf("paused %v in %s, verified %v, error %v", s.Paused, s.State, s.Verified, s.Error)
	}
}
