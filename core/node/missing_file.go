package node

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/core/store/sqlite"
)

// errFileMissing says why a node that is the authority serves nothing. An empty new file
// in the place of the missing one would be a control plane without any users in it.
func errFileMissing(node, path string, neverServed, exists bool, afterwards string) *core.Error {
	first, problem := "", "does not exist"
	if exists {
		first, problem = "move it away; ", "cannot be used"
	}
	if neverServed {
		first = "KV still holds everything, and `unibusd migration abort` returns to it; or " + first
	}
	return core.Errorf(core.KindRefused, "the control plane is the SQLite file %s of %s, and it %s", path, node, problem).
		WithNext("%sput it back, or make it from a backup: `unibusd restore --from BACKUP --db %s`; %s", first, path, afterwards)
}

// sameFile compares two paths after their links are resolved.
func sameFile(a, b string) bool {
	return resolvePath(a) == resolvePath(b)
}

// resolvePath is a path without links, also of a file that does not exist any more.
func resolvePath(path string) string {
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

// missingFilePoll is how often a node looks for the file that it lacks.
const missingFilePoll = 2 * time.Second

// awaitMissingFile serves the file that is the control plane once it is there, if it
// was missing or damaged when it was to be served.
func (n *Node) awaitMissingFile(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, core.UntilTick(missingFilePoll))
		path := n.missingFile()
		if path == "" || !isIntact(ctx, path) {
			continue
		}
		if err := n.serveFoundFile(ctx, path); err != nil && ctx.Err() == nil {
			n.log.Warn("the SQLite file exists, and cannot be served yet", "file", path, "error", err)
		}
	}
}

// missingFile is the path of the file that is the control plane, if this node is to
// serve it and has not opened it; else "".
func (n *Node) missingFile() string {
	v := n.selector.selection()
	if a := v.authority; a == nil || a.Backend != core.BackendSQLite || a.Node != n.cfg.Name {
		return ""
	}
	entry, err := n.journal.Load()
	path := cmp.Or(entry.File, n.cfg.DB)
	if err != nil || v.file != nil && sameFile(v.file.Path(), path) {
		return ""
	}
	return path
}

// isIntact reads the whole file, so that a file which is still being copied is not served.
func isIntact(ctx context.Context, path string) bool {
	if _, err := os.Stat(path); err != nil {
		return false
	}
	file := sqlite.New(sqlite.Config{Path: path, ReadOnly: true})
	if err := file.Open(ctx); err != nil {
		return false
	}
	return errors.Join(file.Integrity(ctx), file.Close()) == nil
}

// serveFoundFile ends a rollback that waits for the file. Otherwise it does what a start does.
func (n *Node) serveFoundFile(ctx context.Context, path string) error {
	if st := n.migration.Status(); st.State == migrate.StateRollback {
		if st.Running {
			return nil
		}
		_, err := n.migration.Resume(ctx, st.By)
		return err
	}
	source, err := n.selector.Adopt(ctx, path)
	if err != nil {
		return err
	}
	n.migration.SetSource(source)
	return n.selector.applyNow(ctx, func() {})
}
