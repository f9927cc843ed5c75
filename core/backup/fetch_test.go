package backup

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"unibus/core"
	"unibus/core/store/sqlite"
	"unibus/core/store/storetest"
)

// database is a SQLite file with rooms, keys and records.
func database(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "unibus.db")
	w, err := sqlite.Create(t.Context(), path)
	must(t, err)
	in := storetest.Rekeyed(t)
	for _, table := range Tables() {
		must(t, w.Put(t.Context(), in.Rows(table)))
	}
	_, err = w.Finish(t.Context())
	must(t, err)
	return path
}

// node is a Source of one node with a Server; part, where it is set, spoils the answers.
type node struct {
	server  *Server
	serving core.Backend
	take    func(core.Backup) (core.Backup, error)
	part    func(core.BackupPartRequest, core.BackupPart) (core.BackupPart, error)
	looked  int
}

func (n *node) BackupNode(context.Context) (string, error) {
	if n.serving == core.BackendNone {
		return "", core.Errorf(core.KindUnavailable, "nobody knows why")
	}
	return "n1", nil
}

func (n *node) BackupCreate(ctx context.Context, _, token string) (core.Backup, error) {
	b, err := n.server.Create(ctx, ana(), token)
	if err == nil && n.take != nil {
		return n.take(b)
	}
	return b, err
}

func (n *node) BackupPart(ctx context.Context, _ string, req core.BackupPartRequest) (core.BackupPart, error) {
	if req.Look {
		n.looked++
	}
	p, err := n.server.Part(ctx, ana(), req)
	if err == nil && n.part != nil {
		return n.part(req, p)
	}
	return p, err
}

// source is a node that makes backups of a database.
func source(t *testing.T) *node {
	t.Helper()
	path := database(t)
	d := NewServer(ServerConfig{Node: "n1", Dir: filepath.Join(t.TempDir(), "backups"), Make: func(ctx context.Context, to string, _ func(int)) (core.Backup, error) {
		s, err := open(ctx, path)
		must(t, err)
		b, err := s.Backup(ctx, to)
		must(t, err)
		content, err := read(ctx, s)
		must(t, err)
		return core.Backup{Backend: core.BackendKV, Schema: content.Schema, Bytes: b.Bytes, SHA256: b.SHA256, Tables: content.Tables}, s.Close()
	}})
	must(t, d.Open(t.Context()))
	t.Cleanup(func() { must(t, d.Close()) })
	return &node{server: d, serving: core.BackendKV}
}

// forgotten sees that the node was told that nobody fetches any more.
func (n *node) forgotten(t *testing.T) {
	t.Helper()
	if len(n.server.transfers) > 0 {
		t.Errorf("the node keeps %d files", len(n.server.transfers))
	}
}

func TestFetchIsWhole(t *testing.T) {
	t.Parallel()
	n, out := source(t), filepath.Join(t.TempDir(), "out.db")
	var last Progress
	taken, err := Fetch(t.Context(), n, out, func(p Progress) { last = p })
	must(t, err)
	n.forgotten(t)
	digest, size, err := fileSHA256(out)
	must(t, err)
	if taken.Path != out || taken.SHA256 != digest || taken.Bytes != size || taken.Node != "n1" || taken.Schema != 2 {
		t.Errorf("%+v, and the file has %d bytes of %s", taken, size, digest)
	}
	if last.Bytes != size || last.Total != size {
		t.Errorf("the last progress that was reported is %+v", last)
	}
	content, err := Check(t.Context(), out)
	if err != nil || !content.Same(Content{Tables: taken.Tables}) {
		t.Errorf("%s, %v", content, err)
	}
	only(t, out)
	info, err := os.Stat(out)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	_, err = Fetch(t.Context(), n, out, nil)
	wantKind(t, err, core.KindExists, out)
}

// only sees that nothing else is in the directory of a file; "" for nothing at all.
func only(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			t.Errorf("%s was left beside %s", e.Name(), path)
		}
	}
}

