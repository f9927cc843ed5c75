// Package keysource opens an operator's identity, wherever its key is kept: in a
// seed file, in a seed file that a passphrase protects, or in an SSH agent. The
// command lines of unibusd and unibus-tui call it. Begin reading at Open.
package keysource

import (
	"errors"
	"strings"

	"unibus/core/keys"
)

// agentPrefix begins the name of an identity whose key is in an SSH agent.
const agentPrefix = "agent:"

// AskPassphrase returns the passphrase of a file. It is called only where one is needed.
type AskPassphrase func(file string) ([]byte, error)

// Open returns the identity that name names: "agent:NKEY", or the path of a seed
// file by the rules of keys.ReadSeed. It asks for the passphrase of a protected file.
func Open(name string, ask AskPassphrase) (keys.Identity, error) {
	if nkey, ok := strings.CutPrefix(name, agentPrefix); ok {
		return openAgent(nkey)
	}
	id, err := keys.ReadSeed(name)
	if errors.Is(err, keys.ErrProtected) {
		return openProtected(name, ask)
	}
	return id, err
}
