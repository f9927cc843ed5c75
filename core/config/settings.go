package config

import (
	"strconv"
	"strings"

	"unibus/core"
)

// Setting describes one setting, so that the command line declares its flags
// from the same list that Load reads.
type Setting struct {
	Name    string // of the flag and of the key in the file
	Usage   string
	Default string // as shown in help; "" where there is none
	Many    bool   // may be given several times
}

// Env is the name of the setting's environment variable.
func (s Setting) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

const (
	envPrefix = "UNIBUS_"
	envDebug  = "UNIBUS_NATS_DEBUG"
	envKnown  = "UNIBUS_KNOWN_CLUSTERS" // the clients', as core/keys has it
	envConfig = "UNIBUS_CONFIG"
)

// Settings returns every setting of a node in the order of the help text.
func Settings() []Setting {
	table := settings()
	out := make([]Setting, len(table))
	for i, s := range table {
		out[i] = s.Setting
	}
	return out
}

// setting knows how to put its text form into a Node. The values are never
// empty; a setting that is not a list takes the last.
type setting struct {
	Setting
	set func(n *Node, values []string) error
}

// text is a setting that is a text.
func text(name, usage, def string, at func(*Node) *string) setting {
	return setting{Setting{Name: name, Usage: usage, Default: def}, func(n *Node, v []string) error {
		*at(n) = v[len(v)-1]
		return nil
	}}
}

// list is a setting that may be given several times.
func list(name, usage string, set func(*Node, []string) error) setting {
	return setting{Setting{Name: name, Usage: usage, Many: true}, set}
}

// count is a setting that is a number.
func count(name, usage, def string, at func(*Node) *int) setting {
	return setting{Setting{Name: name, Usage: usage, Default: def}, func(n *Node, v []string) error {
		c, err := strconv.Atoi(v[len(v)-1])
		if err != nil {
			return core.Errorf(core.KindInvalid, "%q is not a number", v[len(v)-1]).WithNext("give a number, for example %s", def)
		}
		*at(n) = c
		return nil
	}}
}

func settings() []setting {
	return append([]setting{
		text("name", "name of this node, the same for ever", DefaultName, func(n *Node) *string { return &n.Name }),
		text("data", "directory of everything this node keeps", "./data", func(n *Node) *string { return &n.Data }),
		text("listen", "address of the bus", "127.0.0.1:4222", func(n *Node) *string { return &n.Listen }),
		{Setting{Name: "store", Usage: "control plane: sqlite or kv", Default: "sqlite"}, setStore},
		text("db", "the SQLite file of the control plane", "<data>/unibus.db", func(n *Node) *string { return &n.DB }),
		{Setting{Name: "replicas", Usage: "replicas of every bucket, 1 to 5", Default: "1"}, setReplicas},
		text("cluster-name", "name of the cluster, the same on every node", "", func(n *Node) *string { return &n.ClusterName }),
		text("cluster-listen", "address for the other nodes", "", func(n *Node) *string { return &n.ClusterListen }),
		list("routes", "addresses of every node as their cluster-listen has them, this one included", setRoutes),
		text("route-tls-cert", "certificate of this node for routes", "", func(n *Node) *string { return &n.RouteTLSCert }),
		text("route-tls-key", "its key", "", func(n *Node) *string { return &n.RouteTLSKey }),
		text("route-tls-ca", "the private CA of all nodes", "", func(n *Node) *string { return &n.RouteTLSCA }),
		text("route-tls-crl", "list of revoked route certificates, as unibusd cert revoke writes it", "", func(n *Node) *string { return &n.RouteTLSCRL }),
		list("nodes", "names of every node, this one included; other servers are refused a route", setNodes),
		{Setting{Name: "bus-auth", Usage: "admission to the bus: off, soft or enforce", Default: "off"}, setBusAuth},
		text("tls-cert", "certificate of the bus", "", func(n *Node) *string { return &n.TLSCert }),
		text("tls-key", "its key", "", func(n *Node) *string { return &n.TLSKey }),
		{Setting{Name: "tls-first", Usage: "say nothing before TLS, so that every client must begin with TLS: true or false", Default: "false"}, setTLSFirst},
		count("max-connections", "admitted connections to this node; some are reserved for operators", "16384", func(n *Node) *int { return &n.MaxConnections }),
		count("max-connections-per-address", "connections from one address", "4096", func(n *Node) *int { return &n.MaxConnectionsPerAddress }),
		text("metrics-listen", "address of metrics and health over HTTP, without a login; none by default", "", func(n *Node) *string { return &n.MetricsListen }),
		list("webhook", "address that is told of a changed verdict, with https; may be given several times", setWebhooks),
		text("webhook-secret-file", "file with the secret that signs what webhooks are sent, mode 0600", "", func(n *Node) *string { return &n.WebhookSecretFile }),
		{Setting{Name: "webhook-allow-private", Usage: "webhooks may be in a private network or on this machine, and http: true or false", Default: "false"}, setWebhookAllowPrivate},
		count("quota-invitations", "unanswered invitations that a user has sent", "100", func(n *Node) *int { return &n.QuotaInvitations }),
		count("quota-rooms", "rooms that a user owns", "250", func(n *Node) *int { return &n.QuotaRooms }),
		count("quota-members", "members and invitations of a room", "10000", func(n *Node) *int { return &n.QuotaMembers }),
		count("quota-rekeys", "new room keys that a user makes in an hour", "600", func(n *Node) *int { return &n.QuotaRekeys }),
		count("quota-megabytes", "megabytes of keys that a user has stored in an hour", "128", func(n *Node) *int { return &n.QuotaMegabytes }),
		list("operator", "an operator, as NKEY:ROLE:NAME[:not-after=DATE]; the role is viewer, admin, system or auditor", setOperators),
		text("log-format", "format of the log: text or json", "text", func(n *Node) *string { return &n.LogFormat }),
		text("log-level", "least level of what is logged: debug, info, warn or error", "info", func(n *Node) *string { return &n.LogLevel }),
	}, backupSettings()...)
}

