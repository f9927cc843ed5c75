package keys

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/nats-io/nkeys"

	"unibus/core"
)

// maxKeyFile is more than any key file holds, in bytes; bytes beyond it are not read.
const maxKeyFile = 64 << 10

// Identity is a user's or an operator's nkey, able to sign. The zero Identity
// signs nothing. It keeps the Ed25519 key, which an nkeys pair derives anew for
// each signature at twice the cost.
type Identity struct {
	pub    string
	key    ed25519.PrivateKey
	signer func(data []byte) ([]byte, error) // of a key that is held elsewhere
}

// ProtectedHeader begins a seed file that a passphrase protects: age's armor.
const ProtectedHeader = "-----BEGIN AGE ENCRYPTED FILE-----"

// ErrProtected is in the error of ReadSeed for such a file.
var ErrProtected = errors.New("is protected by a passphrase")

// Generate makes a new nkey of the user kind, which users and operators share:
// the seed ("SU…") to be kept secret, and the public key ("U…").
func Generate() (seed []byte, public string, err error) {
	kp, err := nkeys.CreateUser()
	if err != nil {
		return nil, "", core.Errorf(core.KindFailed, "no key could be made: %w", err)
	}
	id, err := identityOf(kp)
	if err != nil {
		return nil, "", err
	}
	seed, err = kp.Seed()
	if err != nil {
		return nil, "", core.Errorf(core.KindFailed, "the new key has no seed: %w", err)
	}
	return seed, id.pub, nil
}

// GenerateIdentity makes a new nkey of the user kind that stays in memory: a node's own identities.
func GenerateIdentity() (Identity, error) {
	kp, err := nkeys.CreateUser()
	if err != nil {
		return Identity{}, core.Errorf(core.KindFailed, "no key could be made: %w", err)
	}
	return identityOf(kp)
}

// GenerateCluster makes a new nkey of the cluster kind ("C…"): the key by which clients know a cluster.
func GenerateCluster() (seed []byte, id Identity, err error) {
	kp, err := nkeys.CreateCluster()
	if err != nil {
		return nil, Identity{}, core.Errorf(core.KindFailed, "no key could be made: %w", err)
	}
	if id, err = identityOf(kp); err != nil {
		return nil, Identity{}, err
	}
	if seed, err = kp.Seed(); err != nil {
		return nil, Identity{}, core.Errorf(core.KindFailed, "the new key has no seed: %w", err)
	}
	return seed, id, nil
}

// ParseClusterSeed reads the seed of a cluster's key. KindInvalid where it is none.
func ParseClusterSeed(seed []byte) (Identity, error) {
	return parseSeed(seed, "cluster", nkeys.IsValidPublicClusterKey)
}

// ParseSeed reads a seed; surrounding white space is ignored. KindInvalid where it is not one of a user.
func ParseSeed(seed []byte) (Identity, error) {
	return parseSeed(seed, "user", nkeys.IsValidPublicUserKey)
}

func parseSeed(seed []byte, kind string, isOfKind func(public string) bool) (Identity, error) {
	kp, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		return Identity{}, core.Errorf(core.KindInvalid, "this is not an nkey seed")
	}
	id, err := identityOf(kp)
	if err != nil {
		return Identity{}, err
	}
	if !isOfKind(id.pub) {
		return Identity{}, core.Errorf(core.KindInvalid, "this is the seed of another kind of nkey, %s…, not of a %s", id.pub[:1], kind)
	}
	return id, nil
}

func identityOf(kp nkeys.KeyPair) (Identity, error) {
	pub, err := kp.PublicKey()
	if err != nil {
		return Identity{}, core.Errorf(core.KindFailed, "the key has no public part: %w", err)
	}
	seed, err := kp.Seed()
	if err != nil {
		return Identity{}, core.Errorf(core.KindFailed, "the key has no seed: %w", err)
	}
	_, raw, err := nkeys.DecodeSeed(seed)
	if err != nil {
		return Identity{}, core.Errorf(core.KindFailed, "the key's seed cannot be read: %w", err)
	}
	return Identity{pub: pub, key: ed25519.NewKeyFromSeed(raw)}, nil
}

