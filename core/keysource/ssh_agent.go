package keysource

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base32"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nkeys"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"unibus/core"
	"unibus/core/keys"
)

const (
	agentSocketEnv = "SSH_AUTH_SOCK"
	// agentTime is how long an agent may take. It may ask its owner for a confirmation.
	agentTime = time.Minute
	// ownDomain begins everything that this program has signed, except for nonces.
	// A signature of an SSH login covers bytes that begin with a length below 2^31.
	ownDomain = "\xffunibus."
)

// PublicFromSSH is the nkey of an SSH public key, as the file FILE.pub has it.
// KindInvalid where it is not an Ed25519 key whose owner can sign with it.
func PublicFromSSH(line []byte) (string, error) {
	if bytes.Contains(line, []byte("PRIVATE KEY-----")) {
		return "", core.Errorf(core.KindInvalid, "this is a private SSH key; it is not read").WithNext("name its public part, the file that ends in .pub")
	}
	key, _, _, rest, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		return "", core.Errorf(core.KindInvalid, "this is not an SSH public key").WithNext("name the file that ssh-keygen wrote, which ends in .pub")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return "", core.Errorf(core.KindInvalid, "there are several SSH keys").WithNext("name a file with one key")
	}
	raw, err := ed25519Of(key)
	if err != nil {
		return "", err
	}
	public, err := nkeys.Encode(nkeys.PrefixByteUser, raw)
	if err != nil {
		return "", core.Errorf(core.KindFailed, "the key cannot be written as an nkey: %w", err)
	}
	return string(public), nil
}

// ed25519Of is the key inside an SSH public key. The keys of security tokens
// ("sk-") have one too, but a token signs other bytes than it is given.
func ed25519Of(key ssh.PublicKey) (ed25519.PublicKey, error) {
	if strings.HasPrefix(key.Type(), "sk-") {
		return nil, core.Errorf(core.KindInvalid, "the SSH key is of the type %s, which a security token holds: a token signs its own counter beside the text, and NATS cannot check that", key.Type()).
			WithNext("use an ssh-ed25519 key: ssh-keygen -t ed25519")
	}
	crypto, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil, notEd25519(key)
	}
	raw, ok := crypto.CryptoPublicKey().(ed25519.PublicKey)
	if !ok || key.Type() != ssh.KeyAlgoED25519 {
		return nil, notEd25519(key)
	}
	return raw, nil
}

func notEd25519(key ssh.PublicKey) *core.Error {
	return core.Errorf(core.KindInvalid, "the SSH key is of the type %s; an nkey is an Ed25519 key", key.Type()).
		WithNext("use an ssh-ed25519 key: ssh-keygen -t ed25519")
}

// openAgent returns an identity that signs by the SSH agent. KindNotFound where
// the agent does not hold the key, KindUnavailable where there is no agent.
func openAgent(public string) (keys.Identity, error) {
	if _, err := core.ParseUserID(public); err != nil {
		return keys.Identity{}, core.Errorf(core.KindInvalid, "--identity agent:NKEY names no public nkey: %s", err).
			WithNext("`unibusd keygen operator --from-ssh FILE.pub` prints the nkey of an SSH key")
	}
	id, err := keys.NewIdentity(public, func(data []byte) ([]byte, error) { return signByAgent(public, data) })
	if err != nil {
		return id, err
	}
	return id, withAgent(func(a agent.ExtendedAgent) error {
		_, err := findKey(a, public)
		return err
	})
}

// signByAgent has one message signed. Nothing but a printable nonce and messages
// of unibus is given to the agent: its key may also open SSH logins.
func signByAgent(public string, data []byte) (signature []byte, err error) {
	if !signable(data) {
		return nil, core.Errorf(core.KindRefused, "this is nothing that unibus has signed; it was not given to the SSH agent")
	}
	err = withAgent(func(a agent.ExtendedAgent) error {
		key, err := findKey(a, public)
		if err != nil {
			return err
		}
		s, err := a.Sign(key, data)
		if err != nil {
			return core.Errorf(core.KindRefused, "the SSH agent did not sign: %w", err).WithNext("unlock it with `ssh-add -X`, or confirm where it asks")
		}
		if s.Format != ssh.KeyAlgoED25519 {
			return core.Errorf(core.KindFailed, "the SSH agent signed as %q", s.Format)
		}
		signature = s.Blob
		return nil
	})
	return signature, err
}

// signable is true for a server's nonce (keys.Identity.SignNonce has checked it
// already) and for messages of unibus, none of which is a message of SSH.
func signable(data []byte) bool {
	if bytes.HasPrefix(data, []byte(ownDomain)) {
		return true
	}
	for _, b := range data {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return len(data) > 0 && len(data) <= keys.MaxNonce
}

func withAgent(f func(agent.ExtendedAgent) error) error {
	socket := os.Getenv(agentSocketEnv)
	if socket == "" {
		return core.Errorf(core.KindUnavailable, "there is no SSH agent: $%s is not set", agentSocketEnv).
			WithNext("eval $(ssh-agent) && ssh-add; over SSH, connect with `ssh -A` only to machines that you trust")
	}
	conn, err := net.DialTimeout("unix", socket, agentTime)
	if err != nil {
		return core.Errorf(core.KindUnavailable, "the SSH agent at %s cannot be reached: %w", socket, err).WithNext("eval $(ssh-agent) && ssh-add")
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(agentTime)); err != nil {
		return core.Errorf(core.KindUnavailable, "the SSH agent at %s cannot be used: %w", socket, err)
	}
	return f(agent.NewClient(conn))
}

// findKey returns the agent's key that is the nkey.
func findKey(a agent.ExtendedAgent, public string) (ssh.PublicKey, error) {
	held, err := a.List()
	if err != nil {
		return nil, core.Errorf(core.KindUnavailable, "the SSH agent does not say which keys it holds: %w", err).WithNext("`ssh-add -l` shows them")
	}
	want := rawOf(public)
	for _, k := range held {
		key, err := ssh.ParsePublicKey(k.Blob)
		if err != nil {
			continue
		}
		if raw, err := ed25519Of(key); err == nil && bytes.Equal(raw, want) {
			return key, nil
		}
	}
	return nil, core.Errorf(core.KindNotFound, "the SSH agent holds %d keys, and none of them is %s", len(held), core.UserID(public).Short()).
		WithNext("ssh-add FILE; `ssh-add -L` shows the keys, `unibusd keygen operator --from-ssh FILE.pub` the nkey of one")
}

// rawOf is the Ed25519 key inside a user's public nkey, which is behind one byte of prefix.
func rawOf(public string) []byte {
	b, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(public)
	if err != nil || len(b) < 1+ed25519.PublicKeySize {
		return nil
	}
	return b[1 : 1+ed25519.PublicKeySize]
}
