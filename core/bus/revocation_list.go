package bus

import (
	"log/slog"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/keys"
)

// revocationList is read again when its file has changed. A list that cannot be
// used is logged and leaves the last good one in use, and so does an older list:
// it would make revoked certificates valid again.
type revocationList struct {
	file, caFile string
	every        time.Duration // how often at most the file is looked at
	log          *slog.Logger

	mu     sync.Mutex
	list   *keys.Revocations
	stamp  time.Time // of file when it was looked at
	looked time.Time
}

// revocations is nil where no list is configured.
func (s *Server) revocations() (*revocationList, error) {
	c := s.cfg.Cluster
	if c.CRLFile == "" {
		return nil, nil //nolint:nilnil // nil is a list without entries
	}
	l := &revocationList{file: c.CRLFile, caFile: c.CAFile, every: s.cfg.CertCheck, log: s.log, stamp: modified(c.CRLFile)}
	if l.every == 0 {
		l.every = lookEvery
	}
	var err error
	l.list, err = keys.LoadRevocations(l.file, l.caFile)
	return l, err
}

func (l *revocationList) current() *keys.Revocations {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.looked) < l.every {
		return l.list
	}
	l.looked = time.Now()
	stamp := modified(l.file)
	if stamp.Equal(l.stamp) {
		return l.list
	}
	next, err := keys.LoadRevocations(l.file, l.caFile)
	if err == nil && next.Number < l.list.Number {
		err = core.Errorf(core.KindInvalid, "it has number %d and is older than the one in use, which has %d", next.Number, l.list.Number)
	}
	if err != nil {
		l.log.Error("a new list of revoked certificates cannot be used; the last good one stays", "file", l.file, "reason", err)
		return l.list
	}
	l.list, l.stamp = next, stamp
	l.log.Info("a new list of revoked certificates is in use", "file", l.file, "number", next.Number)
	return l.list
}
