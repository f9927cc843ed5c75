package migrate

import (
	"context"
	"sync"

	"unibus/core"
)

// posts are those at every replica of every table while a cutover is under way;
// where there is none the target is asked anew.
type posts struct {
	target Historian
	marks  Marks
	mu     sync.Mutex
	at     map[place]Post
	failed map[place]bool // the last question got no answer
}

type place struct {
	table core.Table
	node  string
}

// station sends somebody to every replica before the fence stands. What cannot
// be had is no failure: the fence asks again.
func (j *Job) station(ctx context.Context) *posts {
	h, marks := j.history()
	p := &posts{target: h, marks: marks, at: map[place]Post{}, failed: map[place]bool{}}
	o, ok := j.cfg.Target.(Outpost)
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
				post, err := o.Station(ctx, t, n, marks[t].Sequence)
				if err != nil {
					j.cfg.Log.Warn("the fence may take longer: a replica cannot be reached ahead of it", "table", t, "replica", n, "error", err)
					return
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				p.at[place{t, n}] = post
			})
		}
	}
	all.Wait()
	return p
}

// since is ReplicaSince of the table's mark.
func (p *posts) since(ctx context.Context, t core.Table, node string) (rows []core.Row, mechanism, older int, err error) {
	p.mu.Lock()
	post := p.at[place{t, node}]
	p.mu.Unlock()
	if post != nil {
		rows, mechanism, older, err = post.Since(ctx)
		p.judge(place{t, node}, post, err != nil)
		return rows, mechanism, older, err
	}
	return p.target.ReplicaSince(ctx, t, node, p.marks[t].Sequence)
}

// judge gives a post up that failed twice in a row: its reader may be gone for
// good, with the node it lived on. Once may be a slow leader, and a new reader
// takes longer to place.
func (p *posts) judge(at place, post Post, failed bool) {
	p.mu.Lock()
	over := failed && p.failed[at]
	p.failed[at] = failed && !over
	if over {
		delete(p.at, at)
	}
	p.mu.Unlock()
	if over {
		post.Leave()
	}
}

// forget gives up a table's posts, so that all its replicas are counted anew at
// one time. Posts count rows alone, and nobody writes those between the first post
// and the fence: what the mechanism writes meanwhile changes no count. But where
// one post was lost with its node, that replica is counted behind the fence, after
// rows were written over, and the others before, with what was written over: they
// differ by as many, and look as if it had lost them.
func (p *posts) forget(t core.Table) {
	p.mu.Lock()
	var left []Post
	for at, post := range p.at {
		if at.table == t {
			left = append(left, post)
			delete(p.at, at)
		}
	}
	p.mu.Unlock()
	for _, post := range left {
		post.Leave()
	}
}

// anywhere is since of whichever replica somebody is at.
func (p *posts) anywhere(ctx context.Context, t core.Table) (rows []core.Row, err error) {
	node := ""
	p.mu.Lock()
	for at := range p.at {
		if at.table == t {
			node = at.node
			break
		}
	}
	p.mu.Unlock()
	rows, _, _, err = p.since(ctx, t, node)
	return rows, err
}

func (p *posts) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, post := range p.at {
		post.Leave()
	}
	clear(p.at)
}
