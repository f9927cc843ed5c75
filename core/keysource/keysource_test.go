package keysource

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/keys"
)

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// startAgent serves keys as an SSH agent does, and counts what it signed.
func startAgent(t *testing.T, held ...any) *signCounter {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range held {
		if err := ring.Add(agent.AddedKey{PrivateKey: k}); err != nil {
			t.Fatal(err)
		}
	}
	counter := &signCounter{Agent: ring}
	socket := filepath.Join(t.TempDir(), "agent")
	l := must(net.Listen("unix", socket))(t)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = agent.ServeAgent(counter, conn)
				_ = conn.Close()
			}()
		}
	}()
	t.Setenv(agentSocketEnv, socket)
	return counter
}

type signCounter struct {
	agent.Agent
	signed [][]byte
}

func (c *signCounter) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	c.signed = append(c.signed, bytes.Clone(data))
	return c.Agent.Sign(key, data)
}

func newSSHKey(t *testing.T) (ed25519.PrivateKey, string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	line := ssh.MarshalAuthorizedKey(must(ssh.NewPublicKey(key.Public()))(t))
	return key, must(PublicFromSSH(line))(t)
}

// sshLogin is what a client signs to log in by SSH (RFC 4252, section 7).
func sshLogin(key ed25519.PrivateKey) []byte {
	field := func(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }
	pub, _ := ssh.NewPublicKey(key.Public())
	var out []byte
	out = append(out, field(bytes.Repeat([]byte("s"), 32))...) // the session's id
	out = append(out, 50)                                      // SSH_MSG_USERAUTH_REQUEST
	for _, f := range [][]byte{[]byte("root"), []byte("ssh-connection"), []byte("publickey")} {
		out = append(out, field(f)...)
	}
	out = append(out, 1)
	out = append(out, field([]byte(ssh.KeyAlgoED25519))...)
	return append(out, field(pub.Marshal())...)
}

// TestAgentSignsNothingForAServer: a server chooses the nonce that is signed. A
// hostile one chooses an SSH login, or something else that means something elsewhere.
func TestAgentSignsNothingForAServer(t *testing.T) {
	key, public := newSSHKey(t)
	counter := startAgent(t, key)
	id := must(Open("agent:"+public, nil))(t)
	request := auth.NewSigned("C", auth.Channel{}, "unibus.admin.v1.U.any.user-add", nil, 1).Bytes()
	for name, nonce := range map[string][]byte{
		"an SSH login":     sshLogin(key),
		"an SSH signature": []byte("SSHSIG\x00\x00\x00\x04file"),
		"a request":        request,
		"a sentence":       []byte("I owe you"),
		"a line":           []byte("abc\n"),
		"nothing":          nil,
		"too long":         bytes.Repeat([]byte("a"), keys.MaxNonce+1),
		"not ASCII":        []byte("nönce"),
	} {
		if _, err := id.SignNonce(nonce); core.KindOf(err) != core.KindRefused {
			t.Errorf("%s was signed: %v", name, err)
		}
	}
	if _, err := id.Sign(sshLogin(key)); core.KindOf(err) != core.KindRefused {
		t.Errorf("an SSH login was signed as a message of this program: %v", err)
	}
	if len(counter.signed) != 0 {
		t.Errorf("the agent signed %q", counter.signed)
	}
	if sig, err := id.SignNonce([]byte("b5Y4lZqOq_3-xwk")); err != nil || !ed25519.Verify(key.Public().(ed25519.PublicKey), []byte("b5Y4lZqOq_3-xwk"), sig) {
		t.Errorf("a nonce was not signed: %v", err)
	}
	if _, err := id.Sign(request); err != nil {
		t.Errorf("a request was not signed: %v", err)
	}
}