// backupSettings are those of scheduled backups.
func backupSettings() []setting {
	return []setting{
		text("backup-dir", "directory of scheduled backups, which is there already; none by default", "", func(n *Node) *string { return &n.BackupDir }),
		text("backup-every", "time between two scheduled backups, for example 24h", "", func(n *Node) *string { return &n.BackupEvery }),
		text("backup-at", "time of day of scheduled backups, in place of backup-every, for example 03:00", "", func(n *Node) *string { return &n.BackupAt }),
		text("backup-zone", "time zone of backup-at, for example Europe/Berlin", "UTC", func(n *Node) *string { return &n.BackupZone }),
		count("backup-keep", "scheduled backups that stay, the latest ones", "14", func(n *Node) *int { return &n.BackupKeep }),
		list("backup-recipient", "public keys of age to which scheduled backups are encrypted", setRecipients),
		text("backup-identity", "file of an age identity that decrypts them for the rehearsal", "", func(n *Node) *string { return &n.BackupIdentity }),
		text("backup-s3-endpoint", "object store for scheduled backups, as a URL, in place of backup-dir; none by default", "", func(n *Node) *string { return &n.BackupS3Endpoint }),
		text("backup-s3-region", "its region", "us-east-1", func(n *Node) *string { return &n.BackupS3Region }),
		text("backup-s3-bucket", "the bucket of the store", "", func(n *Node) *string { return &n.BackupS3Bucket }),
		text("backup-s3-prefix", "how the names of the objects begin, for example unibus/", "", func(n *Node) *string { return &n.BackupS3Prefix }),
		text("backup-s3-access-key", "file of the access key's id", "", func(n *Node) *string { return &n.BackupS3AccessKey }),
		text("backup-s3-secret-key", "file of the secret key", "", func(n *Node) *string { return &n.BackupS3SecretKey }),
		text("backup-s3-ca", "file of the authorities of the store's certificate", "<those of the system>", func(n *Node) *string { return &n.BackupS3CA }),
	}
}

func setStore(n *Node, v []string) error {
	n.Store = core.Backend(v[len(v)-1])
	return nil
}

func setBusAuth(n *Node, v []string) error {
	n.BusAuth = core.BusAuth(v[len(v)-1])
	return nil
}

func setTLSFirst(n *Node, v []string) error {
	on, err := strconv.ParseBool(v[len(v)-1])
	if err != nil {
		return core.Errorf(core.KindInvalid, "%q is neither true nor false", v[len(v)-1]).WithNext("give true or false")
	}
	n.TLSFirst = on
	return nil
}

func setReplicas(n *Node, v []string) error {
	r, err := strconv.Atoi(v[len(v)-1])
	if err != nil {
		return core.Errorf(core.KindInvalid, "%q is not a number", v[len(v)-1]).WithNext("give a number from 1 to 5")
	}
	n.Replicas = r
	return nil
}

func setRoutes(n *Node, v []string) error {
	n.Routes = splitList(v)
	return nil
}

func setNodes(n *Node, v []string) error {
	n.Nodes = splitList(v)
	return nil
}

func setRecipients(n *Node, v []string) error {
	n.BackupRecipients = splitList(v)
	return nil
}

func setOperators(n *Node, v []string) error {
	n.Operators = nil
	for _, text := range splitList(v) {
		op, err := parseOperator(text)
		if err != nil {
			return err
		}
		n.Operators = append(n.Operators, op)
	}
	return nil
}

// parseOperator reads NKEY:ROLE:NAME[:not-after=DATE]. Validate checks the first three.
func parseOperator(text string) (core.Operator, error) {
	text, end, _ := strings.Cut(text, ":not-after=")
	notAfter, err := parseNotAfter(end)
	if err != nil {
		return core.Operator{}, err
	}
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		return core.Operator{}, core.Errorf(core.KindInvalid, "%q has not the form NKEY:ROLE:NAME", text).
			WithNext("for example U…:admin:alice, with the key that `unibusd keygen operator` printed")
	}
	return core.Operator{Key: parts[0], Role: core.OperatorRole(parts[1]), Name: parts[2], NotAfter: notAfter}, nil
}

// splitList takes a list given several times, with commas, or both.
func splitList(values []string) []string {
	var out []string
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			if item = strings.TrimSpace(item); item != "" {
				out = append(out, item)
			}
		}
	}
	return out
}
