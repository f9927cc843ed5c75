package bus

import (
	"bufio"
	"context"
	"crypto/tls"
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

const (
	nameAskTimeout = 1500 * time.Millisecond // of one address
	nameAskAgain   = 500 * time.Millisecond
	// nameGrace is how long a start waits for another node of its name to go: longer than
	// the peers take to notice that the connection of a dead one is dead.
	nameGrace = 2 * heardFor
	maxLine   = 64 << 10 // of an answer
)

// nameHolder is another server that has this node's name.
type nameHolder struct {
	at       string // where it answers, or which node hears it
	indirect bool   // the node at that address hears it
	node     string // that node
}

// CheckName refuses a start while another server answers as this node: two of one name
// vote twice in the raft groups. It asks every address of --routes before this node has said
// anything to the cluster. The server there may be the other one, or may hear it. A node that
// restarts finds its own last connections for a moment, so that it asks again before
// it gives up. KindRefused.
func (s *Server) CheckName(ctx context.Context) error {
	if s.cfg.Cluster == nil {
		return nil
	}
	conf, err := s.nameAskTLS()
	if err != nil {
		return err
	}
	for deadline, waiting := time.Now().Add(nameGrace), false; ; waiting = true {
		other := s.findNameHolder(ctx, conf, !waiting)
		if other == nil || ctx.Err() != nil {
			return nil
		}
		if time.Now().After(deadline) {
			return s.nameRefused(other)
		}
		if !waiting {
			s.log.Warn("another server answers under the name of this node; waiting for it to stop", "name", s.cfg.Name, "at", other.at)
		}
		select {
		case <-ctx.Done():
		case <-time.After(nameAskAgain):
		}
	}
}

func (s *Server) nameRefused(other *nameHolder) error {
	host, err := os.Hostname()
	if err != nil {
		host = "this host"
	}
	where, next := "at "+other.at, fmt.Sprintf("stop the one at %s; or give this one a name, a data directory and a route certificate of its own: unibusd serve --name NAME", other.at)
	if other.indirect {
		where = fmt.Sprintf("in the cluster: %s (%s) hears it", other.node, other.at)
		next = fmt.Sprintf("see its address in the log of %s, and stop it; or give this one a name, a data directory and a route certificate of its own: unibusd serve --name NAME", other.node)
	}
	return core.Errorf(core.KindRefused, "another unibusd runs as %s %s, and this one on %s must not start: two nodes of one name vote twice, and data can be lost", s.cfg.Name, where, host).
		WithNext("%s", next)
}

// nameAskTLS is the TLS of a route that this node would open; nil where routes have none.
func (s *Server) nameAskTLS() (*tls.Config, error) {
	c := s.cfg.Cluster
	if c.CertFile == "" {
		return nil, nil
	}
	pair, err := keys.LoadPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, err
	}
	roots, err := keys.LoadPool(c.CAFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*pair},
		InsecureSkipVerify: true, // a route's other end is known by its name: verified below
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return core.Errorf(core.KindRefused, "it shows no certificate")
			}
			return certChain(state.PeerCertificates).verify(roots, state.ServerName)
		},
	}, nil
}

func withHost(conf *tls.Config, host string) *tls.Config {
	conf = conf.Clone()
	conf.ServerName = host
	return conf
}

// findNameHolder asks every address at the same time.
func (s *Server) findNameHolder(ctx context.Context, conf *tls.Config, first bool) *nameHolder {
	routes := s.cfg.Cluster.Routes
	found := make([]*nameHolder, len(routes))
	var asking sync.WaitGroup
	for i, r := range routes {
		u, err := routeURL(r)
		if err != nil {
			continue // check has refused it
		}
		asking.Go(func() {
			holder, err := s.askName(ctx, u.Host, conf)
			if err != nil && first {
				s.log.Warn("a server at an address of --routes is no node of this cluster for this node", "addr", u.Host, "reason", err)
			}
			found[i] = holder
		})
	}
	asking.Wait()
	var indirect *nameHolder
	for _, holder := range found {
		switch {
		case holder == nil:
		case !holder.indirect:
			return holder
		default:
			indirect = holder
		}
	}
	return indirect
}

// askName asks the server at one address. The error is about a server that answers and is
// not of this cluster; there is none for silence.
func (s *Server) askName(ctx context.Context, addr string, conf *tls.Config) (*nameHolder, error) {
	ctx, cancel := context.WithTimeout(ctx, nameAskTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, nil //nolint:nilerr // a node that is not there has no name
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if conf != nil {
		host, _, _ := net.SplitHostPort(addr)
		secure := tls.Client(conn, withHost(conf, host))
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, handshakeFault(err)
		}
		conn = secure
	}
	return s.talkName(conn, addr)
}

// handshakeFault is nil for a server that does not answer or has ended, as a forwarder without
// its target does.
func handshakeFault(err error) error {
	var refused *tls.CertificateVerificationError
	var timeout net.Error
	var alert *net.OpError
	switch {
	case errors.As(err, &refused):
		return core.Errorf(core.KindRefused, "its route certificate is refused: %v", refused.Err)
	case errors.As(err, &alert) && alert.Op == "remote error":
		return core.Errorf(core.KindRefused, "it refuses the route certificate of this node: %v", alert.Err)
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return nil
	}
	return core.Errorf(core.KindRefused, "TLS with it failed: %w", err)
}

// talkName speaks the beginning of the route protocol. The server says who it is. Then it is
// asked by a CONNECT with a user, which routes never have: see routeGate.
func (s *Server) talkName(conn net.Conn, addr string) (*nameHolder, error) {
	in := bufio.NewReader(io.LimitReader(conn, maxLine))
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, handshakeFault(err)
	}
	var info struct {
		Name    string `json:"server_name"`
		Cluster string `json:"cluster"`
	}
	text, isInfo := strings.CutPrefix(line, "INFO ")
	if err := json.Unmarshal([]byte(text), &info); !isInfo || err != nil {
		return nil, core.Errorf(core.KindRefused, "it is no node")
	}
	switch {
	case info.Cluster != s.cfg.Cluster.Name:
		return nil, core.Errorf(core.KindRefused, "it belongs to the cluster %.40q, and this node to %q", info.Cluster, s.cfg.Cluster.Name)
	case info.Name == s.cfg.Name:
		return &nameHolder{at: addr}, nil
	}
	peer, err := core.ParseNodeName(info.Name)
	if err != nil {
		return nil, core.Errorf(core.KindRefused, "it is no node")
	}
	question, err := json.Marshal(map[string]any{"user": s.cfg.Name, "name": "name check of " + s.cfg.Name, "cluster": info.Cluster, "verbose": false, "pedantic": false})
	if err != nil {
		return nil, nil //nolint:nilerr // a map of strings cannot fail
	}
	if _, err := fmt.Fprintf(conn, "CONNECT %s\r\nPING\r\n", question); err != nil {
		return nil, nil //nolint:nilerr // it has ended
	}
	for {
		line, err := in.ReadString('\n')
		switch {
		case err != nil, strings.HasPrefix(line, "PONG"):
			return nil, nil //nolint:nilerr // it has ended, or hears no other server of the name
		case strings.HasPrefix(line, "-ERR 'Authorization Violation'"):
			return &nameHolder{at: addr, indirect: true, node: peer}, nil
		}
	}
}
