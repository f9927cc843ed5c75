package bus

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"unibus/core"
	"unibus/core/keys"
)

// probeTimeout bounds each of the two steps of a probe: the connection, and the first
// words on it. A process that is stopped still accepts connections, in its kernel.
const probeTimeout = 3 * time.Second

// maxInfo bounds what is read of an answer.
const maxInfo = 64 << 10

// RouteProbe is what came of one try to open a route.
type RouteProbe struct {
	Addr   string // as --routes has it
	Node   string // the node there, by its certificate or by its word; "" where neither was seen
	Fault  core.RouteFault
	Detail string // of the fault, as a part of a sentence
	Hosts  string // that a new certificate of the node needs, with commas; "" where this one is not of the cluster's authority
}

// ProbeRoutes tries every address of --routes and those of others, all at the same time.
// nats-server opens its routes by itself, and only logs why it cannot: a probe goes the same
// way, and returns the reason. A certificate need not be for the address of one of the
// others.
func (s *Server) ProbeRoutes(ctx context.Context, others ...string) []RouteProbe {
	c := s.cfg.Cluster
	if c == nil || s.running() == nil {
		return nil
	}
	out := make([]RouteProbe, len(c.Routes)+len(others))
	var tries sync.WaitGroup
	for i, r := range c.Routes {
		u, err := routeURL(r)
		if err != nil {
			continue // Open has refused it
		}
		host, _, _ := net.SplitHostPort(u.Host)
		tries.Go(func() { out[i] = s.probeRoute(ctx, u.Host, host) })
	}
	for i, addr := range others {
		tries.Go(func() { out[len(c.Routes)+i] = s.probeRoute(ctx, addr, "") })
	}
	tries.Wait()
	return out
}

// probeRoute tries one address. The certificate has to be for host; "": for any.
func (s *Server) probeRoute(ctx context.Context, addr, host string) RouteProbe {
	p := RouteProbe{Addr: addr}
	raw, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		p.Fault, p.Detail = dialFault(err)
		return p
	}
	defer func() { _ = raw.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	_ = raw.SetDeadline(time.Now().Add(probeTimeout)) // fails only where the connection is closed, as the read will say
	conn := raw
	var shown peerCertificate
	if s.routes != nil {
		secure := tls.Client(raw, s.probeTLS(host, &shown))
		err := secure.HandshakeContext(ctx)
		p.Node = shown.node
		if err != nil {
			p.Fault, p.Detail = answerFault(err)
			return p
		}
		conn = secure
	}
	s.readInfo(conn, &p)
	if shown.err != nil { // the other end cannot see that, so that its answer came all the same
		p.Fault, p.Detail, p.Hosts = core.FaultCertificate, certificateReason(shown.err), shown.hosts
	}
	return p
}

// peerCertificate is the certificate of the other end, and its fault.
type peerCertificate struct {
	node  string
	hosts string
	err   error
}

// probeTLS shows what a route shows. It completes the handshake with a certificate that
// a route would refuse, so that the cause does not hide what else the other end says.
func (s *Server) probeTLS(host string, shown *peerCertificate) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: host, InsecureSkipVerify: true, // verified below
		GetClientCertificate: s.routeTLS.GetClientCertificate,
		VerifyConnection: func(state tls.ConnectionState) error {
			if shown.err = s.verifyPeer(host, state); len(state.PeerCertificates) > 0 {
				shown.node, shown.hosts = keys.NodeName(state.PeerCertificates[0]), neededHosts(state.PeerCertificates[0], host, shown.err)
			}
			return nil
		},
	}
}

// neededHosts are those of a certificate, and the one by which its node was dialed. They
// become a part of a command: those of a stranger's certificate do not.
func neededHosts(cert *x509.Certificate, dialed string, refused error) string {
	var authority x509.UnknownAuthorityError
	hosts := certHosts(cert)
	if errors.As(refused, &authority) || strings.Trim(hosts, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:-") != "" {
		return ""
	}
	if dialed != "" && cert.VerifyHostname(dialed) != nil {
		hosts = strings.TrimPrefix(hosts+","+dialed, ",")
	}
	return hosts
}

// verifyPeer is what both nats-server and routeAuth verify of a route that this node
// opens. The authority comes first: with a foreign one the host means nothing.
func (s *Server) verifyPeer(host string, state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return s.routes.verify(state)
	}
	if err := certChain(state.PeerCertificates).verify(s.routes.roots.current().pool, ""); err != nil {
		return err
	}
	if host == "" {
		return s.routes.verify(state)
	}
	if err := state.PeerCertificates[0].VerifyHostname(host); err != nil {
		return err
	}
	return s.routes.verify(state)
}

// readInfo reads the first line that a server sends on a route.
func (s *Server) readInfo(conn io.Reader, p *RouteProbe) {
	line, err := bufio.NewReader(io.LimitReader(conn, maxInfo)).ReadString('\n')
	if err != nil {
		p.Fault, p.Detail = answerFault(err)
		return
	}
	var info struct {
		Name    string `json:"server_name"`
		ID      string `json:"server_id"`
		Cluster string `json:"cluster"`
	}
	text, isInfo := strings.CutPrefix(line, "INFO ")
	switch err := json.Unmarshal([]byte(text), &info); {
	case !isInfo || err != nil:
		p.Fault, p.Detail = core.FaultForeign, "the answer is not one of a node"
	case info.ID == s.ID():
		p.Node, p.Fault = s.cfg.Name, core.FaultRouteToItself
	case info.Cluster != s.cfg.Cluster.Name:
		p.Fault, p.Detail = core.FaultForeign, fmt.Sprintf(core.OtherCluster+"%.40q answers", info.Cluster)
	default:
		if name, err := core.ParseNodeName(info.Name); err == nil && p.Node == "" {
			p.Node = name
		}
	}
}

// dialFault is why there is no connection.
func dialFault(err error) (core.RouteFault, string) {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return core.FaultUnresolved, dns.Err
	case errors.Is(err, syscall.ECONNREFUSED):
		return core.FaultRefused, "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return core.FaultUnreachable, listenReason(err)
	case isTimeout(err):
		return core.FaultTimeout, "no reply within " + probeTimeout.String()
	}
	return core.FaultUnreachable, listenReason(err)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) || errors.As(err, &timeout) && timeout.Timeout()
}

// answerFault is why a connection says nothing of use.
func answerFault(err error) (core.RouteFault, string) {
	var alert *net.OpError
	var record tls.RecordHeaderError
	switch {
	case isTimeout(err):
		return core.FaultHung, "connected, and no answer within " + probeTimeout.String()
	case errors.As(err, &alert) && alert.Op == "remote error":
		return core.FaultOwnCertificate, strings.TrimPrefix(alert.Err.Error(), "tls: ")
	case errors.As(err, &record):
		return core.FaultForeign, "the answer is not TLS"
	}
	return core.FaultClosed, "the connection was closed before an answer"
}

// certificateReason is why a certificate is refused, in few words.
func certificateReason(err error) string {
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	const day = "2006-01-02 15:04 MST"
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		return "it is valid from " + invalid.Cert.NotBefore.UTC().Format(day) + ", " + core.NotYetValid
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "it expired on " + invalid.Cert.NotAfter.UTC().Format(day)
	case errors.As(err, &host):
		return "it is for " + cmp.Or(certHosts(host.Certificate), "no host") + " and not for " + host.Host
	case errors.As(err, &authority):
		return "the authority in --route-tls-ca did not sign it"
	}
	return err.Error()
}
