package backup

import (
	"os"
	"path/filepath"
	"sync"
	"time"

	"unibus/core"
)

// upload is the one database that a caller sends to a node. The next one replaces it once no
// part has come for uploadIdle.
type upload struct {
	dir  string // of the upload alone
	free func(dir string) (int64, error)

	mu       sync.Mutex
	by       core.Operator
	token    string
	path     string // "" : there is none
	size     int64
	total    int64
	lastPart time.Time
	inUse    bool // a restore reads it
}

// uploadIdle is how long after the last part another caller may upload a database.
const uploadIdle = time.Minute

// clear removes the files of a process that was killed.
func (u *upload) clear() error {
	if err := os.RemoveAll(u.dir); err != nil {
		return core.Errorf(core.KindFailed, "the files of an earlier restore cannot be removed: %w", err).WithNext("remove %s by hand: it may hold a whole control plane", u.dir)
	}
	return nil
}

// add appends a part. A repeated part gets the same answer.
func (u *upload) add(by core.Operator, req core.RestorePartRequest) (int64, error) {
	if err := checkToken(req.Token); err != nil {
		return 0, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	mine := u.path != "" && u.token == req.Token && u.by.Key == by.Key
	switch {
	case u.inUse && !mine:
		return 0, u.busyError()
	case req.End:
		if mine && !u.inUse {
			u.drop()
		}
		return 0, nil
	case !mine && u.path != "" && time.Since(u.lastPart) < uploadIdle:
		return 0, u.busyError()
	case req.Total <= 0 || req.Offset < 0 || req.Offset+int64(len(req.Data)) > req.Total:
		return 0, core.Errorf(core.KindInvalid, "a part of %d bytes at %d is not of a file of %d", len(req.Data), req.Offset, req.Total).WithNext("begin again")
	case !mine && req.Offset != 0:
		return 0, core.Errorf(core.KindNotFound, "the node has no such database of yours, or not any more").WithNext("begin again")
	case !mine:
		if err := u.begin(by, req); err != nil {
			return 0, err
		}
	}
	u.lastPart = time.Now()
	if req.Offset+int64(len(req.Data)) <= u.size {
		return u.size, nil
	}
	if req.Offset != u.size || req.Total != u.total {
		return u.size, core.Errorf(core.KindInvalid, "the node has %d bytes, and the part begins at %d", u.size, req.Offset).WithNext("begin again")
	}
	return u.append(req.Data)
}

func (u *upload) busyError() error {
	return core.Errorf(core.KindUnavailable, "%s uploads a database to restore to the node", u.by.Name).WithNext("try again when that is over")
}

// begin checks the space for the file and for the sorting of its rows. The caller holds mu.
func (u *upload) begin(by core.Operator, req core.RestorePartRequest) error {
	u.drop()
	if err := os.MkdirAll(u.dir, 0o700); err != nil {
		return core.Errorf(core.KindFailed, "the node cannot take a database: %w", err).WithNext("look at its data directory")
	}
	free, err := u.free(u.dir)
	if err != nil {
		return err
	}
	if need := 3 * req.Total; free < need { // the file, the buckets, and the temporary files of the comparison
		return core.Errorf(core.KindRefused, "%d MB are free in %s, and this restore may take %d MB on the node", free>>20, u.dir, (need+1<<20-1)>>20).WithNext("free disk space there, or ask another node")
	}
	u.by, u.token, u.path, u.size, u.total = by, req.Token, filepath.Join(u.dir, "restore.db"), 0, req.Total
	return nil
}

func (u *upload) append(data []byte) (int64, error) {
	f, err := os.OpenFile(u.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteAt(data, u.size)
		if closed := f.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		return u.size, core.Errorf(core.KindFailed, "the database cannot be written on the node: %w", err).WithNext("look at the disk of its data directory, then begin again")
	}
	u.size += int64(len(data))
	return u.size, nil
}

// drop forgets the file. The caller holds mu.
func (u *upload) drop() {
	if u.path != "" {
		_ = os.RemoveAll(u.dir) // it is removed at the next start
	}
	u.path, u.token = "", ""
}

// acquire hands the whole file to a restore, which calls release in the end.
func (u *upload) acquire(by core.Operator, req core.RestoreRequest) (string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.path == "" || u.token != req.Token || u.by.Key != by.Key:
		return "", core.Errorf(core.KindNotFound, "the node has no such database of yours, or not any more").WithNext("begin again")
	case u.inUse:
		return "", core.Errorf(core.KindUnavailable, "this restore is under way").WithNext("unibus-tui status")
	case u.size != u.total:
		return "", core.Errorf(core.KindInvalid, "only %d of %d bytes have arrived", u.size, u.total).WithNext("begin again")
	}
	got, _, err := fileSHA256(u.path)
	if err != nil {
		return "", err
	}
	if got != req.SHA256 {
		return "", core.Errorf(core.KindFailed, "the uploaded file is not the one that was sent: its SHA-256 is %s, not %s", got, req.SHA256).
			WithNext("try again; if it happens twice, look at the disk and the memory of both machines")
	}
	u.inUse = true
	return u.path, nil
}

func (u *upload) release() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.inUse = false
	u.drop()
}
