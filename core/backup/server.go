package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/migrate"
)

// partBytes is how much of a backup one answer carries at the most: as JSON well
// below the payload limit of 1 MiB.
const partBytes = 512 << 10

// ServerConfig is what a node's Server needs. Make and Dir are required.
type ServerConfig struct {
	Node string
	Dir  string // of the Server alone: whatever is in it is removed at Open and Close
	// Make writes the whole control plane to path, which is new, and tells rows of
	// every batch. With an error there is no file.
	Make        func(ctx context.Context, path string, rows func(int)) (core.Backup, error)
	Need        func(ctx context.Context) (int64, error) // bytes that must be free; nil: not checked
	Free        func(dir string) (int64, error)          // bytes that are
	Sign        Signer                                   // signs every backup; nil: none is signed
	IdleTimeout time.Duration                            // after the last question a file is forgotten; 0: 10 min
	Limit       int                                      // at a time; 0: 2
}

// Server makes backups and hands them out in parts.
// A finished file has no name any more: however the process ends, it is gone.
type Server struct {
	cfg ServerConfig

	mu        sync.Mutex
	transfers map[string]*transfer // by token
	closed    bool
}

// transfer is one backup that is being made, or is made and handed out.
type transfer struct {
	by     core.Operator
	since  time.Time
	cancel context.CancelFunc // of the making
	rows   atomic.Int64

	file *os.File // nil while it is made; guarded by the Server's lock
	size int64
	idle *time.Timer
}

// NewServer does no I/O.
func NewServer(cfg ServerConfig) *Server {
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = 10 * time.Minute
	}
	if cfg.Limit == 0 {
		cfg.Limit = 2
	}
	return &Server{cfg: cfg, transfers: map[string]*transfer{}}
}

// Open removes what a process that was killed has left.
func (d *Server) Open(context.Context) error { return d.clear() }

// Close forgets every backup. Those in the making are given up. Twice is harmless.
func (d *Server) Close() error {
	d.mu.Lock()
	d.closed = true
	for token := range d.transfers {
		d.drop(token)
	}
	d.mu.Unlock()
	return d.clear()
}

func (d *Server) clear() error {
	if err := os.RemoveAll(d.cfg.Dir); err != nil {
		return core.Errorf(core.KindFailed, "what is left of backups cannot be removed: %w", err).
			WithNext("remove %s by hand: it may hold the whole control plane", d.cfg.Dir)
	}
	return nil
}

