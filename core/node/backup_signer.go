package node

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nkeys"

	"unibus/core"
	"unibus/core/backup"
	"unibus/core/keys"
)

// backupKeyFile is the seed, in the data directory, that signs this node's backups.
const backupKeyFile = "backup.nk"

// backupSigner signs the backups that this node hands out. It is the one place
// that says with which key: a key of the kind that a cluster has, which is this
// node's own and is made at its first start.
func (n *Node) backupSigner() (backup.Signer, error) {
	path := filepath.Join(n.cfg.Data, backupKeyFile)
	seed, err := readSeed(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeSeed(path); err == nil {
			seed, err = readSeed(path)
		}
	}
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "%s has no key to sign backups with: %w", n.cfg.Name, err).
			WithNext("see that %s is a file of its user, or move it away: another key is made then", path)
	}
	return clusterKey(path, seed)
}

// maxSeedFile is more than a seed takes, in bytes.
const maxSeedFile = 1 << 10

func readSeed(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return io.ReadAll(io.LimitReader(f, maxSeedFile))
}

func makeSeed(path string) error {
	pair, err := nkeys.CreateCluster()
	if err != nil {
		return err
	}
	seed, err := pair.Seed()
	if err != nil {
		return err
	}
	return keys.WriteSeed(path, seed)
}

// signingKey is a cluster's key pair.
type signingKey struct {
	public string
	pair   nkeys.KeyPair
}

// Public implements backup.Signer.
func (k signingKey) Public() string { return k.public }

// Sign implements backup.Signer.
func (k signingKey) Sign(message []byte) ([]byte, error) { return k.pair.Sign(message) }

func clusterKey(path string, seed []byte) (backup.Signer, error) {
	pair, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		return nil, notASeed(path)
	}
	public, err := pair.PublicKey()
	if err != nil || !nkeys.IsValidPublicClusterKey(public) {
		return nil, notASeed(path)
	}
	return signingKey{public, pair}, nil
}

func notASeed(path string) error {
	return core.Errorf(core.KindInvalid, "%s holds no seed of a cluster's key", path).
		WithNext("move it away: another key is made then")
}