func TestAgentRefusals(t *testing.T) {
	key, public := newSSHKey(t)
	_, other := newSSHKey(t)
	startAgent(t, key, must(rsa.GenerateKey(rand.Reader, 2048))(t))
	for name, c := range map[string]struct {
		name string
		kind core.Kind
		text string
	}{
		"another key":  {"agent:" + other, core.KindNotFound, "holds 2 keys"},
		"no key":       {"agent:", core.KindInvalid, "names no public nkey"},
		"a seed":       {"agent:SUAB", core.KindInvalid, "names no public nkey"},
		"upper prefix": {"AGENT:" + public, core.KindNotFound, "does not exist"},
	} {
		_, err := Open(c.name, nil)
		if core.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Setenv(agentSocketEnv, filepath.Join(t.TempDir(), "absent"))
	if _, err := Open("agent:"+public, nil); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("without an agent: %v", err)
	}
	t.Setenv(agentSocketEnv, "")
	if _, err := Open("agent:"+public, nil); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("without a socket: %v", err)
	}
}

// TestPublicFromSSH: only a plain Ed25519 key is an nkey.
func TestPublicFromSSH(t *testing.T) {
	t.Parallel()
	key, public := newSSHKey(t)
	if raw := rawOf(public); !bytes.Equal(raw, key.Public().(ed25519.PublicKey)) {
		t.Errorf("%s is another key", public)
	}
	line := string(ssh.MarshalAuthorizedKey(must(ssh.NewPublicKey(key.Public()))(t)))
	for name, c := range map[string]struct{ line, text string }{
		"a token's key": {securityToken(t, key), "security token"},
		"an RSA key":    {string(ssh.MarshalAuthorizedKey(must(ssh.NewPublicKey(&must(rsa.GenerateKey(rand.Reader, 2048))(t).PublicKey))(t))), "ssh-rsa"},
		"a private key": {"-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET\n", "private SSH key"},
		"two keys":      {line + line, "several"},
		"nothing":       {"", "not an SSH public key"},
		"a text":        {"ssh-ed25519 SECRET", "not an SSH public key"},
	} {
		_, err := PublicFromSSH([]byte(c.line))
		if core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// securityToken is the line of a key that a security token holds.
func securityToken(t *testing.T, key ed25519.PrivateKey) string {
	t.Helper()
	blob := ssh.Marshal(struct {
		Name        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, key.Public().(ed25519.PublicKey), "ssh:"})
	return string(ssh.MarshalAuthorizedKey(must(ssh.ParsePublicKey(blob))(t)))
}

// TestProtectedSeed: the passphrase opens it, another one does not, and without
// one the file says nothing of the seed.
func TestProtectedSeed(t *testing.T) {
	t.Parallel()
	seed, public, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "op.nk")
	recipient := must(age.NewScryptRecipient("correct horse"))(t)
	recipient.SetWorkFactor(10) // the file's own cost is not what is tested here
	data := must(encrypt(seed, recipient))(t)
	if bytes.Contains(data, seed) || !bytes.HasPrefix(data, []byte(keys.ProtectedHeader)) {
		t.Fatalf("the file is\n%s", data)
	}
	if err := keys.WriteSeed(path, data); err != nil {
		t.Fatal(err)
	}
	say := func(text string) AskPassphrase { return func(string) ([]byte, error) { return []byte(text), nil } }
	if id, err := Open(path, say("correct horse")); err != nil || id.Public() != public {
		t.Errorf("%s, %v", id.Public(), err)
	}
	if _, err := Open(path, say("battery staple")); core.KindOf(err) != core.KindRefused || strings.Contains(err.Error(), "battery") {
		t.Errorf("another passphrase: %v", err)
	}
	if _, err := Open(path, say("")); core.KindOf(err) != core.KindInvalid {
		t.Errorf("no passphrase: %v", err)
	}
	if _, err := keys.ReadSeed(path); core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), "passphrase") {
		t.Errorf("a program that cannot ask: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, say("correct horse")); core.KindOf(err) != core.KindRefused {
		t.Errorf("a file that others may read: %v", err)
	}
}

func TestProtectWantsAPassphrase(t *testing.T) {
	t.Parallel()
	for _, short := range []string{"", "1234567"} {
		if _, err := Protect([]byte("SU"), []byte(short)); core.KindOf(err) != core.KindInvalid || short != "" && strings.Contains(err.Error(), short) {
			t.Errorf("%q: %v", short, err)
		}
	}
}
