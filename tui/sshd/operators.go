package sshd

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"charm.land/ssh"
	"github.com/nats-io/nkeys"
	gossh "golang.org/x/crypto/ssh"

	"unibus/core"
	"unibus/core/cluster"
)

const (
	operatorsFile  = "operators.json"
	refreshTimeout = 2 * time.Second
)

// operators are those who may log in: the last that the nodes said.
type operators struct {
	file string

	mu   sync.Mutex
	list []core.Operator
}

func newOperators(file string) *operators { return &operators{file: file} }

// load reads who was known last. A server that has never run knows nobody.
func (o *operators) load() error {
	data, err := os.ReadFile(o.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var list []core.Operator
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		return core.Errorf(core.KindInvalid, "%s cannot be read: %w", o.file, err).
			WithNext("move the file away; the server asks the nodes again who the operators are")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = list
	return nil
}

// set takes the operators that the nodes of a view name, and keeps them in the file if they changed.
func (o *operators) set(v cluster.View) error {
	list := operatorsOf(v)
	o.mu.Lock()
	defer o.mu.Unlock()
	if slices.Equal(list, o.list) {
		return nil
	}
	o.list = list
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return writePrivate(o.file, data)
}

// operatorsOf are the operators whom every node that answers admits to the operators' protocol. A key that
// any node knows as removed is out, so that a removal counts before all nodes have heard of it.
func operatorsOf(v cluster.View) []core.Operator {
	removed, answers := map[string]bool{}, 0
	seen, counts := map[string]core.Operator{}, map[string]int{}
	for _, n := range v.Nodes {
		if n.Info == nil || n.Info.Operators == nil {
			continue
		}
		for _, r := range n.Info.Operators.Removed {
			removed[r.Key] = true
		}
		if !n.Online {
			continue
		}
		answers++
		for _, op := range n.Info.Operators.List {
			if op.Role != core.OperatorViewer && op.Role != core.OperatorAdmin {
				continue
			}
			if counts[op.Key]++; counts[op.Key] > 1 {
				op = leastOf(op, seen[op.Key])
			}
			seen[op.Key] = op
		}
	}
	var all []core.Operator
	for _, key := range slices.Sorted(maps.Keys(seen)) {
		if !removed[key] && counts[key] == answers {
			all = append(all, seen[key])
		}
	}
	return all
}

// leastOf is an operator as two nodes know it, where they differ: the one with less.
func leastOf(a, b core.Operator) core.Operator {
	if a.SSHKey != b.SSHKey {
		a.SSHKey = ""
	}
	if b.Role == core.OperatorViewer {
		a.Role = b.Role
	}
	if b.NotAfter != 0 && (a.NotAfter == 0 || b.NotAfter < a.NotAfter) {
		a.NotAfter = b.NotAfter
	}
	return a
}

// ofKey returns the operator who may log in by an SSH key now: the one whose nkey it is, or whose ssh-key.
func (o *operators) ofKey(key ssh.PublicKey, now time.Time) (core.Operator, bool) {
	if key == nil || !slices.Contains(acceptedKeys(), key.Type()) {
		return core.Operator{}, false
	}
	public, _ := nkeyOf(key)
	line := strings.TrimSpace(string(gossh.MarshalAuthorizedKey(key)))
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.list, func(op core.Operator) bool { return op.Key == public })
	if i < 0 {
		i = slices.IndexFunc(o.list, func(op core.Operator) bool { return op.SSHKey == line })
	}
	if i < 0 || o.list[i].Ended(core.MillisOf(now)) {
		return core.Operator{}, false
	}
	return o.list[i], true
}

// acceptedKeys are the types of keys that an operator can have. Those of security tokens need a touch.
func acceptedKeys() []string {
	return []string{gossh.KeyAlgoED25519, gossh.KeyAlgoSKED25519, gossh.KeyAlgoSKECDSA256}
}

// nkeyOf is the nkey of an ssh-ed25519 key: the same 32 bytes.
func nkeyOf(key ssh.PublicKey) (string, bool) {
	if key == nil || key.Type() != gossh.KeyAlgoED25519 {
		return "", false
	}
	crypto, ok := key.(gossh.CryptoPublicKey)
	if !ok {
		return "", false
	}
	raw, ok := crypto.CryptoPublicKey().(ed25519.PublicKey)
	if !ok {
		return "", false
	}
	public, err := nkeys.Encode(nkeys.PrefixByteUser, raw)
	return string(public), err == nil
}

// writePrivate replaces a file that only its owner may read.
func writePrivate(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
