package migrate

import (
	"context"
	"sync"

	"unibus/core"
)

// replicaReaderPool are those at every replica of every table while a cutover is under way;
// where there is none the target is asked anew.
type replicaReaderPool struct {
	target     ChangeReader
	marks      Marks
	mu         sync.Mutex
	readers    map[replicaKey]ReplicaReader
	lastFailed map[replicaKey]bool // the last question got no answer
}

type replicaKey struct {
	table core.Table
	node  string
}

// openReaders sends somebody to every replica before the fence stands. What cannot
// be had is no failure: the fence asks again.
func (j *Job) openReaders(ctx context.Context) *replicaReaderPool {
	h, marks := j.history()
	p := &replicaReaderPool{target: h, marks: marks, readers: map[replicaKey]ReplicaReader{}, lastFailed: map[replicaKey]bool{}}
	o, ok := j.cfg.Target.(ReplicaReaderOpener)
	if h == nil || !ok {
		return p
	}
	var all sync.WaitGroup
	for _, t := range core.Tables() {
		nodes, err := j.cfg.Target.Nodes(ctx, t)
		if err != nil {
			j.cfg.Log.Warn("the fence may take longer: the replicas are not known", "table", t, "error", err)
			continue
		}
		for _, n := range nodes {
			all.Go(func() {
				post, err := o.OpenReplicaReader(ctx, t, n, marks[t].Sequence)
				if err != nil {
					j.cfg.Log.Warn("the fence may take longer: a replica cannot be reached ahead of it", "table", t, "replica", n, "error", err)
					return
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				p.readers[replicaKey{t, n}] = post
			})
		}
	}
	all.Wait()
	return p
}

// changes is ReplicaSince of the table's mark.
func (p *replicaReaderPool) changes(ctx context.Context, t core.Table, node string) (rows []core.Row, mechanism, older int, err error) {
	p.mu.Lock()
	post := p.readers[replicaKey{t, node}]
	p.mu.Unlock()
	if post != nil {
		rows, mechanism, older, err = post.Changes(ctx)
		p.dropIfBroken(replicaKey{t, node}, post, err != nil)
		return rows, mechanism, older, err
	}
	return p.target.ReplicaChanges(ctx, t, node, p.marks[t].Sequence)
}

// dropIfBroken gives a post up that failed twice in a row: its reader may be gone for
// good, with the node it lived on. Once may be a slow leader, and a new reader
// takes longer to place.
func (p *replicaReaderPool) dropIfBroken(at replicaKey, post ReplicaReader, failed bool) {
	p.mu.Lock()
	over := failed && p.lastFailed[at]
	p.lastFailed[at] = failed && !over
	if over {
		delete(p.readers, at)
	}
	p.mu.Unlock()
	if over {
		post.Close()
	}
}

// closeTable gives up a table's posts, so that all its replicas are counted anew at
// one time. Posts count rows alone, and nobody writes those between the first post
// and the fence: what the mechanism writes meanwhile changes no count. But where
// one post was lost with its node, that replica is counted behind the fence, after
// rows were written over, and the others before, with what was written over: they
// differ by as many, and look as if it had lost them.
func (p *replicaReaderPool) closeTable(t core.Table) {
	p.mu.Lock()
	var left []ReplicaReader
	for at, post := range p.readers {
		if at.table == t {
			left = append(left, post)
			delete(p.readers, at)
		}
	}
	p.mu.Unlock()
	for _, post := range left {
		post.Close()
	}
}

// changesOfAny is since of whichever replica somebody is at.
func (p *replicaReaderPool) changesOfAny(ctx context.Context, t core.Table) (rows []core.Row, err error) {
	node := ""
	p.mu.Lock()
	for at := range p.readers {
		if at.table == t {
			node = at.node
			break
		}
	}
	p.mu.Unlock()
	rows, _, _, err = p.changes(ctx, t, node)
	return rows, err
}

func (p *replicaReaderPool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, post := range p.readers {
		post.Close()
	}
	clear(p.readers)
}
