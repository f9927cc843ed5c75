package config

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"

	"unibus/core"
)

// sshKeyTypes are the SSH keys that an operator may have beside the nkey. A security token's are among
// them: they open the console over SSH, and sign nothing for NATS.
func sshKeyTypes() []string {
	return []string{"ssh-ed25519", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"}
}

// parseSSHKey reads the line of a file FILE.pub, and returns it without the comment. The error does not
// repeat the text: it may be a private key.
func parseSSHKey(line string) (string, error) {
	if line == "" {
		return "", nil
	}
	wrong := core.Errorf(core.KindInvalid, "ssh-key is not the public key of an Ed25519 key or of a security token").
		WithNext("give the line of the file that ssh-keygen wrote, which ends in .pub: ssh-ed25519 AAAA…, or sk-…")
	words := strings.Fields(line)
	if len(words) < 2 || !slices.Contains(sshKeyTypes(), words[0]) {
		return "", wrong
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(words[1])
	if err != nil || len(blob) < 4 {
		return "", wrong
	}
	size, rest := int(binary.BigEndian.Uint32(blob)), blob[4:]
	if size != len(words[0]) || len(rest) < size+4+32 || string(rest[:size]) != words[0] {
		return "", wrong
	}
	return words[0] + " " + words[1], nil
}
