package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"unibus/core"
	"unibus/core/config"
	"unibus/core/keys"
)

// The names of files and directories below a demo's directory.
const (
	clientCADir  = "ca"
	routeCADir   = "route-ca"
	identityDir  = "identities"
	configFile   = "unibusd.toml"
	logFile      = "unibusd.log"
	legacyDBFile = "unibus.db"
	tlsDir       = "tls"
	routeTLSDir  = "route-tls"
	dataDir      = "data"
)

// clusterName is the name of every demo's cluster.
const clusterName = "demo"

// nodePath is a path below a node's directory.
func nodePath(dir, node string, parts ...string) string {
	return filepath.Join(append([]string{dir, node}, parts...)...)
}

// createEmptyDir creates dir, or accepts it if it is empty. KindRefused if it
// contains anything.
func createEmptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return core.Errorf(core.KindInvalid, "--dir: %s cannot be made: %w", dir, err).WithNext("name a directory that you may write to")
		}
		return nil
	case err != nil:
		return core.Errorf(core.KindInvalid, "--dir: %s cannot be used: %w", dir, err).WithNext("name a directory that you may write to")
	case len(entries) > 0:
		return core.Errorf(core.KindRefused, "--dir: %s is not empty, and a demo begins with an empty directory", dir).
			WithNext("name another directory, or remove what is in it if that was an earlier demo")
	}
	return nil
}

// writeAuthorities creates two certificate authorities: one that clients trust,
// and one for the routes between nodes.
func writeAuthorities(dir string) error {
	for _, name := range []string{clientCADir, routeCADir} {
		if err := createDir(dir, name); err != nil {
			return err
		}
		if err := keys.WriteCA(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// writeOperators creates one operator of each role and returns them with their
// files.
func writeOperators(dir string) ([]core.Operator, Identities, error) {
	files := Identities{Users: []string{}}
	if err := createDir(dir, identityDir); err != nil {
		return nil, files, err
	}
	var ops []core.Operator
	for _, o := range []struct {
		role core.OperatorRole
		file *string
	}{
		{core.OperatorAdmin, &files.Admin},
		{core.OperatorViewer, &files.Viewer},
		{core.OperatorSystem, &files.System},
		{core.OperatorAuditor, &files.Auditor},
	} {
		seed, public, err := keys.Generate()
		if err != nil {
			return nil, files, err
		}
		*o.file = filepath.Join(dir, identityDir, string(o.role)+".nk")
		if err := keys.WriteSeed(*o.file, seed); err != nil {
			return nil, files, err
		}
		ops = append(ops, core.Operator{Key: public, Role: o.role, Name: string(o.role)})
	}
	return ops, files, nil
}

// keepClusterKey gives a node the cluster's key before its first start.
func keepClusterKey(data string, seed []byte) error {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return core.Errorf(core.KindFailed, "the data directory %s cannot be made: %w", data, err)
	}
	return keys.WriteSeed(filepath.Join(data, keys.ClusterKeyFile), seed)
}

// writeUsers writes the seeds of the users who can connect and returns their
// files.
func writeUsers(dir string, seeds [][]byte) ([]string, error) {
	files := []string{}
	for i, seed := range seeds {
		path := filepath.Join(dir, identityDir, fmt.Sprintf("user-%d.nk", i+1))
		if err := keys.WriteSeed(path, seed); err != nil {
			return nil, err
		}
		files = append(files, path)
	}
	return files, nil
}

// nodeConfigs returns the configuration of every node of a demo.
func nodeConfigs(cfg Config, dir string, ops []core.Operator, addrs []string) []config.Node {
	listen, routes := addrs[:cfg.Nodes], addrs[cfg.Nodes:]
	var out []config.Node
	for i := range cfg.Nodes {
		n := config.Default()
		n.Name = fmt.Sprintf("n%d", i+1)
		n.Data = nodePath(dir, n.Name, dataDir)
		n.DB = nodePath(dir, n.Name, legacyDBFile)
		n.Listen = listen[i]
		n.Store, n.Replicas = cfg.Store, cfg.Replicas
		n.ClusterName, n.ClusterListen, n.Routes = clusterName, routes[i], routes
		n.RouteTLSCert = nodePath(dir, n.Name, routeTLSDir, keys.NodeCertFile)
		n.RouteTLSKey = nodePath(dir, n.Name, routeTLSDir, keys.NodeKeyFile)
		n.RouteTLSCA = filepath.Join(dir, routeCADir, keys.CACertFile)
		for j := range cfg.Nodes {
			n.Nodes = append(n.Nodes, fmt.Sprintf("n%d", j+1))
		}
		n.BusAuth = core.BusAuthEnforce
		n.TLSCert = nodePath(dir, n.Name, tlsDir, keys.NodeCertFile)
		n.TLSKey = nodePath(dir, n.Name, tlsDir, keys.NodeKeyFile)
		n.Operators = ops
		n.LogFormat = "text"
		out = append(out, n)
	}
	return out
}

// writeNode creates a node's directory with its certificates and its configuration
// file.
func writeNode(dir string, n config.Node) error {
	hosts := []string{"127.0.0.1", "localhost"}
	for _, pair := range []struct{ ca, out string }{{clientCADir, tlsDir}, {routeCADir, routeTLSDir}} {
		if err := createDir(dir, n.Name, pair.out); err != nil {
			return err
		}
		if err := keys.NodeCert(filepath.Join(dir, pair.ca), n.Name, hosts, nodePath(dir, n.Name, pair.out)); err != nil {
			return err
		}
	}
	if err := n.Validate(); err != nil {
		return err
	}
	text, err := n.Encode()
	if err != nil {
		return err
	}
	return replaceFile(nodePath(dir, n.Name, configFile), text)
}

func createDir(parts ...string) error {
	if err := os.MkdirAll(filepath.Join(parts...), 0o700); err != nil {
		return core.Errorf(core.KindFailed, "a directory of the demo cannot be made: %w", err).
			WithNext("check that --dir can be written to and has space")
	}
	return nil
}