// NewIdentity is an identity whose key is held elsewhere, as by an SSH agent. The
// signature that sign returns is checked. KindInvalid where public is no user's nkey.
func NewIdentity(public string, sign func(data []byte) ([]byte, error)) (Identity, error) {
	if _, err := core.ParseUserID(public); err != nil {
		return Identity{}, err
	}
	return Identity{pub: public, signer: sign}, nil
}

// Public is the public nkey, "U…".
func (i Identity) Public() string { return i.pub }

// MaxNonce is the longest nonce that is signed, in bytes. nats-server's have 15.
const MaxNonce = 128

// SignNonce signs a server's nonce. With Public it is what nats.Nkey asks for. A
// server chooses what is signed here, and one that is not ours could choose a
// message that means something elsewhere: an SSH login, a request, a room's key.
// All of these have bytes that are no printable ASCII. KindRefused for them.
func (i Identity) SignNonce(nonce []byte) ([]byte, error) {
	printable := func(b byte) bool { return b > ' ' && b <= '~' }
	if len(nonce) == 0 || len(nonce) > MaxNonce || slices.ContainsFunc(nonce, func(b byte) bool { return !printable(b) }) {
		return nil, core.Errorf(core.KindRefused, "the server wants something signed that is no nonce of a NATS server; nothing was signed").
			WithNext("check the address with --server: this is not a node of unibus, or a relay is in between")
	}
	return i.Sign(nonce)
}

// Sign signs a message of this program's own making. Only SignNonce
// signs bytes that a server chose.
func (i Identity) Sign(data []byte) ([]byte, error) {
	switch {
	case i.signer != nil:
		return i.signElsewhere(data)
	case i.key == nil:
		return nil, core.Errorf(core.KindFailed, "there is no identity to sign with")
	}
	return ed25519.Sign(i.key, data), nil
}

func (i Identity) signElsewhere(data []byte) ([]byte, error) {
	signature, err := i.signer(data)
	if err != nil {
		return nil, err
	}
	key, err := nkeys.FromPublicKey(i.pub)
	if err != nil || key.Verify(data, signature) != nil {
		return nil, core.Errorf(core.KindFailed, "the signature of %s is wrong", core.UserID(i.pub).Short()).
			WithNext("look at what holds the key: it signs with another one")
	}
	return signature, nil
}

// WriteSeed writes a seed to a new file of mode 0600 and syncs it. The directory
// must be there (KindNotFound); a file that is there already is left alone (KindExists).
func WriteSeed(path string, seed []byte) error {
	return writeNew(path, append(bytes.TrimSpace(seed), '\n'), 0o600)
}

// writeNew writes a file that must not exist, syncs it and its directory, and
// removes it again where that fails: half a key is worse than none.
func writeNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	switch {
	case errors.Is(err, fs.ErrExist):
		return core.Errorf(core.KindExists, "%s is there already and is not overwritten", path).
			WithNext("give another name, or move the file away if it is no longer needed")
	case errors.Is(err, fs.ErrNotExist):
		return core.Errorf(core.KindNotFound, "the directory %s does not exist", filepath.Dir(path)).
			WithNext("mkdir -p %s", core.ShellQuote(filepath.Dir(path)))
	case err != nil:
		return core.Errorf(core.KindFailed, "%s cannot be created: %s", path, cause(err))
	}
	err = errors.Join(f.Chmod(mode), writeAll(f, data), f.Close())
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		_ = os.Remove(path)
		return core.Errorf(core.KindFailed, "%s could not be written: %s", path, cause(err))
	}
	return nil
}

