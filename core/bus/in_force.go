package bus

import (
	"os"
	"path/filepath"
	"time"
)

// CertificateInForce is a certificate that the server uses now, whatever its file holds.
type CertificateInForce struct {
	File        string
	From, Until time.Time
	Fault       string // why the file as it is now is not in use
	Next        string // what to do about that; may be ""
}

// Certificates are those in force. Each is nil where it is not configured.
type Certificates struct {
	Clients   *CertificateInForce // shown by the clients' listener
	Routes    *CertificateInForce // shown to other nodes
	Authority *CertificateInForce // of the routes; of several the one that ends first
}

// Certificates returns what the listeners show now, and has renewed files taken into use.
func (s *Server) Certificates() Certificates {
	var c Certificates
	if s.running() == nil {
		return c
	}
	c.Clients = inForce(s.cert, s.cfg.CertFile)
	if s.cfg.Cluster != nil {
		c.Routes = inForce(s.routeCert, s.cfg.Cluster.CertFile)
		if s.routes != nil {
			c.Authority = s.authorityInForce()
		}
	}
	return c
}

func inForce(r *reloaded[certificate], file string) *CertificateInForce {
	if r == nil {
		return nil
	}
	leaf := r.current().pair.Leaf
	fault := r.currentFault()
	return &CertificateInForce{File: file, From: leaf.NotBefore, Until: leaf.NotAfter, Fault: fault.Reason, Next: fault.Next}
}

func (s *Server) authorityInForce() *CertificateInForce {
	cas := s.routes.roots.current().certs
	first := cas[0]
	for _, ca := range cas {
		if ca.NotAfter.Before(first.NotAfter) {
			first = ca
		}
	}
	return &CertificateInForce{File: s.cfg.Cluster.CAFile, From: first.NotBefore, Until: first.NotAfter}
}

// SyncsWrites is true if the running server acknowledges what is on disk alone. A server
// without JetStream acknowledges nothing.
func (s *Server) SyncsWrites() bool {
	srv := s.running()
	if srv == nil {
		return true
	}
	c := srv.JetStreamConfig()
	return c == nil || c.SyncAlways
}

// HasTLS is true if the clients' listener speaks TLS.
func (s *Server) HasTLS() bool { return s.cert != nil }

// StreamDir is JetStream's directory; "" without JetStream.
func (s *Server) StreamDir() string {
	if !s.cfg.JetStream {
		return ""
	}
	return filepath.Join(s.cfg.DataDir, jetstreamDir)
}

// OwnerFile is the file that says which node owns the data directory; "" where there is none.
func (s *Server) OwnerFile() string {
	if s.cfg.Cluster == nil {
		return ""
	}
	return filepath.Join(s.cfg.DataDir, ownerFile)
}

// DataID tells the content of the data directory from that of another one, or of the same
// one before it was emptied; "" without a cluster.
func (s *Server) DataID() string { return s.dataID }

// hasStreams is true where JetStream has kept something in the data directory before.
func hasStreams(dir string) bool {
	entries, err := os.ReadDir(filepath.Join(dir, jetstreamDir))
	return err == nil && len(entries) > 0
}
