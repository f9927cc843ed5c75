package sshd

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	gossh "golang.org/x/crypto/ssh"

	"unibus/core"
)

const hostKeyFile = "ssh_host_ed25519_key"

// openHostKey reads the server's key, and makes it the first time. A key that others may read is refused:
// a person who has it can impersonate this server.
func openHostKey(dir string) (gossh.Signer, error) {
	path := filepath.Join(dir, hostKeyFile)
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := makeHostKey(dir, path); err != nil {
			return nil, core.Errorf(core.KindFailed, "the host key %s cannot be made: %w", path, err).WithNext("give a directory that this user may write, with --state")
		}
	case err != nil:
		return nil, core.Errorf(core.KindFailed, "the host key cannot be read: %w", err).WithNext("give a directory that this user may read and write, with --state")
	case !st.Mode().IsRegular():
		return nil, core.Errorf(core.KindRefused, "the host key %s is not a regular file", path).WithNext("put the key itself there")
	case st.Mode().Perm()&0o077 != 0:
		return nil, core.Errorf(core.KindRefused, "the host key %s can be read by others (mode %04o)", path, st.Mode().Perm()).
			WithNext("chmod 600 %s", core.ShellQuote(path))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the host key cannot be read: %w", err)
	}
	key, err := gossh.ParsePrivateKey(data)
	if err != nil || key.PublicKey().Type() != gossh.KeyAlgoED25519 {
		return nil, core.Errorf(core.KindInvalid, "%s is no Ed25519 key of SSH without a passphrase", path).
			WithNext("move the file away; a new key is made at the next start, and clients have to be told its fingerprint")
	}
	return key, nil
}

func makeHostKey(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := gossh.MarshalPrivateKey(key, "unibus console")
	if err != nil {
		return err
	}
	return writePrivate(path, pem.EncodeToMemory(block))
}