func writeAll(f *os.File, data []byte) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ReadSeed reads an identity from a file. It is refused (KindRefused) where it is a
// symbolic link, not a regular file, another user's, or open to group or others.
// KindNotFound where it is missing, KindInvalid where it holds no user's seed, or where
// the path is a seed itself.
func ReadSeed(path string) (Identity, error) {
	if looksLikeSeed(path) {
		return Identity{}, core.Errorf(core.KindInvalid, "the identity is given as a seed, where the path of a seed file belongs; the seed is not repeated here").
			WithNext("put it into a file of mode 0600 and name that; the shell's history and the list of processes have shown it, so a new key is safer: `unibusd keygen operator --out FILE`")
	}
	data, err := readPrivate(path, "the identity file")
	if err != nil {
		return Identity{}, err
	}
	if bytes.HasPrefix(data, []byte(ProtectedHeader)) {
		return Identity{}, core.Errorf(core.KindInvalid, "the identity file %s %w", path, ErrProtected).
			WithNext("use it with `unibusd` or `unibus-tui`, which ask for the passphrase; programs need a seed without one")
	}
	id, err := ParseSeed(data)
	if err != nil {
		return Identity{}, core.Errorf(core.KindInvalid, "the identity file %s cannot be used: %s", path, err).
			WithNext("give the file that `unibusd keygen operator` or `unibusd keygen user` wrote; its text begins with SU")
	}
	return id, nil
}

// ReadPrivate reads a secret of at most 64 KiB from a file, by the rules of
// ReadSeed. what names it in sentences: "the key file".
func ReadPrivate(path, what string) ([]byte, error) { return readPrivate(path, what) }

// readPrivate reads a file that only its owner may read. The link is looked at
// before the file is opened, and the open file is what the other rules look at.
func readPrivate(path, what string) ([]byte, error) {
	link, err := os.Lstat(path)
	if err != nil {
		return nil, unreadable(path, what, err)
	}
	if link.Mode()&fs.ModeSymlink != 0 {
		return nil, core.Errorf(core.KindRefused, "%s %s is a symbolic link", what, path).
			WithNext("name the file that it points to")
	}
	if !link.Mode().IsRegular() {
		return nil, core.Errorf(core.KindRefused, "%s %s is not a regular file", what, path).WithNext("name a file")
	}
	// Without O_NONBLOCK a pipe put in the file's place would hold the program up.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, unreadable(path, what, err)
	}
	defer func() { _ = f.Close() }()
	if err := checkPrivate(f, path, what); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, unreadable(path, what, err)
	}
	return data, nil
}

func checkPrivate(f *os.File, path, what string) error {
	st, err := f.Stat()
	if err != nil {
		return unreadable(path, what, err)
	}
	if !st.Mode().IsRegular() {
		return core.Errorf(core.KindRefused, "%s %s is not a regular file", what, path).WithNext("name a file")
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && !ownedBy(sys.Uid, os.Geteuid()) {
		return core.Errorf(core.KindRefused, "%s %s belongs to another user (uid %d)", what, path, sys.Uid).
			WithNext("run as that user, or use a file of your own")
	}
	if st.Mode().Perm()&0o077 != 0 {
		return core.Errorf(core.KindRefused, "%s %s can be read by others (mode %04o)", what, path, st.Mode().Perm()).
			WithNext("chmod 600 %s", core.ShellQuote(path))
	}
	return nil
}

// ownedBy says whether a file of owner uid may be used by euid.
func ownedBy(uid uint32, euid int) bool { return int(uid) == euid }

func unreadable(path, what string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return core.Errorf(core.KindNotFound, "%s %s does not exist", what, path).
			WithNext("check the path, or make one with `unibusd keygen operator --out %s`", core.ShellQuote(path))
	}
	return core.Errorf(core.KindFailed, "%s %s cannot be read: %s", what, path, cause(err))
}

// cause is the reason alone, without the operation and the path that the sentence has already.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
