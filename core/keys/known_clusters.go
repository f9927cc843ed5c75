package keys

import (
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nkeys"

	"unibus/core"
)

// KnownClustersEnv names the file of known clusters where it is not the usual
// one. os.DevNull knows none and remembers none.
const KnownClustersEnv = "UNIBUS_KNOWN_CLUSTERS"

// KnownClusters is a file of the clusters that a person has talked to, like
// ssh's known_hosts: a line for each address, HOST:PORT and the cluster's public
// key. Lines that begin with # are kept.
type KnownClusters struct{ Path string }

// DefaultKnownClusters is the file of the present user. KindInvalid where the
// system has no place for it.
func DefaultKnownClusters() (KnownClusters, error) {
	if path := os.Getenv(KnownClustersEnv); path != "" {
		return KnownClusters{path}, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return KnownClusters{}, core.Errorf(core.KindInvalid, "there is no place for the known clusters: %w", err).
			WithNext("set %s to a file, or give --cluster-key", KnownClustersEnv)
	}
	return KnownClusters{filepath.Join(dir, "unibus", "known_clusters")}, nil
}

// Key is the key that servers are known by; "" where none of them is known.
// KindRefused where they are known by different ones, KindInvalid for a file or a
// URL that cannot be read.
func (k KnownClusters) Key(servers []string) (string, error) {
	lines, err := k.All()
	if err != nil {
		return "", err
	}
	key, by := "", ""
	for _, s := range servers {
		addr, err := serverAddr(s)
		if err != nil {
			return "", err
		}
		switch at := lines[addr]; {
		case at == "":
		case key == "":
			key, by = at, addr
		case at != key:
			return "", core.Errorf(core.KindRefused, "%s and %s are known as nodes of two clusters, by %s", by, addr, k.Path).
				WithNext("name the nodes of one cluster only; or forget one: unibusd cluster-key forget %s", addr)
		}
	}
	return key, nil
}

// Pin remembers the key of servers that are not known yet.
func (k KnownClusters) Pin(servers []string, key string) error {
	return k.change(func(text string, known map[string]string) (string, error) {
		for _, s := range servers {
			addr, err := serverAddr(s)
			if err != nil {
				return text, err
			}
			if known[addr] == "" {
				text += addr + " " + key + "\n"
				known[addr] = key
			}
		}
		return text, nil
	})
}

// Forget removes an address, or every address of a key. KindNotFound.
func (k KnownClusters) Forget(what string) (forgotten []string, err error) {
	if k.Path == os.DevNull {
		return nil, core.Errorf(core.KindNotFound, "nothing is known in %s", k.Path).WithNext("name the file with $%s", KnownClustersEnv)
	}
	err = k.change(func(text string, _ map[string]string) (string, error) {
		var kept strings.Builder
		for line := range strings.Lines(text) {
			f := strings.Fields(line)
			if len(f) == 2 && f[0][0] != '#' && slices.Contains(f, what) {
				forgotten = append(forgotten, f[0])
				continue
			}
			kept.WriteString(line)
		}
		if len(forgotten) == 0 {
			return text, core.Errorf(core.KindNotFound, "%s is not known in %s", what, k.Path).WithNext("`unibusd cluster-key list` shows what is")
		}
		return kept.String(), nil
	})
	return forgotten, err
}

// All returns the keys by address.
func (k KnownClusters) All() (map[string]string, error) {
	data, err := os.ReadFile(k.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, core.Errorf(core.KindInvalid, "the known clusters %s cannot be read: %s", k.Path, cause(err))
	}
	return k.parse(string(data))
}

func (k KnownClusters) parse(text string) (map[string]string, error) {
	known := map[string]string{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		f := strings.Fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		if len(f) != 2 || !nkeys.IsValidPublicClusterKey(f[1]) {
			return nil, core.Errorf(core.KindInvalid, "line %d of %s is not HOST:PORT and a cluster's public key", n, k.Path).
				WithNext("correct the line, or remove it")
		}
		known[f[0]] = f[1]
	}
	return known, nil
}

// change writes the file anew, while no other process does.
func (k KnownClusters) change(f func(text string, known map[string]string) (string, error)) error {
	if k.Path == os.DevNull {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(k.Path), 0o700); err != nil {
		return k.unwritable(err)
	}
	return WithFileLock(k.Path+".lock", func() error { return k.rewrite(f) })
}

func (k KnownClusters) rewrite(f func(text string, known map[string]string) (string, error)) error {
	data, err := os.ReadFile(k.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return k.unwritable(err)
	}
	text := string(data)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	known, err := k.parse(text)
	if err != nil {
		return err
	}
	next, err := f(text, known)
	if err != nil || next == string(data) {
		return err
	}
	if err := Replace(k.Path, []byte(next)); err != nil {
		return k.unwritable(err)
	}
	return nil
}

func (k KnownClusters) unwritable(err error) error {
	return core.Errorf(core.KindFailed, "the known clusters %s cannot be written: %s", k.Path, cause(err))
}

// serverAddr is HOST:PORT of a node's URL, with the port that clients take where it names none.
func serverAddr(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" {
		return "", core.Errorf(core.KindInvalid, "a server's URL cannot be read").WithNext("use nats://HOST:PORT or tls://HOST:PORT")
	}
	port := u.Port()
	if port == "" {
		port = "4222"
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port), nil
}

// CheckClusterKey says whether a text is a cluster's public key. KindInvalid.
func CheckClusterKey(key string) error {
	if !nkeys.IsValidPublicClusterKey(key) {
		return core.Errorf(core.KindInvalid, "this is not a cluster's public key: it begins with C and has %d characters", 56).
			WithNext("`unibusd cluster-key list` prints it where you used it before; on a node: `unibusd cluster-key show --data DIR`")
	}
	return nil
}

// SignedByCluster is true where the holder of a cluster's key signed data.
func SignedByCluster(key string, data, signature []byte) bool {
	public, err := nkeys.FromPublicKey(key)
	return err == nil && nkeys.IsValidPublicClusterKey(key) && public.Verify(data, signature) == nil
}
