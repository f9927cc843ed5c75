package node

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/bus"
	"unibus/core/config"
	"unibus/core/migrate"
	"unibus/core/store/sqlite"
)

// startSelector runs the selector of a node that has a SQLite file and nothing else.
func startSelector(t *testing.T) *Node {
	t.Helper()
	dir := t.TempDir()
	n := New(Config{Node: config.Node{Name: "n1", Data: dir, DB: filepath.Join(dir, "unibus.db")}})
	n.bus = bus.New(bus.Config{Name: "n1", DataDir: dir, Listen: "127.0.0.1:0"}, auth.New(auth.Config{})) // not open: it has no session to end
	n.journal = migrate.NewFileJournal(filepath.Join(dir, "journal.json"))
	file := sqlite.New(sqlite.Config{Path: n.cfg.DB, Create: true})
	if err := file.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.closeFile() })
	n.selector.update(func(v *selection) { v.file = file })
	ctx, cancel := context.WithCancel(t.Context())
	go n.selector.run(ctx)
	t.Cleanup(cancel)
	return n
}

// writeJournal changes the entry as a migration does.
func (n *Node) writeJournal(t *testing.T, change func(*migrate.Entry)) {
	t.Helper()
	if err := n.journal.Update(change); err != nil {
		t.Fatal(err)
	}
}

