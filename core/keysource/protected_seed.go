package keysource

import (
	"bytes"
	"errors"
	"io"

	"filippo.io/age"
	"filippo.io/age/armor"

	"unibus/core"
	"unibus/core/keys"
)

// minPassphrase is how many bytes a new passphrase must have.
const minPassphrase = 8

// Protect encrypts a seed with a passphrase, as text in age's format: scrypt and
// ChaCha20-Poly1305 (age-encryption.org/v1). `age -d` opens it as well.
func Protect(seed, passphrase []byte) ([]byte, error) {
	if len(passphrase) < minPassphrase {
		return nil, core.Errorf(core.KindInvalid, "the passphrase has fewer than %d characters", minPassphrase).WithNext("use a longer one; several words are good")
	}
	recipient, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, core.Errorf(core.KindInvalid, "the passphrase cannot be used: %w", err)
	}
	return encrypt(seed, recipient)
}

func encrypt(seed []byte, recipient age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	text := armor.NewWriter(&out)
	w, err := age.Encrypt(text, recipient)
	if err == nil {
		_, err = w.Write(append(bytes.TrimSpace(seed), '\n'))
		err = errors.Join(err, w.Close(), text.Close())
	}
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the seed cannot be encrypted: %w", err)
	}
	return out.Bytes(), nil
}

// openProtected reads a protected seed. KindRefused for another passphrase.
func openProtected(path string, ask AskPassphrase) (keys.Identity, error) {
	data, err := keys.ReadPrivate(path, "the identity file")
	if err != nil {
		return keys.Identity{}, err
	}
	passphrase, err := ask(path)
	if err != nil {
		return keys.Identity{}, err
	}
	id, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return keys.Identity{}, core.Errorf(core.KindInvalid, "the passphrase of %s is empty", path)
	}
	seed, err := decrypt(data, id)
	if err != nil {
		return keys.Identity{}, core.Errorf(core.KindRefused, "%s cannot be opened with this passphrase, or the file is damaged", path).WithNext("try again")
	}
	return keys.ParseSeed(seed)
}

func decrypt(data []byte, id age.Identity) ([]byte, error) {
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(data)), id)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, 4096))
}