// Create makes a backup that its caller names by a token.
func (d *Server) Create(ctx context.Context, by core.Operator, token string) (core.Backup, error) {
	if err := checkToken(token); err != nil {
		return core.Backup{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &transfer{by: by, since: time.Now(), cancel: cancel}
	if err := d.acquireSlot(token, h); err != nil {
		return core.Backup{}, err
	}
	b, err := d.make(ctx, h)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.transfers[token] != h { // given up meanwhile
		return core.Backup{}, errors.Join(core.Errorf(core.KindUnavailable, "the backup at %s was given up", d.cfg.Node).WithNext("begin a new one"), h.close())
	}
	if err != nil {
		d.drop(token)
		return core.Backup{}, err
	}
	h.size = b.Bytes
	h.idle = time.AfterFunc(d.cfg.IdleTimeout, func() { d.forget(token, h) })
	return b, nil
}

func checkToken(token string) error {
	bad := len(token) < 32 || len(token) > 64
	for _, r := range token {
		bad = bad || (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if bad {
		return core.Errorf(core.KindInvalid, "the backup's token is not 32 to 64 letters and digits").WithNext("use `unibusd backup` of the nodes' own version")
	}
	return nil
}

// acquireSlot takes one of the places.
func (d *Server) acquireSlot(token string, h *transfer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return core.Errorf(core.KindUnavailable, "%s is stopping", d.cfg.Node)
	case d.transfers[token] != nil:
		return core.Errorf(core.KindExists, "there is a backup of this token already")
	case len(d.transfers) >= d.cfg.Limit:
		return d.slotsTakenError()
	}
	d.transfers[token] = h
	return nil
}

// slotsTakenError says whose backups hold the places. The caller holds mu.
func (d *Server) slotsTakenError() error {
	text := ""
	for _, h := range d.transfers {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%s since %s", h.by.Name, h.since.UTC().Format("15:04:05 UTC"))
	}
	return core.Errorf(core.KindUnavailable, "%s has %d backups under way and takes no more: %s", d.cfg.Node, len(d.transfers), text).
		WithNext("try again when they are over, or ask another node; a backup that is not fetched is forgotten after %s", d.cfg.IdleTimeout)
}

// make writes the file, and takes its name away once it is open.
func (d *Server) make(ctx context.Context, h *transfer) (core.Backup, error) {
	if err := os.MkdirAll(d.cfg.Dir, 0o700); err != nil {
		return core.Backup{}, core.Errorf(core.KindFailed, "%s cannot write backups: %w", d.cfg.Node, err).WithNext("look at its data directory")
	}
	if err := d.checkDiskSpace(ctx); err != nil {
		return core.Backup{}, err
	}
	dir, err := os.MkdirTemp(d.cfg.Dir, "")
	if err != nil {
		return core.Backup{}, core.Errorf(core.KindFailed, "%s cannot write backups: %w", d.cfg.Node, err).WithNext("look at its data directory")
	}
	defer func() { _ = os.RemoveAll(dir) }() // what stays is removed at the next start
	path := filepath.Join(dir, "backup.db")
	b, err := d.cfg.Make(ctx, path, func(n int) { h.rows.Add(int64(n)) })
	if err != nil {
		return core.Backup{}, err
	}
	if b, err = d.sign(ctx, path, b, h.since); err != nil {
		return core.Backup{}, errors.Join(err, migrate.RemoveSQLiteFile(path))
	}
	f, err := os.Open(path)
	if err != nil {
		return core.Backup{}, errors.Join(core.Errorf(core.KindFailed, "the backup on %s cannot be read: %w", d.cfg.Node, err), migrate.RemoveSQLiteFile(path))
	}
	d.mu.Lock()
	h.file = f
	d.mu.Unlock()
	b.Node = d.cfg.Node
	return b, nil
}

// sign adds the maker to the file, and the moment before its rows were read: later changes
// may be missing, and `audit revocations --since` looks for them.
func (d *Server) sign(ctx context.Context, path string, b core.Backup, begun time.Time) (core.Backup, error) {
	if d.cfg.Sign == nil {
		return b, nil
	}
	info, err := sign(ctx, d.cfg.Sign, d.cfg.Node, path, Content{Tables: b.Tables}, begun)
	b.Bytes, b.SHA256 = info.Bytes, info.SHA256
	return b, err
}

// checkDiskSpace refuses a backup for which there is no space on the disk.
func (d *Server) checkDiskSpace(ctx context.Context) error {
	if d.cfg.Need == nil {
		return nil
	}
	need, err := d.cfg.Need(ctx)
	if err != nil {
		return err
	}
	free, err := d.cfg.Free(d.cfg.Dir)
	if err != nil {
		return err
	}
	if free < need {
		return core.Errorf(core.KindRefused, "%s has %d MB free in %s, and a backup may take %d MB there for a while", d.cfg.Node, free>>20, d.cfg.Dir, (need+1<<20-1)>>20).
			WithNext("free disk space on %s, or ask another node", d.cfg.Node)
	}
	return nil
}

// Part reads a part of a caller's backup, or ends it.
func (d *Server) Part(_ context.Context, by core.Operator, req core.BackupPartRequest) (core.BackupPart, error) {
	h, f, err := d.find(by, req)
	if err != nil || req.End {
		return core.BackupPart{}, err
	}
	part := core.BackupPart{Rows: int(h.rows.Load())}
	switch {
	case req.Look:
		return part, nil
	case f == nil:
		return part, core.Errorf(core.KindUnavailable, "the backup on %s is being made", d.cfg.Node).WithNext("ask again when it is announced")
	case req.Offset < 0 || req.Offset >= h.size:
		return part, core.Errorf(core.KindInvalid, "the backup has no byte %d: it ends after %d", req.Offset, h.size).WithNext("begin at 0")
	}
	part.Data = make([]byte, min(partBytes, h.size-req.Offset))
	if _, err := f.ReadAt(part.Data, req.Offset); err != nil && !errors.Is(err, io.EOF) {
		return core.BackupPart{}, core.Errorf(core.KindFailed, "the backup on %s cannot be read: %w", d.cfg.Node, err).WithNext("begin a new one")
	}
	return part, nil
}

// find looks a caller's backup up, and ends it if the request says so. Another caller
// gets the error of a backup that does not exist.
func (d *Server) find(by core.Operator, req core.BackupPartRequest) (*transfer, *os.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.transfers[req.Token]
	if h == nil || h.by.Key != by.Key {
		return nil, nil, core.Errorf(core.KindNotFound, "%s has no such backup of yours, or not any more", d.cfg.Node).WithNext("begin a new one")
	}
	if req.End {
		d.drop(req.Token)
		return h, nil, nil
	}
	if h.idle == nil { // still being made, or just about to be announced
		return h, nil, nil
	}
	h.idle.Reset(d.cfg.IdleTimeout)
	return h, h.file, nil
}

// forget drops a backup that no request asked for in time.
func (d *Server) forget(token string, h *transfer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.transfers[token] == h {
		d.drop(token)
	}
}

// drop gives up or forgets one. The caller holds mu. The file of one in the
// making is closed by who makes it.
func (d *Server) drop(token string) {
	h := d.transfers[token]
	delete(d.transfers, token)
	h.cancel()
	if h.idle != nil {
		h.idle.Stop()
		_ = h.close() // it was only read
	}
}

func (h *transfer) close() error {
	if h.file == nil {
		return nil
	}
	return h.file.Close()
}