func (n *Node) serve(t *testing.T, a core.Authority) {
	t.Helper()
	if err := n.selector.Serve(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

// wantServing checks the selection, and that the store handle agrees with it.
func (n *Node) wantServing(t *testing.T, backend core.Backend, reason string) {
	t.Helper()
	got := n.selector.serving()
	_, err := n.storeHandle.Store()
	if got.Backend != backend || (err == nil) != (backend == core.BackendSQLite) || !strings.Contains(got.Reason, reason) {
		t.Fatalf("serving %+v, %v; want %s, %q", got, err, backend, reason)
	}
}

// TestSelectorFollowsTheMigration repeats the steps of a migration on a node's file.
func TestSelectorFollowsTheMigration(t *testing.T) {
	t.Parallel()
	n := startSelector(t)
	n.wantServing(t, core.BackendNone, "not started")
	n.serve(t, thisFile(1))
	n.wantServing(t, core.BackendSQLite, "")

	// A fence alone leaves the readers; the intent and Withdraw end them.
	if err := n.selector.file().Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.serve(t, thisFile(1))
	n.wantServing(t, core.BackendSQLite, "")
	n.writeJournal(t, func(e *migrate.Entry) { e.Intent = &migrate.Intent{From: thisFile(1)} })
	n.selector.Withdraw(core.Errorf(core.KindUnavailable, "the migration's reason"))
	n.wantServing(t, core.BackendNone, "the migration's reason")
	n.serve(t, thisFile(1))
	n.wantServing(t, core.BackendNone, "the migration's reason")

	// Canceled: the intent is gone first, then the fence.
	n.writeJournal(t, func(e *migrate.Entry) { e.Intent = nil })
	n.serve(t, thisFile(2))
	n.wantServing(t, core.BackendNone, "is fenced")
	if err := n.selector.file().Lift(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.serve(t, thisFile(2))
	n.wantServing(t, core.BackendSQLite, "")

	n.serve(t, core.Authority{Backend: core.BackendSQLite, Node: "n2", Generation: 3})
	n.wantServing(t, core.BackendNone, "n2 is the control plane")
	n.serve(t, thisFile(2)) // delivered late
	n.wantServing(t, core.BackendNone, "n2 is the control plane")
}

// TestSelectorServesTheFileOfARollbackOnce: from the moment that the file is served the
// rollback cannot be taken back, and a reversal that began before keeps it from being served.
func TestSelectorServesTheFileOfARollbackOnce(t *testing.T) {
	t.Parallel()
	n := startSelector(t)
	n.writeJournal(t, func(e *migrate.Entry) {
		e.File, e.FileNeverServed, e.Intent = n.cfg.DB, true, &migrate.Intent{From: thisFile(1), ReversesRollback: true}
	})
	n.serve(t, thisFile(1))
	n.wantServing(t, core.BackendNone, "moving")
	entry := migrate.Entry{FileNeverServed: true} // read before the reversal began
	if e, err := n.selector.noteServed(entry); err != nil || e.Intent == nil || !e.FileNeverServed {
		t.Errorf("the reversal is overlooked: %+v, %v", e, err)
	}
	n.writeJournal(t, func(e *migrate.Entry) { e.Intent = nil })
	n.serve(t, thisFile(1))
	n.wantServing(t, core.BackendSQLite, "")
	if e, err := n.journal.Load(); err != nil || e.FileNeverServed {
		t.Errorf("the journal says that the file was never served: %v", err)
	}
}

// TestSelectorKeepsALaterJournal: the migration writes the journal when it has moved the
// authority. A record that was read before that does not replace it, and does not count.
func TestSelectorKeepsALaterJournal(t *testing.T) {
	t.Parallel()
	n := startSelector(t)
	n.serve(t, thisFile(1))
	later := core.Authority{Backend: core.BackendSQLite, Node: "n2", Generation: 2}
	n.writeJournal(t, func(e *migrate.Entry) { e.Authority = &later })
	before := thisFile(1)
	n.selector.recordSeen(&before, nil)
	if e, err := n.journal.Load(); err != nil || *e.Authority != later {
		t.Errorf("the journal has %+v, %v", e.Authority, err)
	}
	n.wantServing(t, core.BackendNone, "n2 is the control plane")
}

// TestSelectorIgnoresALateRecord: a record that was lost and made anew has an older generation
// than the journal, and does not count.
func TestSelectorIgnoresALateRecord(t *testing.T) {
	t.Parallel()
	s := New(Config{Node: config.Node{Name: "n1"}}).selector
	seen := thisFile(5)
	s.update(func(v *selection) { v.authority = &seen })
	if s.accept(core.Authority{Backend: core.BackendNone}); s.recordedAuthority != nil {
		t.Errorf("accepted %+v", s.recordedAuthority)
	}
	if s.accept(thisFile(6)); s.recordedAuthority == nil || *s.recordedAuthority != thisFile(6) {
		t.Errorf("the record is %+v", s.recordedAuthority)
	}
	if s.accept(thisFile(5)); *s.recordedAuthority != thisFile(6) {
		t.Errorf("the record is %+v", s.recordedAuthority)
	}
}

// TestSelectorTriesAgain: a failure withdraws the store and is returned to the caller. The
// selector tries again by itself.
func TestSelectorTriesAgain(t *testing.T) {
	t.Parallel()
	n := startSelector(t)
	n.serve(t, thisFile(1))
	whole := n.journal
	n.journal = migrate.NewFileJournal(n.cfg.Data) // a directory cannot be read as a journal
	if err := n.selector.Serve(t.Context(), thisFile(2)); err == nil {
		t.Fatal("served without a journal")
	}
	n.wantServing(t, core.BackendNone, "journal")
	n.selector.do(func(context.Context) { n.journal = whole })
	ctx, cancel := context.WithTimeout(t.Context(), 20*retryEvery)
	defer cancel()
	for n.selector.serving().Backend != core.BackendSQLite && ctx.Err() == nil {
		sleep(ctx, retryEvery/10)
	}
	n.wantServing(t, core.BackendSQLite, "")
	if e, err := whole.Load(); err != nil || *e.Authority != thisFile(2) {
		t.Errorf("the record is not in the journal: %+v, %v", e.Authority, err)
	}
}

// TestSelectorAfterItsEnd: callers do not wait for a selector that has ended, and are told
// that nothing is served.
func TestSelectorAfterItsEnd(t *testing.T) {
	t.Parallel()
	n := startSelector(t)
	n.serve(t, thisFile(1))
	n.selector.close()
	n.wantServing(t, core.BackendNone, "is stopping")
	if err := n.selector.Serve(t.Context(), thisFile(1)); core.KindOf(err) != core.KindUnavailable || !strings.Contains(err.Error(), "is stopping") {
		t.Errorf("an authority was served: %v", err)
	}
	if _, err := n.selector.Adopt(t.Context(), n.cfg.DB); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("a file was adopted: %v", err)
	}
	n.selector.Withdraw(core.Errorf(core.KindUnavailable, "a reason"))
	n.wantServing(t, core.BackendNone, "is stopping")
}
