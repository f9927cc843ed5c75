package node

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/config"
	"unibus/core/keys"
	"unibus/core/migrate"
)

// Check opens what a configuration names, as a node that starts would, and changes
// nothing. An error is what would keep the node from starting; warnings are what it
// would start with all the same. A node that runs meanwhile is not disturbed.
func Check(cfg config.Node, now time.Time) (warnings []string, err error) {
	if err := checkData(cfg); err != nil {
		return nil, err
	}
	bus, err := checkPair(cfg.TLSCert, cfg.TLSKey, now)
	if err != nil {
		return nil, err
	}
	route, err := checkRouteTLS(cfg, now)
	if err != nil {
		return nil, err
	}
	warnings = append(bus, route...)
	for _, f := range cluster.Exposed([]cluster.Info{{Name: cfg.Name, Loopback: config.Loopback(cfg.Listen), TLS: cfg.TLS(), BusAuth: cfg.BusAuth}}) {
		warnings = append(warnings, f.Text+" "+f.Next)
	}
	if len(cfg.Operators) == 0 {
		warnings = append(warnings, "There is no operator: no person can look at this node or change anything. Add one with --operator NKEY:ROLE:NAME")
	}
	return warnings, nil
}

// checkData looks at the data directory and the database, if they are there.
func checkData(cfg config.Node) error {
	info, err := os.Stat(cfg.Data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return core.Errorf(core.KindInvalid, "the data directory %s cannot be read: %w", cfg.Data, err).WithNext("check --data and its owner")
	default:
		if err := checkPrivate(cfg.Data, info); err != nil {
			return err
		}
		if _, err := migrate.NewFileJournal(filepath.Join(cfg.Data, "journal.json")).Load(); err != nil {
			return err
		}
	}
	f, err := os.Open(cfg.DB)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a node makes it, or serves the buckets
	}
	if err != nil {
		return core.Errorf(core.KindInvalid, "the database %s cannot be read: %w", cfg.DB, err).WithNext("check --db and its owner")
	}
	defer func() { _ = f.Close() }()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return core.Errorf(core.KindInvalid, "--db %s is not a file", cfg.DB).WithNext("name the SQLite file")
	}
	return nil
}

// checkPair reads a certificate and its key; warnings say when it ends.
func checkPair(certFile, keyFile string, now time.Time) ([]string, error) {
	if certFile == "" {
		return nil, nil
	}
	pair, err := keys.LoadPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	switch {
	case now.After(pair.Leaf.NotAfter):
		return []string{fmt.Sprintf("The certificate %s ended on %s: clients that check it do not connect. Make a new one", certFile, pair.Leaf.NotAfter.Format(time.DateOnly))}, nil
	case now.Before(pair.Leaf.NotBefore):
		return []string{fmt.Sprintf("The certificate %s begins on %s: clients that check it do not connect before. Check the clock, or make a new one", certFile, pair.Leaf.NotBefore.Format(time.DateTime))}, nil
	}
	return nil, nil
}

// checkRouteTLS reads what the routes need, and checks it as the peers would.
func checkRouteTLS(cfg config.Node, now time.Time) ([]string, error) {
	if cfg.RouteTLSCert == "" {
		return nil, nil
	}
	warnings, err := checkPair(cfg.RouteTLSCert, cfg.RouteTLSKey, now)
	if err != nil {
		return nil, err
	}
	pair, err := keys.LoadPair(cfg.RouteTLSCert, cfg.RouteTLSKey)
	if err != nil {
		return nil, err
	}
	if name := keys.NodeName(pair.Leaf); name != cfg.Name {
		return nil, core.Errorf(core.KindInvalid, "the route certificate %s is for the node %q, and this node is %s: its peers would refuse it", cfg.RouteTLSCert, name, cfg.Name).
			WithNext("make a new one with `unibusd cert node --name %s --ca DIR --host HOST --out DIR`", cfg.Name)
	}
	pool, err := keys.LoadPool(cfg.RouteTLSCA)
	if err != nil {
		return nil, err
	}
	at := pair.Leaf.NotBefore // its own time was looked at already
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return nil, core.Errorf(core.KindInvalid, "the route certificate %s is not signed by the CA in %s: its peers would refuse it", cfg.RouteTLSCert, cfg.RouteTLSCA).
			WithNext("give the CA that signed it with --route-tls-ca, or make a new certificate with that CA")
	}
	if cfg.RouteTLSCRL == "" {
		return warnings, nil
	}
	revoked, err := keys.LoadRevocations(cfg.RouteTLSCRL, cfg.RouteTLSCA)
	if err != nil {
		return nil, err
	}
	if revoked.Has(pair.Leaf) {
		return nil, core.Errorf(core.KindInvalid, "the route certificate %s was revoked by %s: its peers refuse it", cfg.RouteTLSCert, cfg.RouteTLSCRL).
			WithNext("make a new one with `unibusd cert node --name %s --ca DIR --host HOST --out DIR`", cfg.Name)
	}
	return warnings, nil
}
