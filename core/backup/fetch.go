package backup

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"time"

	"unibus/core"
)

// Source is a cluster as a backup asks it; *admin.Client is one.
type Source interface {
	BackupNode(ctx context.Context) (string, error)
	BackupCreate(ctx context.Context, node, token string) (core.Backup, error)
	BackupPart(ctx context.Context, node string, req core.BackupPartRequest) (core.BackupPart, error)
}

// Progress is the progress of a backup.
type Progress struct {
	Node  string
	Rows  int   // written by the node, while it makes the file
	Bytes int64 // that have arrived
	Total int64 // bytes of the file; 0: it is being made
}

// Result is a backup in a file.
type Result struct {
	Path string `json:"path"` // absolute
	core.Backup
	Signed *Signature `json:"signed"` // nil: the node's release signs nothing
}

const (
	pollInterval   = time.Second     // while a node makes the file
	maxFailedPolls = 5               // polls without an answer before fetch fails
	createTries    = 3               // whole backups, where the answer to the request is lost
	partTries      = 3               // for one part
	endTimeout     = 2 * time.Second // for telling a node that its file is not needed any more
)

// Fetch has the node that is connected, or else one that serves the control
// plane, make a backup, and brings it to path. Fetch checks its size, its SHA-256
// and the digests of its tables before the file gets that name. KindExists
// where there is something at path. After an error there is nothing new, and the
// node is told to forget its file. report may be nil.
func Fetch(ctx context.Context, src Source, path string, report func(Progress)) (Result, error) {
	if report == nil {
		report = func(Progress) {}
	}
	d, err := newPartialFile(path)
	if err != nil {
		return Result{}, err
	}
	f, err := d.create() // before a node makes a backup that cannot be written here
	if err != nil {
		return Result{}, err
	}
	b, err := fetch(ctx, src, f, report)
	if err == nil {
		err = f.Sync()
	}
	var got Content
	if err = errors.Join(err, f.Close()); err == nil {
		got, err = d.verifyAndPlace(ctx, Content{Tables: b.Tables})
	}
	if err != nil {
		return Result{}, errors.Join(stopped(ctx, d, err), d.discard())
	}
	return Result{Path: d.final, Backup: b, Signed: got.Signed}, nil
}

// fetch has a node make a backup and brings the bytes. Where the answer to the request is
// lost, it begins another backup, at a node that serves by then: a backup changes nothing.
func fetch(ctx context.Context, src Source, to *os.File, report func(Progress)) (core.Backup, error) {
	for try := 1; ; try++ {
		node, err := src.BackupNode(ctx)
		if err != nil {
			return core.Backup{}, err
		}
		b, err := fetcher{src: src, node: node, token: rand.Text() + rand.Text(), report: report}.fetch(ctx, to)
		switch {
		case core.OutcomeOf(err) != core.OutcomeUnknown || ctx.Err() != nil:
			return b, err
		case try == createTries:
			return b, core.Errorf(core.KindUnavailable, "the answer to %d requests for a backup was lost, the last one to %s", try, node).
				WithOutcome(core.OutcomeNone).WithNext("nothing was written here, and a backup changes nothing in the cluster: run it again; `unibus-tui status` says which nodes answer")
		}
	}
}

// fetch takes one backup, and has the node forget it.
func (j fetcher) fetch(ctx context.Context, to *os.File) (core.Backup, error) {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		_, _ = j.part(ctx, core.BackupPartRequest{End: true}) // unheard, the node forgets it by itself
	}()
	b, err := j.take(ctx)
	if err != nil {
		return core.Backup{}, err
	}
	h := sha256.New()
	if err := j.parts(ctx, b, to, h); err != nil {
		return core.Backup{}, err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != b.SHA256 {
		return core.Backup{}, core.Errorf(core.KindFailed, "the file from %s is not the one that it made: its SHA-256 is %s, not %s", j.node, got, b.SHA256).
			WithNext("try again; if it happens twice, look at the disk and the memory of both machines")
	}
	return b, nil
}

// fetcher is one backup under way at a node.
type fetcher struct {
	src    Source
	node   string
	token  string
	report func(Progress)
}

func (j fetcher) part(ctx context.Context, req core.BackupPartRequest) (core.BackupPart, error) {
	req.Token = j.token
	return j.src.BackupPart(ctx, j.node, req)
}

// take waits while the node says that it makes the file.
func (j fetcher) take(ctx context.Context) (core.Backup, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		j.watch(ctx, cancel)
	}()
	b, err := j.src.BackupCreate(ctx, j.node, j.token)
	var gone *core.Error
	if err != nil && errors.As(context.Cause(ctx), &gone) {
		err = gone
	}
	cancel(nil)
	<-watched // report is not called from there any more
	return b, err
}

// watch gives a node up that has stopped answering.
func (j fetcher) watch(ctx context.Context, giveUp context.CancelCauseFunc) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for silent := 0; silent < maxFailedPolls; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p, err := j.part(ctx, core.BackupPartRequest{Look: true})
		switch core.KindOf(err) {
		case "":
			j.report(Progress{Node: j.node, Rows: p.Rows})
			silent = 0
		case core.KindUnavailable:
			silent++
		}
	}
	giveUp(core.Errorf(core.KindUnavailable, "%s began a backup and does not answer any more", j.node).
		WithNext("see `unibus-tui status`, then try again; nothing was written here"))
}

// parts fetches one after the other.
func (j fetcher) parts(ctx context.Context, b core.Backup, to io.Writer, h hash.Hash) error {
	for at := int64(0); at < b.Bytes; {
		data, err := j.fetchAt(ctx, at)
		if err != nil {
			return err
		}
		if len(data) == 0 || at+int64(len(data)) > b.Bytes {
			return core.Errorf(core.KindFailed, "%s hands out another file than it announced, of %d bytes", j.node, b.Bytes).WithNext("try again")
		}
		if _, err := to.Write(data); err != nil {
			return core.Errorf(core.KindFailed, "the backup cannot be written: %w", err).
				WithNext("it takes %d bytes: see that so much is free there", b.Bytes)
		}
		h.Write(data) // never fails
		at += int64(len(data))
		j.report(Progress{Node: j.node, Bytes: at, Total: b.Bytes})
	}
	return nil
}

// fetchAt asks again where no answer came: the same part is the same bytes.
func (j fetcher) fetchAt(ctx context.Context, at int64) ([]byte, error) {
	for try := 1; ; try++ {
		p, err := j.part(ctx, core.BackupPartRequest{Offset: at})
		err = core.ReadError(err) // a part has no outcome of its own
		if err == nil || try == partTries || core.KindOf(err) != core.KindUnavailable || ctx.Err() != nil {
			return p.Data, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollInterval):
		}
	}
}
