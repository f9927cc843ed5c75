package config

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"unibus/core"
)

// MaxReplicas is the most replicas that a bucket may have.
const MaxReplicas = 5

// Validate checks the settings against each other. It reads no file. Every
// error is KindInvalid, names the setting by its flag and says what to do.
func (n Node) Validate() error {
	for _, check := range []func() error{
		n.checkName, n.checkPaths, n.checkWords, n.checkListen,
		n.checkCluster, n.checkRoutes, n.checkRouteTLS, n.checkNodes, n.checkTLS, n.checkReplicas, n.checkLimits, n.checkBackups, n.checkWebhooks, n.checkOperators,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (n Node) checkName() error {
	if n.Name == "" && n.Clustered() {
		return core.Errorf(core.KindInvalid, "--name is missing: with --routes every node needs a name of its own").
			WithNext("give a name that no other node of the cluster has or had, for example n2")
	}
	if _, err := core.ParseNodeName(n.Name); err != nil {
		return about("--name", err)
	}
	return nil
}

func (n Node) checkPaths() error {
	if n.Data == "" {
		return core.Errorf(core.KindInvalid, "--data is empty").WithNext("name the directory for this node's data, for example ./data")
	}
	names := []string{"data", "db", "route-tls-cert", "route-tls-key", "route-tls-ca", "route-tls-crl", "tls-cert", "tls-key", "backup-dir", "backup-identity", "backup-s3-access-key", "backup-s3-secret-key", "backup-s3-ca", "webhook-secret-file"}
	for i, p := range n.paths() {
		if strings.ContainsRune(*p, 0) {
			return core.Errorf(core.KindInvalid, "--%s: %q is not a path", names[i], *p).WithNext("give a path without NUL characters")
		}
	}
	return nil
}

func (n Node) checkWords() error {
	return firstOf(
		oneOf("store", string(n.Store), string(core.BackendSQLite), string(core.BackendKV)),
		oneOf("bus-auth", string(n.BusAuth), string(core.BusAuthOff), string(core.BusAuthSoft), string(core.BusAuthEnforce)),
		oneOf("log-format", n.LogFormat, "text", "json"),
		oneOf("log-level", n.LogLevel, "debug", "info", "warn", "error"),
	)
}

func (n Node) checkListen() error {
	if err := checkAddress("listen", n.Listen, 0); err != nil {
		return err
	}
	given := map[string]string{n.Listen: "listen"} // by address: one listener each
	for _, l := range []struct {
		name, addr string
		minPort    int
		example    string
	}{{"cluster-listen", n.ClusterListen, 1, "4222 and 6222"}, {"metrics-listen", n.MetricsListen, 0, "4222 and 9422"}} {
		if l.addr == "" {
			continue
		}
		if err := checkAddress(l.name, l.addr, l.minPort); err != nil {
			return err
		}
		if other := given[l.addr]; other != "" && !strings.HasSuffix(l.addr, ":0") {
			return core.Errorf(core.KindInvalid, "--%s and --%s are both %s", other, l.name, l.addr).
				WithNext("give the two listeners different ports, for example %s", l.example)
		}
		given[l.addr] = l.name
	}
	return nil
}

// checkCluster keeps the settings of a cluster together.
func (n Node) checkCluster() error {
	if n.Clustered() {
		return firstOf(
			wanted("routes", "cluster-name", n.ClusterName, "the name of the cluster, the same on every node"),
			clusterWord(n.ClusterName),
			wanted("routes", "cluster-listen", n.ClusterListen, "the address at which the other nodes reach this one"),
		)
	}
	if n.Store == core.BackendKV {
		return core.Errorf(core.KindInvalid, "--store kv is given without --routes: a node alone has no replicated store").
			WithNext("use sqlite, or give --cluster-name, --cluster-listen and --routes")
	}
	for _, s := range []struct{ name, value string }{
		{"cluster-name", n.ClusterName},
		{"cluster-listen", n.ClusterListen},
		{"route-tls-cert", n.RouteTLSCert},
		{"route-tls-key", n.RouteTLSKey},
		{"route-tls-ca", n.RouteTLSCA},
		{"route-tls-crl", n.RouteTLSCRL},
	} {
		if s.value != "" {
			return core.Errorf(core.KindInvalid, "--%s is given without --routes", s.name).
				WithNext("list the cluster-listen addresses of every node in --routes, or leave --%s out", s.name)
		}
	}
	return nil
}

// clusterWord applies the rule of nodes' names to the cluster's, which becomes part of subjects.
func clusterWord(name string) error {
	if _, err := core.ParseNodeName(name); err != nil {
		return core.Errorf(core.KindInvalid, "--cluster-name: %q is not a cluster's name", name).
			WithNext("use 1 to 32 of A-Z a-z 0-9 _ -")
	}
	return nil
}

func (n Node) checkRoutes() error {
	for _, r := range n.Routes {
		if strings.Contains(r, "@") {
			return core.Errorf(core.KindInvalid, "--routes: there is a user name or a password before an @").
				WithNext("write host:port alone; routes are protected by --route-tls-cert, not by a password")
		}
		if strings.Contains(r, "://") {
			return core.Errorf(core.KindInvalid, "--routes: %q is not host:port", r).
				WithNext("write host:port alone; routes are protected by --route-tls-cert, not by a password")
		}
		if err := checkAddress("routes", r, 1); err != nil {
			return err
		}
	}
	if n.Clustered() && n.Size() == 1 {
		return core.Errorf(core.KindInvalid, "--routes names this node alone").
			WithNext("list the cluster-listen addresses of every node, this one included; a node that stands alone needs no routes")
	}
	return nil
}

func (n Node) checkRouteTLS() error {
	files := []struct{ name, value string }{
		{"route-tls-cert", n.RouteTLSCert}, {"route-tls-key", n.RouteTLSKey}, {"route-tls-ca", n.RouteTLSCA},
	}
	var given, lacking []string
	for _, f := range files {
		if f.value == "" {
			lacking = append(lacking, "--"+f.name)
		} else {
			given = append(given, "--"+f.name)
		}
	}
	if len(given) > 0 && len(lacking) > 0 {
		return core.Errorf(core.KindInvalid, "%s is given without %s", strings.Join(given, " and "), strings.Join(lacking, " and ")).
			WithNext("give all three; to make a certificate and its key: `unibusd cert node --name %s --host %s --ca DIR --out DIR`", n.Name, n.routeHost())
	}
	if n.RouteTLSCRL != "" && len(given) == 0 {
		return wanted("route-tls-crl", "route-tls-ca", "", "the authority that signed the list")
	}
	if n.Clustered() && len(given) == 0 && !Loopback(n.ClusterListen) {
		return core.Errorf(core.KindInvalid, "--cluster-listen %s can be reached from other machines, and routes without TLS admit anybody as a node", n.ClusterListen).
			WithNext("give --route-tls-cert, --route-tls-key and --route-tls-ca; to make a certificate and its key: `unibusd cert node --name %s --host %s --ca DIR --out DIR`", n.Name, n.routeHost())
	}
	return nil
}

// checkNodes compares the list of nodes with the other settings that imply their number. routeHost
// is the host by which other nodes reach this one, HOST where it listens on every address.
func (n Node) routeHost() string {
	host, _, err := net.SplitHostPort(n.ClusterListen)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		return "HOST"
	}
	return host
}

func (n Node) checkNodes() error {
	if len(n.Nodes) == 0 {
		return nil
	}
	seen := map[string]bool{}
	for i, name := range n.Nodes {
		if _, err := core.ParseNodeName(name); err != nil { // which may be a password, and is not repeated
			return core.Errorf(core.KindInvalid, "--nodes: entry %d is no node's name", i+1).WithNext("list the --name of every node once")
		}
		if seen[name] {
			return core.Errorf(core.KindInvalid, "--nodes: %q is given twice", name).WithNext("list the --name of every node once")
		}
		seen[name] = true
	}
	if !seen[n.Name] {
		return core.Errorf(core.KindInvalid, "--nodes does not list this node, %s", n.Name).WithNext("list the --name of every node, this one included")
	}
	if routes := len(slices.Compact(slices.Sorted(slices.Values(n.Routes)))); routes > len(n.Nodes) {
		return core.Errorf(core.KindInvalid, "--nodes lists %d nodes, and --routes %d", len(n.Nodes), routes).WithNext("list every node in both")
	}
	return nil
}

func (n Node) checkTLS() error {
	if n.TLSCert != "" && n.TLSKey == "" {
		return wanted("tls-cert", "tls-key", "", "the key of that certificate")
	}
	if n.TLSKey != "" && n.TLSCert == "" {
		return wanted("tls-key", "tls-cert", "", "the certificate of that key")
	}
	if n.TLSFirst && n.TLSCert == "" {
		return wanted("tls-first", "tls-cert", "", "the certificate of the bus, and its key with --tls-key")
	}
	return nil
}

func (n Node) checkReplicas() error {
	if n.Replicas < 1 || n.Replicas > MaxReplicas {
		return core.Errorf(core.KindInvalid, "--replicas is %d", n.Replicas).WithNext("give a number from 1 to %d", MaxReplicas)
	}
	if n.Replicas > n.Size() && n.Clustered() {
		return core.Errorf(core.KindInvalid, "--replicas is %d, and --routes makes a cluster of %d", n.Replicas, n.Size()).
			WithNext("list every node in --routes, this one included, or ask for at most %d replicas", n.Size())
	}
	if n.Replicas > 1 && !n.Clustered() {
		return core.Errorf(core.KindInvalid, "--replicas %d is given without --routes: a node alone keeps one copy", n.Replicas).
			WithNext("leave --replicas out, or give --cluster-name, --cluster-listen and --routes")
	}
	return nil
}

// MinConnections is the least for --max-connections: the node itself and its operators need some.
const MinConnections = 16

func (n Node) checkLimits() error {
	const most = 1 << 20
	if c := n.MaxConnections; c != 0 && (c < MinConnections || c > most) {
		return core.Errorf(core.KindInvalid, "--max-connections is %d", c).WithNext("give a number from %d to %d", MinConnections, most)
	}
	c := n.MaxConnectionsPerAddress
	if c < 0 || c > most || n.MaxConnections > 0 && c > n.MaxConnections {
		return core.Errorf(core.KindInvalid, "--max-connections-per-address is %d", c).WithNext("give a number of at least 1 that is not above --max-connections")
	}
	return n.checkQuotas()
}

// checkQuotas takes 0 for the default.
func (n Node) checkQuotas() error {
	const most = 1 << 20
	for name, v := range map[string]int{
		"quota-invitations": n.QuotaInvitations, "quota-rooms": n.QuotaRooms, "quota-members": n.QuotaMembers,
		"quota-rekeys": n.QuotaRekeys, "quota-megabytes": n.QuotaMegabytes,
	} {
		if v < 0 || v > most {
			return core.Errorf(core.KindInvalid, "--%s is %d", name, v).WithNext("give a number from 1 to %d, or leave it out", most)
		}
	}
	return nil
}

// sampleKey is the operator's key of docs/unibusd.toml. Its seed may be known to anybody.
const sampleKey = "UDMKNQBPADV5FXJRAASC7SGCASAPXHZWTJUFZ3QZFHQUFUSV4WB34C22"

func (n Node) checkOperators() error {
	names := map[string]string{} // by key, and by SSH key
	for i, op := range n.Operators {
		label := cmp.Or(op.Name, strconv.Itoa(i+1))
		if op.Key == sampleKey {
			return core.Errorf(core.KindInvalid, "--operator %s: %s is the key of the sample configuration, and its seed may be known to anybody", label, op.Key).
				WithNext("make a key of your own: `unibusd keygen operator --out FILE` prints what belongs here")
		}
		if core.Redact(op.Key) != op.Key {
			return core.Errorf(core.KindInvalid, "--operator %s: this is a seed, where the public key belongs; it is not repeated here", label).
				WithNext("make a new key, for this one has been shown: `unibusd keygen operator --out FILE` prints the public key, U…")
		}
		if id, err := core.ParseUserID(op.Key); err != nil || string(id) != op.Key {
			return core.Errorf(core.KindInvalid, "--operator %s: %q is not a public nkey", label, op.Key).
				WithNext("give the 56 characters beginning with U that `unibusd keygen operator` printed")
		}
		if err := checkRole(label, op); err != nil {
			return err
		}
		if other, taken := names[op.Key]; taken {
			return core.Errorf(core.KindInvalid, "--operator: %s and %s have the same key", other, label).
				WithNext("make a key for each with `unibusd keygen operator --out FILE`")
		}
		names[op.Key] = label
		if other, taken := names[op.SSHKey]; taken && op.SSHKey != "" {
			return core.Errorf(core.KindInvalid, "--operator: %s and %s have the same ssh-key", other, label).WithNext("give each their own")
		}
		names[op.SSHKey] = label
	}
	return nil
}

func checkRole(label string, op core.Operator) error {
	switch op.Role {
	case core.OperatorViewer, core.OperatorAdmin, core.OperatorSystem, core.OperatorAuditor:
	default:
		return core.Errorf(core.KindInvalid, "--operator %s: there is no role %q", label, op.Role).
			WithNext("use viewer, admin, system or auditor")
	}
	if !printable(op.Name) {
		return core.Errorf(core.KindInvalid, "--operator: %q is not a name for %s", op.Name, op.Key).
			WithNext("give 1 to 64 printable characters, without commas and without blanks around them")
	}
	return nil
}

// printable is what a name must be that appears in logs, on screens and between commas.
func printable(s string) bool {
	if utf8.RuneCountInString(s) > 64 || core.CheckName(s) != nil {
		return false
	}
	for _, r := range s { // a joiner or a tag is visible in its place, and not printable alone
		if !unicode.IsPrint(r) && !unicode.Is(unicode.Cf, r) || r == ',' {
			return false
		}
	}
	return true
}

// checkAddress checks host:port; an empty host is every address, and only ports from minPort on are allowed.
func checkAddress(name, addr string, minPort int) error {
	if strings.Contains(addr, "@") { // it is not repeated: the part before the @ may be a password
		return core.Errorf(core.KindInvalid, "--%s: there is a user name or a password before an @", name).WithNext("write host:port alone")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return core.Errorf(core.KindInvalid, "--%s: %q is not host:port", name, addr).
			WithNext("give both, for example 127.0.0.1:4222, or [::1]:4222 for IPv6")
	}
	p, err := strconv.Atoi(port)
	if err != nil || p < minPort || p > 65535 {
		return core.Errorf(core.KindInvalid, "--%s: %q is not a port", name, port).
			WithNext("give a number from %d to 65535 behind the colon", minPort)
	}
	if name == "routes" && wildcard(addr) || !hostChars(host) {
		return core.Errorf(core.KindInvalid, "--%s: %q is not a host", name, host).
			WithNext("give an address or a name, for example 10.0.0.1")
	}
	return nil
}

func hostChars(host string) bool {
	if strings.Contains(host, ":") {
		return net.ParseIP(strings.SplitN(host, "%", 2)[0]) != nil
	}
	for _, c := range []byte(host) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return len(host) <= 253
}

func oneOf(name, value string, words ...string) error {
	for _, w := range words {
		if value == w {
			return nil
		}
	}
	return core.Errorf(core.KindInvalid, "--%s: there is no %q", name, value).
		WithNext("use %s or %s", strings.Join(words[:len(words)-1], ", "), words[len(words)-1])
}

// wanted is the error of a setting that needs another, or nil where it has a value.
func wanted(given, name, value, what string) error {
	if value != "" {
		return nil
	}
	return core.Errorf(core.KindInvalid, "--%s is given without --%s", given, name).
		WithNext("give --%s: %s", name, what)
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
