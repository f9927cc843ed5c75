package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"unibus/core"
)

// RestoreDestination is a cluster that is filled; *admin.Client is one.
type RestoreDestination interface {
	// RestoreNode names the node that restores.
	RestoreNode(ctx context.Context) (string, error)
	RestorePart(ctx context.Context, node string, req core.RestorePartRequest) (core.RestorePart, error)
	// Restore takes as long as the rows need.
	Restore(ctx context.Context, node string, req core.RestoreRequest) (core.ClusterRestored, error)
}

// RestoreIntoCluster checks a backup as RestoreFile does, uploads its rows to a node of a new
// cluster, and has the node put them into the buckets. It calls report with the progress; report may
// be nil.
func RestoreIntoCluster(ctx context.Context, to RestoreDestination, from, identity string, want Expect, report func(Progress)) (core.ClusterRestored, Restored, error) {
	if report == nil {
		report = func(Progress) {}
	}
	var out core.ClusterRestored
	own, err := os.MkdirTemp("", "unibus-restore-*")
	if err != nil {
		return out, Restored{}, core.Errorf(core.KindFailed, "the backup cannot be unpacked: %w", err).WithNext("see that %s is there and has free space", os.TempDir())
	}
	defer func() { _ = os.RemoveAll(own) }() // only its owner can read it
	r, err := RestoreFile(ctx, from, filepath.Join(own, "restored.db"), identity, want)
	if err != nil {
		return out, r, err
	}
	node, err := to.RestoreNode(ctx)
	if err != nil {
		return out, r, err
	}
	b := rowUploader{to: to, node: node, token: rand.Text() + rand.Text(), report: report}
	out, err = b.upload(ctx, r)
	return out, r, err
}

// rowUploader uploads one database to a node.
type rowUploader struct {
	to     RestoreDestination
	node   string
	token  string
	report func(Progress)
}

func (b rowUploader) upload(ctx context.Context, r Restored) (core.ClusterRestored, error) {
	sum, size, err := fileSHA256(r.Path)
	if err != nil {
		return core.ClusterRestored{}, err
	}
	f, err := os.Open(r.Path)
	if err != nil {
		return core.ClusterRestored{}, core.Errorf(core.KindFailed, "%s cannot be read: %w", r.Path, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	if err := b.parts(ctx, f, size); err != nil {
		b.cancel(ctx)
		return core.ClusterRestored{}, err
	}
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() { defer close(watched); b.watch(ctx, ended, size) }()
	out, err := b.to.Restore(ctx, b.node, core.RestoreRequest{Token: b.token, SHA256: sum, Tables: r.Tables})
	close(ended)
	<-watched // report is not called from there any more
	return out, err
}

func (b rowUploader) parts(ctx context.Context, f io.ReaderAt, size int64) error {
	data := make([]byte, partBytes)
	for at := int64(0); at < size; {
		n, err := f.ReadAt(data[:min(partBytes, size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return core.Errorf(core.KindFailed, "the restored rows cannot be read: %w", err)
		}
		if err := b.part(ctx, core.RestorePartRequest{Token: b.token, Offset: at, Total: size, Data: data[:n]}); err != nil {
			return err
		}
		at += int64(n)
		b.report(Progress{Node: b.node, Bytes: at, Total: size})
	}
	return nil
}

// part sends a part again where no answer came: a node answers a repeated part.
func (b rowUploader) part(ctx context.Context, req core.RestorePartRequest) error {
	for try := 1; ; try++ {
		_, err := b.to.RestorePart(ctx, b.node, req)
		if err == nil || try == partTries || core.KindOf(err) != core.KindUnavailable || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollInterval):
		}
	}
}

// watch reports how many rows are in the buckets.
func (b rowUploader) watch(ctx context.Context, ended <-chan struct{}, size int64) {
	for {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			return
		case <-time.After(pollInterval):
		}
		if p, err := b.to.RestorePart(ctx, b.node, core.RestorePartRequest{Token: b.token, Total: size}); err == nil && p.Rows > 0 {
			b.report(Progress{Node: b.node, Rows: p.Rows})
		}
	}
}

// cancel has the node delete the parts that it has. If it does not hear this, it does so by itself.
func (b rowUploader) cancel(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	_, _ = b.to.RestorePart(ctx, b.node, core.RestorePartRequest{Token: b.token, End: true})
}
