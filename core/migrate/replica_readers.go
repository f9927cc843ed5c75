package migrate

import (
	"context"
	"sync"

	"unibus/core"
)

// replicaReaderPool holds a reader for every replica of every table during a
// cutover. A replica without a reader is read through the target.
type replicaReaderPool struct {
	target     changeReader
	marks      Marks
	mu         sync.Mutex
	readers    map[replicaKey]ReplicaReader
	lastFailed map[replicaKey]bool // the last read got no answer
}

type replicaKey struct {
	table core.Table
	node  string
}

// openReaders opens a reader on every replica before fencing. A missing reader is
// no failure: that replica is then reached behind the fence, which takes longer.
func (j *Job) openReaders(ctx context.Context) *replicaReaderPool {
	p := &replicaReaderPool{
		target: j.cfg.Target, marks: j.verifiedMarks(),
		readers: map[replicaKey]ReplicaReader{}, lastFailed: map[replicaKey]bool{},
	}
	var all sync.WaitGroup
	for _, t := range core.Tables() {
		nodes, err := j.cfg.Target.Nodes(ctx, t)
		if err != nil {
			j.cfg.Log.Warn("the fence may take longer: the replicas of a table are not known", "table", t, "error", err)
			continue
		}
		for _, n := range nodes {
			all.Go(func() { p.open(ctx, j, replicaKey{t, n}) })
		}
	}
	all.Wait()
	return p
}

func (p *replicaReaderPool) open(ctx context.Context, j *Job, key replicaKey) {
	reader, err := j.cfg.Target.OpenReplicaReader(ctx, key.table, key.node, p.marks[key.table].Sequence)
	if err != nil {
		j.cfg.Log.Warn("the fence may take longer: a replica has no reader yet", "table", key.table, "replica", key.node, "error", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readers[key] = reader
}

// changes is ReplicaChanges since the table's mark.
func (p *replicaReaderPool) changes(ctx context.Context, t core.Table, node string) (rows []core.Row, internal, unchanged int, err error) {
	key := replicaKey{t, node}
	p.mu.Lock()
	reader := p.readers[key]
	p.mu.Unlock()
	if reader != nil {
		rows, internal, unchanged, err = reader.Changes(ctx)
		p.dropIfBroken(key, reader, err != nil)
		return rows, internal, unchanged, err
	}
	return p.target.ReplicaChanges(ctx, t, node, p.marks[t].Sequence)
}

// dropIfBroken closes a reader that failed twice in a row: it may have gone with
// the node that it was placed on. A single failure may be a slow leader, and
// placing another reader takes longer than a second try.
func (p *replicaReaderPool) dropIfBroken(key replicaKey, reader ReplicaReader, failed bool) {
	p.mu.Lock()
	broken := failed && p.lastFailed[key]
	p.lastFailed[key] = failed && !broken
	if broken {
		delete(p.readers, key)
	}
	p.mu.Unlock()
	if broken {
		reader.Close()
	}
}

// closeTable closes a table's readers, so that all its replicas are counted again
// at the same time. A reader counts when it opens, before the fence. A replica
// that lost its reader is counted behind the fence, after rows were overwritten.
// The two counts differ by those rows, which then look like lost ones. Internal
// keys change no count meanwhile, and nothing else writes rows.
func (p *replicaReaderPool) closeTable(t core.Table) {
	p.closeWhere(func(key replicaKey) bool { return key.table == t })
}

// changesOfAny reads whichever replica of a table has a reader.
func (p *replicaReaderPool) changesOfAny(ctx context.Context, t core.Table) (rows []core.Row, err error) {
	node := ""
	p.mu.Lock()
	for key := range p.readers {
		if key.table == t {
			node = key.node
			break
		}
	}
	p.mu.Unlock()
	rows, _, _, err = p.changes(ctx, t, node)
	return rows, err
}

func (p *replicaReaderPool) close() { p.closeWhere(func(replicaKey) bool { return true }) }

func (p *replicaReaderPool) closeWhere(match func(replicaKey) bool) {
	p.mu.Lock()
	var closing []ReplicaReader
	for key, reader := range p.readers {
		if match(key) {
			closing = append(closing, reader)
			delete(p.readers, key)
		}
	}
	p.mu.Unlock()
	for _, reader := range closing {
		reader.Close()
	}
}
