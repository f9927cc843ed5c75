package config

import (
	"net"
	"path/filepath"
	"slices"
	"strings"

	"unibus/core"
)

// Node is every setting of `unibusd serve`. The toml names are the flags' names.
type Node struct {
	Name string `toml:"name,omitempty"` // 1 to 32 of A-Za-z0-9_-; "n1" by default, must be given with routes
	Data string `toml:"data,omitempty"` // directory of everything the node keeps

	Listen   string       `toml:"listen,omitempty"`   // host:port of the bus; port 0 picks a free one
	Store    core.Backend `toml:"store,omitempty"`    // sqlite or kv
	DB       string       `toml:"db,omitempty"`       // the SQLite file; <data>/unibus.db by default
	Replicas int          `toml:"replicas,omitempty"` // of every bucket, 1 to 5; a boot never lowers what is there

	ClusterName   string   `toml:"cluster-name,omitempty"`
	ClusterListen string   `toml:"cluster-listen,omitempty"` // host:port of the routes
	Routes        []string `toml:"routes,omitempty"`         // host:port of every node of the cluster, this one included
	RouteTLSCert  string   `toml:"route-tls-cert,omitempty"` // the three go together
	RouteTLSKey   string   `toml:"route-tls-key,omitempty"`
	RouteTLSCA    string   `toml:"route-tls-ca,omitempty"`
	RouteTLSCRL   string   `toml:"route-tls-crl,omitempty"` // route certificates that were revoked; read again when it changes
	Nodes         []string `toml:"nodes,omitempty"`         // the names of every node, this one included; none: any that has a certificate

	BusAuth core.BusAuth `toml:"bus-auth,omitempty"`
	TLSCert string       `toml:"tls-cert,omitempty"` // the two go together
	TLSKey  string       `toml:"tls-key,omitempty"`

	TLSFirst bool `toml:"tls-first,omitempty"` // the server says nothing in clear; clients must begin with TLS

	MaxConnections           int `toml:"max-connections,omitempty"`             // to this node in all; 0: what core/bus has
	MaxConnectionsPerAddress int `toml:"max-connections-per-address,omitempty"` // the same

	MetricsListen string `toml:"metrics-listen,omitempty"` // host:port of metrics and health over HTTP; "": none

	// Quotas of users, as core/control has them; 0: its defaults.
	QuotaInvitations int `toml:"quota-invitations,omitempty"`
	QuotaRooms       int `toml:"quota-rooms,omitempty"`
	QuotaMembers     int `toml:"quota-members,omitempty"`
	QuotaRekeys      int `toml:"quota-rekeys,omitempty"`
	QuotaMegabytes   int `toml:"quota-megabytes,omitempty"`

	Operators []core.Operator `toml:"operator,omitempty"` // read and written as operatorTable

	LogFormat string `toml:"log-format,omitempty"` // text or json
	LogLevel  string `toml:"log-level,omitempty"`  // debug, info, warn or error

	NatsDebug bool `toml:"-"` // UNIBUS_NATS_DEBUG=1: the embedded server's log and a loopback monitoring port
}

// DefaultName is the name of a node that stands alone and was given none.
const DefaultName = "n1"

// Default returns the settings of a node that was told nothing. Name and DB are
// filled in by Load once it is known whether they were given.
func Default() Node {
	return Node{
		Data:      "data",
		Listen:    "127.0.0.1:4222",
		Store:     core.BackendSQLite,
		Replicas:  1,
		BusAuth:   core.BusAuthOff,
		LogFormat: "text",
		LogLevel:  "info",
	}
}

// Clustered is true for a node that has routes.
func (n Node) Clustered() bool { return len(n.Routes) > 0 }

// TLS is true where clients must speak TLS.
func (n Node) TLS() bool { return n.TLSCert != "" }

// Size is how many nodes are configured: 1 without routes, else those that nodes
// lists. Without that list it is the distinct routes, and one more where this node's own address is not among them. A
// listener on every address (0.0.0.0) is taken to be among them.
func (n Node) Size() int {
	if !n.Clustered() {
		return 1
	}
	if len(n.Nodes) > 0 {
		return len(n.Nodes)
	}
	seen := slices.Compact(slices.Sorted(slices.Values(n.Routes)))
	if _, own := slices.BinarySearch(seen, n.ClusterListen); own || wildcard(n.ClusterListen) {
		return len(seen)
	}
	return len(seen) + 1
}

// Loopback is true where addr (host:port) can be reached from this machine alone.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && core.IsLoopbackHost(host)
}

func wildcard(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// complete fills in what depends on other settings.
func (n *Node) complete() {
	if n.Name == "" && !n.Clustered() {
		n.Name = DefaultName
	}
	if n.DB == "" && n.Data != "" {
		n.DB = filepath.Join(n.Data, "unibus.db")
	}
	for i := range n.Operators {
		n.Operators[i].Key = strings.ToUpper(n.Operators[i].Key)
	}
}

// paths returns every setting that is a path.
func (n *Node) paths() []*string {
	return []*string{&n.Data, &n.DB, &n.RouteTLSCert, &n.RouteTLSKey, &n.RouteTLSCA, &n.RouteTLSCRL, &n.TLSCert, &n.TLSKey}
}