// TestFetchLeavesNothing: whatever goes wrong, there is no file, and no part of one.
func TestFetchLeavesNothing(t *testing.T) {
	t.Parallel()
	away := core.Errorf(core.KindNotFound, "the node has forgotten it") // as after a restart
	for name, c := range map[string]struct {
		spoil func(n *node, out string, cancel context.CancelFunc)
		kind  core.Kind
		text  string
	}{
		"a changed byte": {func(n *node, _ string, _ context.CancelFunc) {
			n.part = func(_ core.BackupPartRequest, p core.BackupPart) (core.BackupPart, error) {
				if len(p.Data) > 0 {
					p.Data[len(p.Data)/2] ^= 1
				}
				return p, nil
			}
		}, core.KindFailed, "SHA-256"},
		"an empty part": {func(n *node, _ string, _ context.CancelFunc) {
			n.part = func(core.BackupPartRequest, core.BackupPart) (core.BackupPart, error) {
				return core.BackupPart{}, nil
			}
		}, core.KindFailed, "another file"},
		"more than announced": {func(n *node, _ string, _ context.CancelFunc) {
			n.take = func(b core.Backup) (core.Backup, error) { b.Bytes--; return b, nil }
		}, core.KindFailed, "another file"},
		"other digests": {func(n *node, _ string, _ context.CancelFunc) {
			n.take = func(b core.Backup) (core.Backup, error) { b.Tables[3].Count++; return b, nil }
		}, core.KindFailed, "not what it was made of"},
		"a restart of the node": {func(n *node, _ string, _ context.CancelFunc) {
			n.part = func(core.BackupPartRequest, core.BackupPart) (core.BackupPart, error) {
				return core.BackupPart{}, away
			}
		}, core.KindNotFound, "forgotten"},
		"stopped": {func(n *node, _ string, cancel context.CancelFunc) {
			n.part = func(_ core.BackupPartRequest, p core.BackupPart) (core.BackupPart, error) { cancel(); return p, nil }
		}, core.KindFailed, "stopped"},
		"somebody else was first": {func(n *node, out string, _ context.CancelFunc) {
			n.part = func(_ core.BackupPartRequest, p core.BackupPart) (core.BackupPart, error) {
				return p, os.WriteFile(out, []byte("theirs"), 0o600)
			}
		}, core.KindExists, "already"},
		"nobody serves": {func(n *node, _ string, _ context.CancelFunc) { n.serving = core.BackendNone }, core.KindUnavailable, "nobody knows why"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, out := source(t), filepath.Join(t.TempDir(), "out.db")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c.spoil(n, out, cancel)
			_, err := Fetch(ctx, n, out, nil)
			wantKind(t, err, c.kind, c.text)
			only(t, out)
			if theirs, err := os.ReadFile(out); err == nil && string(theirs) != "theirs" {
				t.Error("a file was left")
			}
			n.forgotten(t)
		})
	}
}

// TestSilentNodeIsGivenUp: one that died while it made the file is not waited for.
func TestSilentNodeIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := fetcher{src: dead{}, node: "n1", token: mine, report: func(Progress) { t.Error("it said something") }}
		_, err := j.take(t.Context())
		wantKind(t, err, core.KindUnavailable, "n1 began a backup and does not answer any more")
	})
}

// dead does not answer.
type dead struct{ Source }

func (dead) BackupCreate(ctx context.Context, _, _ string) (core.Backup, error) {
	<-ctx.Done()
	return core.Backup{}, core.Errorf(core.KindUnavailable, "no answer in time")
}

func (dead) BackupPart(context.Context, string, core.BackupPartRequest) (core.BackupPart, error) {
	return core.BackupPart{}, core.Errorf(core.KindUnavailable, "no answer in time")
}

// TestLostAnswerBeginsAnother: an operator does not have to find out what became of a backup
// whose answer was lost. Another one is made, and no node keeps the first.
func TestLostAnswerBeginsAnother(t *testing.T) {
	t.Parallel()
	lost := core.Errorf(core.KindUnavailable, "no answer to backup in time").WithOutcome(core.OutcomeUnknown)
	for losses, want := range map[int]core.Kind{1: "", createTries - 1: "", createTries: core.KindUnavailable} {
		n, out, asked := source(t), filepath.Join(t.TempDir(), "out.db"), 0
		n.take = func(b core.Backup) (core.Backup, error) {
			if asked++; asked <= losses {
				return core.Backup{}, lost
			}
			return b, nil
		}
		_, err := Fetch(t.Context(), n, out, nil)
		n.forgotten(t)
		if core.KindOf(err) != want || asked != min(losses+1, createTries) {
			t.Errorf("%d answers lost: %v after %d requests", losses, err, asked)
		}
		if err != nil && core.OutcomeOf(err) != core.OutcomeNone {
			t.Errorf("the outcome of %v is %q", err, core.OutcomeOf(err))
		}
		if _, e := os.Stat(out); (e == nil) != (err == nil) {
			t.Errorf("%d answers lost: %v, and the file: %v", losses, err, e)
		}
	}
}
