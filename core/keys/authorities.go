package keys

import (
	"crypto/x509"
	"sync"
)

// Authorities are the CAs in a PEM file. A client reads them for each connection, so
// that a CA can be replaced while the client runs. A file that cannot be used leaves
// the last good one in use.
type Authorities struct {
	path   string
	report func(error)

	mu    sync.Mutex
	pool  *x509.CertPool
	fault string // why the file cannot be used now; "" while it can
}

// OpenAuthorities reads the file for the first time. Report, which may be nil, gets
// each later reason not to use the file once. KindNotFound, KindInvalid.
func OpenAuthorities(path string, report func(error)) (*Authorities, error) {
	pool, err := LoadPool(path)
	if err != nil {
		return nil, err
	}
	return &Authorities{path: path, report: report, pool: pool}, nil
}

// Pool reads the file, and returns the last good content. It never fails: the error is
// part of the type that nats.go calls.
func (a *Authorities) Pool() (*x509.CertPool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	pool, err := LoadPool(a.path)
	if err == nil {
		a.pool, a.fault = pool, ""
		return pool, nil
	}
	if text := err.Error(); text != a.fault {
		a.fault = text
		if a.report != nil {
			a.report(err)
		}
	}
	return a.pool, nil
}
