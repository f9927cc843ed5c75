package bus

import (
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"unibus/core"
)

// Config describes a Server. Addresses are host:port; port 0 takes a free one.
type Config struct {
	Name     string // the node's name
	DataDir  string // made where it is missing; holds JetStream's files and cluster.json
	Listen   string // for clients
	CertFile string // TLS for clients, both or neither
	KeyFile  string
	TLSFirst bool // send nothing before TLS: clients must begin with the handshake

	Cluster   *Cluster // nil: a node on its own
	JetStream bool     // in the account CONTROL
	MaxStore  int64    // bytes that JetStream may use; 0: as many as the disk has

	Limits    Limits
	CertCheck time.Duration // the shortest time between two checks of a certificate file for renewal; 0: 2 s

	RescanBlocks bool // check every stored block at the start and repair it from the peers (docs/decisions/0011)
	Debug        bool // UNIBUS_NATS_DEBUG: the server's whole log, and monitoring on a loopback port

	Logger *slog.Logger      // nil: silent
	Fatal  func(text string) // called when the server breaks after Open and cannot go on; must not block
}

// Cluster is how a node finds its peers. Every certificate file is needed unless Listen
// is loopback, because a server with a route owns the cluster.
type Cluster struct {
	Name     string
	Listen   string
	Routes   []string // host:port of every node; its own may be among them
	CertFile string
	KeyFile  string
	CAFile   string
	CRLFile  string // certificates that the authority has revoked; "" for none

	CheckNode func(name string) error // refuses a server that is no node of the cluster, and says why; nil: any is accepted
}

// check finds what is wrong with cfg before anything is changed. KindInvalid.
func (cfg *Config) check() error {
	if _, err := core.ParseNodeName(cfg.Name); err != nil {
		return err
	}
	if cfg.DataDir == "" {
		return core.Errorf(core.KindInvalid, "no data directory was given").WithNext("give one with --data DIR")
	}
	if _, _, err := splitAddr("--listen", cfg.Listen); err != nil {
		return err
	}
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return core.Errorf(core.KindInvalid, "--tls-cert and --tls-key only work together").WithNext("give both or neither")
	}
	if cfg.MaxStore < 0 {
		return core.Errorf(core.KindInvalid, "JetStream cannot use %d bytes", cfg.MaxStore)
	}
	if err := cfg.Limits.check(); err != nil {
		return err
	}
	if cfg.Cluster == nil {
		return nil
	}
	return cfg.Cluster.check()
}

func (c *Cluster) check() error {
	if c.Name == "" || strings.ContainsAny(c.Name, " \t\r\n") {
		return core.Errorf(core.KindInvalid, "%q is not a cluster's name", c.Name).WithNext("give --cluster-name a name without spaces")
	}
	host, _, err := splitAddr("--cluster-listen", c.Listen)
	if err != nil {
		return err
	}
	if len(c.Routes) == 0 {
		return core.Errorf(core.KindInvalid, "a cluster needs routes").WithNext("name the other nodes: --routes A,B")
	}
	for _, r := range c.Routes {
		if _, err := routeURL(r); err != nil {
			return err
		}
	}
	given := 0
	for _, f := range []string{c.CertFile, c.KeyFile, c.CAFile} {
		if f != "" {
			given++
		}
	}
	if given != 0 && given != 3 {
		return core.Errorf(core.KindInvalid, "--route-tls-cert, --route-tls-key and --route-tls-ca only work together").WithNext("give all three")
	}
	if given == 0 && !core.IsLoopbackHost(host) {
		return core.Errorf(core.KindInvalid, "routes on %s need TLS: without it any server that opens a route owns the cluster", c.Listen).
			WithNext("make an authority with `unibusd cert ca --out DIR`, and a certificate with `unibusd cert node --name NAME --host HOST --ca DIR --out DIR`; then give --route-tls-cert, --route-tls-key and --route-tls-ca")
	}
	return nil
}

// splitAddr splits host and port. KindInvalid names the flag.
func splitAddr(flag, addr string) (host string, port int, err error) {
	bad := core.Errorf(core.KindInvalid, "%s %q is not host:port", flag, addr).WithNext("for example %s 127.0.0.1:4222", flag)
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, bad
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, bad
	}
	return host, port, nil
}
