package config

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

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

	MaxConnections           int `toml:"max-connections,omitempty"`             // to this node in all; 0: the default of core/bus
	MaxConnectionsPerAddress int `toml:"max-connections-per-address,omitempty"` // the same

	MetricsListen string `toml:"metrics-listen,omitempty"` // host:port of metrics and health over HTTP; "": none

	// Scheduled backups: see core/backup. They go to a directory or to a bucket of an object store.
	BackupDir        string   `toml:"backup-dir,omitempty"`
	BackupEvery      string   `toml:"backup-every,omitempty"`     // a duration, "24h"
	BackupAt         string   `toml:"backup-at,omitempty"`        // in its place: once a day, at "03:00"
	BackupZone       string   `toml:"backup-zone,omitempty"`      // of BackupAt; "": UTC
	BackupKeep       int      `toml:"backup-keep,omitempty"`      // the latest ones that stay; 0: DefaultBackupsKept
	BackupRecipients []string `toml:"backup-recipient,omitempty"` // public keys of age, "age1…", that backups are encrypted to
	BackupIdentity   string   `toml:"backup-identity,omitempty"`  // file of a key of age that decrypts them, for the rehearsal alone

	BackupS3Endpoint  string `toml:"backup-s3-endpoint,omitempty"` // https://HOST[:PORT]
	BackupS3Region    string `toml:"backup-s3-region,omitempty"`
	BackupS3Bucket    string `toml:"backup-s3-bucket,omitempty"`
	BackupS3Prefix    string `toml:"backup-s3-prefix,omitempty"`     // begins the names of the objects
	BackupS3AccessKey string `toml:"backup-s3-access-key,omitempty"` // file of the key's id
	BackupS3SecretKey string `toml:"backup-s3-secret-key,omitempty"` // file of the secret
	BackupS3CA        string `toml:"backup-s3-ca,omitempty"`         // file of the authorities that are trusted; "": the system's

	Webhooks            Webhooks `toml:"webhook,omitempty"`               // receivers of changed verdicts
	WebhookSecretFile   string   `toml:"webhook-secret-file,omitempty"`   // its content signs what they are sent
	WebhookAllowPrivate bool     `toml:"webhook-allow-private,omitempty"` // they may be in a private network, or on this machine

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

// MakesBackups is true where the node has a schedule of backups.
func (n Node) MakesBackups() bool { return n.BackupDir != "" || n.BackupS3Endpoint != "" }

// BackupInterval is the time between two scheduled backups; 0: this node makes none.
func (n Node) BackupInterval() time.Duration {
	if n.BackupAt != "" {
		return 24 * time.Hour
	}
	d, err := time.ParseDuration(n.BackupEvery)
	if err != nil {
		return 0
	}
	return d
}

// BackupTime is the time of day of scheduled backups; nil where they are at an interval.
func (n Node) BackupTime() (*core.DailyTime, error) {
	if n.BackupAt == "" {
		return nil, nil
	}
	d, err := core.ParseDailyTime(n.BackupAt, n.BackupZone)
	if err != nil {
		return nil, core.Errorf(core.KindInvalid, "--backup-at and --backup-zone: %w", err).WithNext("%s", core.AsError(err).Next)
	}
	return &d, nil
}

// BackupsKept is how many scheduled backups stay.
func (n Node) BackupsKept() int {
	if n.BackupKeep == 0 {
		return DefaultBackupsKept
	}
	return n.BackupKeep
}

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
	return []*string{
		&n.Data, &n.DB, &n.RouteTLSCert, &n.RouteTLSKey, &n.RouteTLSCA, &n.RouteTLSCRL, &n.TLSCert, &n.TLSKey, &n.BackupDir, &n.BackupIdentity,
		&n.BackupS3AccessKey, &n.BackupS3SecretKey, &n.BackupS3CA, &n.WebhookSecretFile,
	}
}
