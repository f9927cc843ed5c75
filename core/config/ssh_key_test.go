package config

import (
	"strings"
	"testing"

	"unibus/core"
)

// TestSSHKeyOfAnOperator is read without its comment, written again, and refused where it is no such key.
func TestSSHKeyOfAnOperator(t *testing.T) {
	t.Parallel()
	const (
		plain = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
		token = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDo="
	)
	entry := func(key, sshKey string) string {
		return "[[operator]]\nkey = \"" + key + "\"\nrole = \"viewer\"\nname = \"alice\"\nssh-key = \"" + sshKey + "\"\n"
	}
	for _, key := range []string{plain, token} {
		n, err := Load(write(t, entry(alice, key+" ana@laptop")), nil, nil)
		if err != nil || n.Operators[0].SSHKey != key {
			t.Errorf("%+v, %v", n.Operators, err)
			continue
		}
		text, err := n.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Load(write(t, string(text)), nil, nil); err != nil || again.Operators[0] != n.Operators[0] {
			t.Errorf("written and read again it is %+v, %v", again.Operators, err)
		}
	}
	for name, key := range map[string]string{
		"a private key":   "-----BEGIN OPENSSH PRIVATE KEY-----",
		"RSA":             "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ",
		"another type":    strings.Replace(plain, "ssh-ed25519 ", "sk-ssh-ed25519@openssh.com ", 1),
		"a part":          plain[:60],
		"options before":  "no-pty " + plain,
		"the type alone":  "ssh-ed25519",
		"no base64":       "ssh-ed25519 SECRET!",
		"a short payload": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
	} {
		_, err := Load(write(t, entry(alice, key)), nil, nil)
		if core.KindOf(err) != core.KindInvalid || strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := Load(write(t, entry(alice, plain)+strings.Replace(entry(bob, plain), "alice", "ben", 1)), nil, nil)
	if core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), "the same ssh-key") {
		t.Errorf("one ssh-key for two: %v", err)
	}
}
