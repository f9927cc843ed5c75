package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/core/store/sqlite"
)

// absent is why a node that is the authority has nothing to serve: a new, empty
// file in the place of one that is missing would be a control plane without anybody in it.
func (p *plane) absent(path string) *core.Error {
	first, then, why := "", p.n.cfg.Name+" goes on by itself", "is not there"
	if !p.n.cfg.Clustered() {
		then = "then start " + p.n.cfg.Name + " again"
	}
	if _, err := os.Lstat(path); err == nil {
		first, why = "move it away; ", "cannot be used"
	}
	if entry, err := p.n.journal.Load(); err == nil && entry.FileNeverServed {
		first = "KV still holds everything, and `unibusd migration abort` goes back to it; or " + first
	}
	return core.Errorf(core.KindRefused, "the control plane is the SQLite file %s of %s, and it %s", path, p.n.cfg.Name, why).
		WithNext("%sput it back, or make it of a backup: `unibusd restore --from BACKUP --db %s`; %s", first, path, then)
}

// without decides whether the node can do without a file that it cannot open:
// KV needs none, and a rollback whose file was never served can be taken back.
func (p *plane) without(entry migrate.Entry, path string, cause error) error {
	a := entry.Authority
	if !p.n.cfg.Clustered() || !entry.FileNeverServed && (a == nil || a.Backend != core.BackendKV) {
		return cause
	}
	p.log.Warn("the SQLite file cannot be opened; this node starts without it", "file", path, "error", cause)
	return nil
}

// named is the path of this node's file: the journal's, or --db.
func (p *plane) named() string {
	if entry, err := p.n.journal.Load(); err == nil && entry.File != "" {
		return entry.File
	}
	return p.n.cfg.DB
}

// has is true where the file at path is the one that this node has open.
func (p *plane) has(path string) bool { return p.db() != nil && sameFile(p.db().Path(), path) }

// sameFile compares two paths as they are on the disk, links resolved.
func sameFile(a, b string) bool {
	return resolved(a) == resolved(b)
}

// resolved is a path without links, also of a file that is not there any more.
func resolved(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

// noteServed is called before the file is published: from then on KV may lack
// what is changed in it, and a rollback is not taken back any more. taken is true
// where that has begun already.
func (p *plane) noteServed() (taken bool, err error) {
	entry, err := p.n.journal.Load()
	if err != nil || !entry.FileNeverServed {
		return false, err
	}
	err = p.n.journal.Update(func(e *migrate.Entry) {
		if taken = e.Intent != nil; !taken {
			e.FileNeverServed = false
		}
	})
	return taken, err
}

// Adopt opens the file that a rollback wrote, in the place of the one before,
// which stays fenced. A move that is under way reads from neither.
func (p *plane) Adopt(ctx context.Context, path string) (migrate.SourceStore, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, core.Errorf(core.KindUnavailable, "%s is stopping", p.n.cfg.Name)
	}
	if p.has(path) { // it may be served at this moment
		return p.db(), nil
	}
	db := sqlite.New(sqlite.Config{Path: path, AllowFenced: true})
	if err := db.Open(ctx); err != nil {
		return nil, err
	}
	if before := p.opens.Swap(db); before != nil {
		if err := before.Close(); err != nil { // it is fenced, and nobody needs it any more
			p.log.Warn("the file that was served before was not closed", "error", err)
		}
	}
	return db, nil
}

// awaitEvery is how often a node looks whether the file that it lacks has come.
const awaitEvery = 2 * time.Second

// awaitFile goes on once the file is there that is the control plane, and was
// missing or damaged when it was to be served.
func (p *plane) awaitFile(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(awaitEvery):
		}
		path := p.named()
		if !p.lacks(path) || !sound(ctx, path) {
			continue
		}
		if err := p.takeFile(ctx, path); err != nil && ctx.Err() == nil {
			p.log.Warn("the SQLite file is there, and cannot be served yet", "file", path, "error", err)
		}
	}
}

// lacks is true where this node is the authority with a file that it has not open.
func (p *plane) lacks(path string) bool {
	a := p.authority.Load()
	return a != nil && a.Backend == core.BackendSQLite && a.Node == p.n.cfg.Name && !p.has(path)
}

// sound reads the whole file, so that one which is still being copied is not taken for it.
func sound(ctx context.Context, path string) bool {
	if _, err := os.Stat(path); err != nil {
		return false
	}
	db := sqlite.New(sqlite.Config{Path: path, ReadOnly: true})
	if err := db.Open(ctx); err != nil {
		return false
	}
	return errors.Join(db.Integrity(ctx), db.Close()) == nil
}

// takeFile serves it: a rollback that waits for it ends, and otherwise it is as at a start.
func (p *plane) takeFile(ctx context.Context, path string) error {
	if st := p.job.Status(); st.State == migrate.StateRollback {
		if st.Running {
			return nil
		}
		_, err := p.job.Resume(ctx, st.By)
		return err
	}
	src, err := p.Adopt(ctx, path)
	if err != nil {
		return err
	}
	p.job.SetSource(src)
	return p.Serve(ctx, *p.authority.Load())
}
