package keys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"unibus/core"
)

// ClusterKeyFile is where a node keeps its cluster's key, in its data directory.
const ClusterKeyFile = "cluster.nk"

// ReadClusterKey reads a cluster's key by the rules of ReadSeed. KindNotFound
// where there is no file, KindFailed where it holds no cluster's key.
func ReadClusterKey(path string) (Identity, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return Identity{}, core.Errorf(core.KindNotFound, "there is no %s", path).
			WithNext("a node makes it at its first start, or fetches it from the others of its cluster")
	}
	seed, err := readPrivate(path, "the cluster's key")
	if err != nil {
		return Identity{}, err
	}
	id, err := ParseClusterSeed(seed)
	if err != nil {
		return Identity{}, core.Errorf(core.KindFailed, "the cluster's key %s cannot be used: %w", path, err).
			WithNext("put the file back from another node's data directory, or move it away: a node of a cluster then fetches it from the others")
	}
	return id, nil
}

// ClusterKeyOf is the public key of the cluster that a data directory belongs to. Errors are ReadClusterKey's.
func ClusterKeyOf(dataDir string) (string, error) {
	id, err := ReadClusterKey(filepath.Join(dataDir, ClusterKeyFile))
	return id.Public(), err
}
