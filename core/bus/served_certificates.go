package bus

import (
	"time"

	"unibus/core"
	"unibus/core/keys"
)

// ServedCertificate is a certificate that the server uses now, whatever its file holds.
type ServedCertificate struct {
	File        string
	From, Until time.Time
	Hosts       []string // that it is for
	Fault       string   // why the file as it is now is not in use
	Next        string   // what to do about that; may be ""
	KeyFile     string
	Signer      string    // keys.SignerID of the certificate; "" for Authority
	CAs         []core.CA // Authority: the whole bundle
}

// Certificates are those that the listeners use. Each is nil where it is not configured.
type Certificates struct {
	Clients   *ServedCertificate // shown by the clients' listener
	Routes    *ServedCertificate // shown to other nodes
	Authority *ServedCertificate // of the routes; of several the one that ends first
}

// Certificates returns what the listeners show now, and has renewed files taken into use.
func (s *Server) Certificates() Certificates {
	var c Certificates
	if s.running() == nil {
		return c
	}
	c.Clients = servedCertificate(s.cert, s.cfg.CertFile, s.cfg.KeyFile)
	if s.cfg.Cluster != nil {
		c.Routes = servedCertificate(s.routeCert, s.cfg.Cluster.CertFile, s.cfg.Cluster.KeyFile)
		if s.routes != nil {
			c.Authority = s.servedAuthority()
		}
	}
	return c
}

func servedCertificate(r *reloaded[certificate], file, keyFile string) *ServedCertificate {
	if r == nil {
		return nil
	}
	pair := r.current().pair
	leaf, fault := pair.Leaf, r.currentFault()
	return &ServedCertificate{
		File: file, KeyFile: keyFile, From: leaf.NotBefore, Until: leaf.NotAfter, Hosts: keys.CertHosts(leaf),
		Fault: fault.Reason, Next: fault.Next, Signer: keys.SignerID(chainOf(pair)),
	}
}

func (s *Server) servedAuthority() *ServedCertificate {
	cas := s.routes.roots.current().certs
	first := cas[0]
	for _, ca := range cas {
		if ca.NotAfter.Before(first.NotAfter) {
			first = ca
		}
	}
	return &ServedCertificate{File: s.cfg.Cluster.CAFile, From: first.NotBefore, Until: first.NotAfter, CAs: keys.CAsOf(cas)}
}
